"""Replace params.yaml by one of the complete params files in presets/, or list them.

A params.yaml that differs from every file in presets/ has been edited and is not overwritten, unless this
command wrote it: a preset of your own may be edited and chosen again. Every file that it writes is kept in
logs/presets/, under the hash of its content.
"""

from __future__ import annotations

import difflib
import hashlib
from pathlib import Path
from typing import Annotated

from intrada.commands import validate
from intrada.core import atomic, files
from intrada.core.config.schema import Params
from intrada.core.errors import UserError
from intrada.core.plain_text import say
from intrada.core.stage import Argument, Flag

PRESETS = Path("presets")
ACTIVE = Path("params.yaml")
KEPT = Path("logs/presets")


def run(
    name: Annotated[str, Argument("the preset to copy to params.yaml")],
    list: Annotated[bool, Flag("list the presets, with a mark at the active one, and change nothing")],
) -> None:
    """Copy presets/NAME.yaml to params.yaml and print its costs; without NAME or with `--list`, list them."""
    known = _known()
    if list or not name:
        _show(known)
        return
    path = find(name)
    atomic.sweep([ACTIVE.parent, KEPT])
    before = _content()
    if before is not None and _active(known) is None and not _kept(before).exists():
        raise _edited(known)
    chosen, content = validate.load(path), path.read_bytes()
    files.write_bytes(_kept(content), content)  # first, so that the file is recognised after a crash
    with files.atomic_file(ACTIVE) as temporary:
        temporary.write_bytes(content)
        if _content() != before:  # an editor has saved it since
            raise _edited(known)
    say(f"{ACTIVE} is now {path}")
    _show_costs(chosen)


def _edited(known: dict[str, Path]) -> UserError:
    names = ("my_experiment", *(f"my_experiment_{number}" for number in range(2, len(known) + 3)))
    free = next(name for name in names if name not in known)
    return UserError(
        ACTIVE,
        "it was edited: it differs from every preset",
        "a params.yaml that equals a file in presets/, or that this command wrote",
        f"keep it with `cp {ACTIVE} {PRESETS}/{free}.yaml` (a preset of your own), then try again",
    )


def _kept(content: bytes) -> Path:
    """Return the file in which a params.yaml with this content is kept once this command has written it."""
    return KEPT / f"{hashlib.blake2b(content, digest_size=16).hexdigest()}.yaml"


def _content() -> bytes | None:
    return ACTIVE.read_bytes() if ACTIVE.exists() else None


def find(name: str) -> Path:
    """Return the file of the preset called `name`. UserError, with the nearest name, for an unknown one."""
    known = _known()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        found = f"no preset {name!r}" + (f" (did you mean {near[0]}?)" if near else "")
        raise UserError(PRESETS, found, ", ".join(known), "choose one of these")
    return known[name]


def _known() -> dict[str, Path]:
    if not PRESETS.is_dir():
        fix = "run the command in the project's folder"
        raise UserError(PRESETS, "no such folder", "the folder of the project's params files", fix)
    return {path.stem: path for path in sorted(PRESETS.glob("*.yaml"))}


def _active(known: dict[str, Path]) -> str | None:
    """Return the name of the preset that equals params.yaml byte by byte, if any."""
    content = _content()
    return next((name for name, path in known.items() if path.read_bytes() == content), None)


def _show(known: dict[str, Path]) -> None:
    active = _active(known)
    for name, path in known.items():
        first = path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
        say(f"{'*' if name == active else ' '} {name:28} {first}")
    if active is None and ACTIVE.exists():
        say(f"  {ACTIVE} differs from every preset")


def _show_costs(chosen: Params) -> None:
    """Print memory and time of each training, or why there is no estimate (no GPU, a package missing)."""
    from intrada.core.distributed import device
    from intrada.training import cost_estimate, step_timing

    try:
        place = device.acquire_device(chosen.compute, chosen.compute.threads)
        costs = cost_estimate.estimate_all(chosen)
        times = step_timing.measure_all(chosen, costs, place, step_timing.is_busy(place))
    except UserError as error:
        say(f"  no estimate of memory and time: {error.where}: {error.found}")
        return
    for cost, taken in zip(costs, times, strict=True):
        say(f"  {cost.stage:12} about {cost.gib:.2f} GiB and {step_timing.words(taken.seconds)} here")
