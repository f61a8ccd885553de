"""List the tests that a run of pytest skipped, for its terminal summary."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


def left_out(reports: list[pytest.TestReport], marks: str, markers: list[str]) -> Iterator[str]:
    """Yield lines with the skipped tests by reason, then the sets of tests that were not selected.

    reports: of skipped tests and modules. marks: the expression of `-m`. markers: the lines of pyproject.toml,
    `name: description`; a marker counts as not selected if the expression holds `not NAME`.
    """
    reasons: dict[str, list[str]] = {}
    for report in reports:
        # (path, line, "Skipped: reason"); a test marked xfail has no such tuple
        if isinstance(report.longrepr, tuple | list):
            names = reasons.setdefault(str(report.longrepr[2]).removeprefix("Skipped: "), [])
            names += [report.nodeid] if report.nodeid not in names else []
    for reason, names in sorted(reasons.items()):
        yield f"{len(names)} skipped: {reason}"
        yield from (f"    {name}" for name in names)
    for line in markers:
        name, _, description = line.partition(":")
        if f"not {name}" in marks:
            yield f"not selected: {name}:{description}"
