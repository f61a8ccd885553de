"""`python -m intrada`: so little is imported here that a signal finds its handler before the libraries."""

from __future__ import annotations

import sys
from importlib import import_module

from intrada.core import garbage, signals


def main(argv: list[str] | None = None) -> int:
    """Run one command; `signals.exit_code` says what is returned."""
    if argv is None:  # a process of its own
        garbage.postpone()
    words = sys.argv[1:] if argv is None else argv
    return signals.exit_code(lambda: import_module("intrada.cli").run(words))


if __name__ == "__main__":
    sys.exit(main())
