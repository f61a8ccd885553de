"""Import of a package that only one network needs, with the command that installs it in the error."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from intrada.core.errors import UserError


def require(module: str, model: str, extra: str, packages: str) -> Any:
    """Return the imported `module`.

    model: the name of the network; extra: of this project; packages: what `pip install` needs, separated by
    blanks. Raises UserError if the module, or one that it imports, is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise UserError(
            f"model {model}",
            f"the package {error.name} is not installed",
            f"an environment with the extra `{extra}`",
            f"pip install {packages}",
        ) from error
