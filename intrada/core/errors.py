"""The one kind of error that a user can fix."""

from __future__ import annotations

from pathlib import Path


class UserError(Exception):
    """Something outside the code is wrong: a file, a parameter, a command line.

    where: the file (or parameter) at fault; found: what stands there; allowed: what may stand
    there; fix: what to do next. The message holds the four on one screen. Everything that is not a
    UserError is a fault of this project and keeps its traceback.
    """

    def __init__(self, where: str | Path, found: str, allowed: str, fix: str) -> None:
        self.where, self.found, self.allowed, self.fix = str(where), found, allowed, fix
        super().__init__(f"{where}: {found}\n  allowed: {allowed}\n  do next: {fix}")

    def __reduce__(self) -> tuple[type[UserError], tuple[str, str, str, str]]:
        """So that it can pass from one process to another."""
        return type(self), (self.where, self.found, self.allowed, self.fix)
