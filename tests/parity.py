"""Recompute golden values of the published code with this project's: `python tests/parity.py DIR`.

Prints a line an item: pass or FAIL, the largest absolute error, the largest relative one (of values
with a relative tolerance), the largest as a share of what is allowed, and what is not compared.
Exit status 1 if an item fails or is missing. Only DIR is read (its layout: DIR/README.md). About
ten minutes on one core for all items; --only picks some.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # as a script, Python looks for modules beside it
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from tests.support.parity_items import item_module
from tests.support.parity_items.comparing import Comparison
from tests.support.parity_items.reference import Reference


@dataclass(frozen=True)
class Verdict:
    """One item.

    max_relative: over the values with a relative tolerance, and those that fail; max_excess: largest
    error as a share of what is allowed, above 1 if the item fails; worst: where that is.
    """

    item: str
    passed: bool
    values: int
    max_absolute: float
    max_relative: float
    max_excess: float
    worst: str
    unchecked: list[str]

    def __str__(self) -> str:
        note = f"  not compared: {', '.join(self.unchecked)}" if self.unchecked else ""
        where = "" if self.passed else f"  at {self.worst}"
        return (
            f"{self.item:28s} {'pass' if self.passed else 'FAIL'}  max abs {self.max_absolute:8.2e}"
            f"  max rel {self.max_relative:8.2e}  of allowed {self.max_excess:8.2e}"
            f"  {self.values:7d} values{where}{note}"
        )


def check(reference: Reference, name: str) -> Verdict:
    """Recompute one item; whatever is raised on the way is a failure of that item."""
    try:
        module = item_module(name)
        return judge(reference, name, module.compute(reference, name))
    except Exception as error:
        inf = float("inf")
        return Verdict(name, False, 0, inf, inf, inf, f"{type(error).__name__}: {error}", [])


def judge(reference: Reference, name: str, found: Any) -> Verdict:
    """Compare what was found with what is stored."""
    module = item_module(name)
    comparisons: list[Comparison] = module.compare(reference, name, found)
    compared = {comparison.where[0] for comparison in comparisons} | module.INPUTS
    worst = max(comparisons, key=lambda comparison: comparison.excess)
    return Verdict(
        item=name,
        passed=all(comparison.passed for comparison in comparisons),
        values=sum(comparison.expected.size for comparison in comparisons),
        max_absolute=_largest(comparison.absolute for comparison in comparisons),
        max_relative=_largest(c.relative for c in comparisons if c.scale is not None or not c.passed),
        max_excess=worst.excess,
        worst="/".join(map(str, worst.where)),
        unchecked=[key for key in reference.stored(name) if key not in compared],
    )


def _largest(errors: Iterable[Any]) -> float:
    return max((float(error.max(initial=0.0)) for error in errors), default=0.0)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Recompute golden values of the published code.")
    parser.add_argument("folder", type=Path, metavar="DIR", help="the folder that holds manifest.json")
    parser.add_argument("--only", nargs="+", metavar="ITEM", help="items by the start of their names")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    chosen = parser.parse_args(arguments)
    reference = Reference(chosen.folder)
    names = [n for n in reference.manifest["items"] if n.startswith(tuple(chosen.only or [""]))]
    verdicts = []
    for name in names:
        verdicts.append(check(reference, name))
        if not chosen.json:
            print(verdicts[-1], flush=True)
    if chosen.json:
        print(json.dumps({verdict.item: asdict(verdict) for verdict in verdicts}, indent=1))
    return 0 if verdicts and all(verdict.passed for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
