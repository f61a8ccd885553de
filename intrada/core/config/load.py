"""Read and validate params.yaml; the error lists every invalid key."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from intrada.core.config import old_mapping, overrides, plain_yaml
from intrada.core.config.schema import Params
from intrada.core.errors import UserError

_PLAIN = "plain YAML in UTF-8: numbers, text, lists and mappings, each key once"


def load(path: Path, settings: Sequence[str] = ()) -> Params:
    """Read and validate a params file. UserError with every invalid key.

    settings: `key=value`, which replace values of the file (overrides.py).
    """
    where = f"{path} with --set {' --set '.join(settings)}" if settings else path
    return validate(where, tree(path, settings))


def tree(path: Path, settings: Sequence[str] = ()) -> Any:
    """Return the values of a params file as they are there, not validated. settings: as in `load`."""
    return overrides.apply(_parse(path), overrides.parse(settings))


def validate(path: Path | str, tree: object) -> Params:
    """Convert a parsed params file to typed values. `path` is used in error messages only.

    UserError with every invalid key.
    """
    if not isinstance(tree, dict):
        raise UserError(
            path, f"a {type(tree).__name__}", "a mapping of blocks", "start from a file in presets/"
        )
    old_mapping.refuse(str(path), tree)
    try:
        return Params.model_validate(tree)
    except ValidationError as error:
        raise _explain(path, error) from None
    except UserError as error:
        raise UserError(f"{path}, classes", error.found, error.allowed, error.fix) from None


def _parse(path: Path) -> object:
    try:
        return plain_yaml.read(path)
    except FileNotFoundError:
        fix = "run the command in the project's folder, or name the file with --params"
        raise UserError(path, "no such file", "a params file", fix) from None
    except (OSError, ValueError) as error:
        raise UserError(path, " ".join(str(error).split()), _PLAIN, "fix the file") from None


def _explain(path: Path | str, error: ValidationError) -> UserError:
    lines = [_describe(item["loc"], item["msg"], item["type"], item["input"]) for item in error.errors()]
    return UserError(
        path,
        "; ".join(lines[:8]) + (f"; and {len(lines) - 8} more" if len(lines) > 8 else ""),
        "exactly the keys of the files in presets/, each in its range (workflow/schemas/params.schema.yaml)",
        "fix these keys; nothing was run",
    )


def _describe(loc: tuple[int | str, ...], message: str, kind: str, value: object) -> str:
    where = ".".join(str(part) for part in loc)
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(str(loc[-1]), _names(Params), n=1)
        return f"{where} is not a key" + (f" (did you mean {near[0]}?)" if near else "")
    if kind == "missing":
        return f"{where} is missing"
    shown = repr(value) if len(repr(value)) <= 80 else f"{repr(value)[:80]}..."
    return f"{where} = {shown}: {message.removeprefix('Value error, ')}"


def _names(block: type[BaseModel]) -> list[str]:
    """Return the keys of `block` at any depth, for suggestions."""
    names: list[str] = []
    for name, field in block.model_fields.items():
        names.append(name)
        for annotation in (field.annotation, *get_args(field.annotation)):  # a block, or a block | None
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                names.extend(_names(annotation))
    return names
