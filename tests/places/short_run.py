"""Run jobs of the tiny project in the working directory: `python -m tests.places.short_run JOB ...`."""

from __future__ import annotations

import sys

from tests.support import tiny_project


def main(names: list[str]) -> int:
    """Run the jobs in turn; return the exit code of the first that fails, else 0."""
    for name in names:
        if status := tiny_project.run(name):
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
