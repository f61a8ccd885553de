"""Refuse options that select no job of a stage, or more than one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from intrada.core.cli_options import flag
from intrada.core.config.schema import Params
from intrada.core.errors import UserError
from intrada.core.stage import Choice, RoundOption, SetOption


def check(stage: str, marks: Mapping[str, object], options: Mapping[str, Any], params: Params) -> None:
    """Raise UserError for a round or data set that the params do not have, and unless one block is chosen."""
    for key, mark in marks.items():
        name = options.get(key)
        if name and isinstance(mark, (RoundOption, SetOption)):
            block = "rounds" if isinstance(mark, RoundOption) else key
            known: Mapping[str, object] = getattr(params, block)
            if name not in known:
                allowed = ", ".join(known) or f"a name in {block}, which is empty in the params"
                fix = f"choose another name, or add it to {block} in params.yaml"
                raise UserError(f"intrada {stage} {flag(key)}", repr(name), allowed, fix)
    selecting = [
        key
        for key, mark in marks.items()
        if isinstance(mark, SetOption) or (isinstance(mark, Choice) and mark.optional)
    ]
    given = [flag(key) for key in selecting if options.get(key)]
    if selecting and len(given) != 1:
        allowed = f"exactly one of {', '.join(map(flag, selecting))}"
        found = f"{' and '.join(given)} given" if given else "none of them given"
        raise UserError(f"intrada {stage}", found, allowed, "say which images, with one option")
