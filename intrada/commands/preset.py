"""Replace params.yaml by one of the complete params files in presets/, list them, or show and compare them.

A params.yaml that differs from every file in presets/ has been edited and is not overwritten, unless this
command wrote it: a preset of your own may be edited and chosen again. With --force it is kept as
params.yaml.bak. Every file that this command writes is kept in logs/presets/, under the hash of its content.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

from intrada.commands import validate
from intrada.core import atomic, files
from intrada.core.cli_types import did_you_mean
from intrada.core.config import differences
from intrada.core.config import load as params_file
from intrada.core.config.replace import replace
from intrada.core.config.schema import Params
from intrada.core.errors import UserError
from intrada.core.plain_text import say
from intrada.core.stage import Argument, Flag
from intrada.pipeline import run_progress

PRESETS = Path("presets")
ACTIVE = Path("params.yaml")
KEPT = Path("logs/presets")


def run(
    name: Annotated[str, Argument("the preset to copy to params.yaml, or to show or compare")],
    list: Annotated[bool, Flag("list the presets, with a mark at the active one, and change nothing")],
    show: Annotated[bool, Flag("print the preset NAME and change nothing")],
    diff: Annotated[bool, Flag("print which values of params.yaml differ from NAME; default: the nearest")],
    force: Annotated[bool, Flag("replace an edited params.yaml too, and keep it as params.yaml.bak")],
) -> None:
    """Copy presets/NAME.yaml to params.yaml and print its costs; without NAME or with `--list`, list them."""
    flags = {"--list": list, "--show": show, "--diff": diff, "--force": force}
    if len(given := [flag for flag, value in flags.items() if value]) > 1:
        raise UserError("intrada preset", f"{' and '.join(given)}", "one of them", "leave the others out")
    known = _known()
    if diff:
        _compare(known, name)
    elif show:
        say(*find(name).read_text(encoding="utf-8").splitlines())
    elif list or not name:
        _show(known)
    else:
        _activate(known, find(name), force)


def _activate(known: dict[str, Path], path: Path, force: bool) -> None:
    """Copy a preset to params.yaml."""
    atomic.sweep([ACTIVE.parent, KEPT])
    before = _content()
    is_edited = before is not None and _active(known) is None and not _kept(before).exists()
    if is_edited and not force:
        raise _edited(known)
    chosen, content = validate.load(path), path.read_bytes()
    files.write_bytes(_kept(content), content)  # first, so that the file is recognised after a crash
    backup = replace(ACTIVE, content, before, backup=is_edited)
    say(f"{ACTIVE} is now {path}" + (f"; the edited one is {backup}" if backup else ""))
    _show_costs(chosen)


def _compare(known: dict[str, Path], name: str) -> None:
    """Print the values in which params.yaml differs from a preset; "": from that with the fewest."""
    active = params_file.tree(ACTIVE)

    def changes(path: Path) -> dict[str, tuple[str, str]]:
        return differences.between(params_file.tree(path), active)

    paths = [find(name)] if name else [*known.values()]
    path, found = min(((path, changes(path)) for path in paths), key=lambda pair: len(pair[1]))
    if not found:
        same = "the content" if path.read_bytes() == _content() else "the values, with other comments,"
        say(f"{ACTIVE} has {same} of {path}")
        return
    count = "1 value differs" if len(found) == 1 else f"{len(found)} values differ"
    say(f"{path} -> {ACTIVE}: {count}")
    say(*(f"  {key}: {old} -> {new}" for key, (old, new) in found.items()))


def _edited(known: dict[str, Path]) -> UserError:
    names = ("my_experiment", *(f"my_experiment_{number}" for number in range(2, len(known) + 3)))
    free = next(name for name in names if name not in known)
    return UserError(
        ACTIVE,
        "it was edited: it differs from every preset",
        "a params.yaml that equals a file in presets/, or that this command wrote",
        f"keep it with `cp {ACTIVE} {PRESETS}/{free}.yaml` (a preset of your own), then try again; or --force"
        f" keeps it as {ACTIVE}.bak; --diff shows the edits",
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
        found = f"no preset {name!r}{did_you_mean(name, known)}"
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
        times = step_timing.measure_all(chosen, costs, place, step_timing.is_busy(place), step_timing.QUICK)
    except UserError as error:
        say(f"  no estimate of memory and time: {error.where}: {error.found}")
        return
    run_progress.keep_estimate(
        {cost.stage: taken.seconds for cost, taken in zip(costs, times, strict=True)}, chosen
    )
    for cost, taken in zip(costs, times, strict=True):
        say(f"  {cost.stage:12} about {cost.gib:.2f} GiB and {step_timing.words(taken.seconds)} here")
