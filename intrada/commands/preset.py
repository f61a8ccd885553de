"""Replace params.yaml by one of the complete params files in presets/, or list them.

A params.yaml that differs from every file in presets/ has been edited and is not overwritten.
"""

from __future__ import annotations

import difflib
import shutil
from pathlib import Path
from typing import Annotated

from intrada.commands import validate
from intrada.core import files
from intrada.core.config.schema import Params
from intrada.core.errors import UserError
from intrada.core.stage import Argument, Flag

PRESETS = Path("presets")
ACTIVE = Path("params.yaml")


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
    if ACTIVE.exists() and _active(known) is None:
        raise UserError(
            ACTIVE,
            "it was edited: it differs from every preset",
            "a params.yaml that equals a file in presets/",
            f"keep it with `cp {ACTIVE} {PRESETS}/my_experiment.yaml` (a preset of your own), then try again",
        )
    chosen = validate.load(path)
    with files.atomic_file(ACTIVE) as temporary:
        shutil.copyfile(path, temporary)
    print(f"{ACTIVE} is now {path}", flush=True)
    _show_costs(chosen)


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
    content = ACTIVE.read_bytes() if ACTIVE.exists() else None
    return next((name for name, path in known.items() if path.read_bytes() == content), None)


def _show(known: dict[str, Path]) -> None:
    active = _active(known)
    for name, path in known.items():
        first = path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
        print(f"{'*' if name == active else ' '} {name:28} {first}")
    if active is None and ACTIVE.exists():
        print(f"  {ACTIVE} differs from every preset")


def _show_costs(chosen: Params) -> None:
    """Print memory and time of each training, or why there is no estimate (no GPU, a package missing)."""
    from intrada.core.distributed import device
    from intrada.training import cost_estimate, step_timing

    try:
        place = device.acquire_device(chosen.compute, chosen.compute.threads)
        costs = cost_estimate.estimate_all(chosen)
        times = step_timing.measure_all(chosen, costs, place, step_timing.is_busy(place))
    except UserError as error:
        print(f"  no estimate of memory and time: {error.where}: {error.found}")
        return
    for cost, taken in zip(costs, times, strict=True):
        print(f"  {cost.stage:12} about {cost.gib:.2f} GiB and {step_timing.words(taken.seconds)} here")
