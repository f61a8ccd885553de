"""Several errors in raw data as one: grouped by what to do, with counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from intrada.core import atomic
from intrada.core.errors import UserError

LISTING = Path("logs/check_faults.txt")
SHOWN, SHOWN_OF_SEVERAL = 5, 3  # files of a group on the screen
_GROUPS, _WIDTH = 4, 240  # groups on the screen; characters of one line of them
Groups = dict[tuple[str, str, str], list[UserError]]


def raise_joined(where: str | Path, faults: Sequence[UserError]) -> None:
    """Raise the faults as one UserError about `where`; nothing if there is none."""
    if faults:
        raise joined(where, {"": faults})


def joined(where: str | Path, faults: Mapping[str, Sequence[UserError]], listing: str = "") -> UserError:
    """Return the faults, by domain, as one UserError; a single fault unchanged.

    listing: the name of the file that has all of them, for the message.
    """
    every = [fault for some in faults.values() for fault in some]
    if len(every) == 1:
        return every[0]
    groups = _grouped(faults)
    lines = [
        line for key, some in list(groups.items())[:_GROUPS] for line in _shown(key, some, len(groups) > 1)
    ]
    if len(groups) > _GROUPS:
        lines.append(f"  and faults of {len(groups) - _GROUPS} other kinds")
    counts = ", ".join(f"{len(some)} in {domain}" for domain, some in faults.items() if domain and some)
    found = f"{len(every)} faults" + (f": {counts}" if counts else "")
    _, allowed, fix = next(iter(groups))
    if len(groups) > 1:
        allowed, fix = "raw data without these faults", "correct them all, then run the same command again"
    fix = f"{fix}; {listing} lists all of them" if listing else fix
    return UserError(where, found, allowed, fix, lines)


def write(path: Path, faults: Mapping[str, Sequence[UserError]]) -> None:
    """Write every fault with what is allowed and what to do, grouped, as text."""
    blocks = []
    for (domain, allowed, fix), some in _grouped(faults).items():
        lines = [f"{domain}: {len(some)} of this kind", f"  allowed: {allowed}", f"  do next: {fix}"]
        blocks.append("\n".join([*lines, *(f"    {_line(fault)}" for fault in some)]))
    atomic.write_bytes(path, ("\n\n".join(blocks) + "\n").encode(errors="backslashreplace"))


def _grouped(faults: Mapping[str, Sequence[UserError]]) -> Groups:
    groups: Groups = {}
    for domain, some in faults.items():
        for fault in some:
            groups.setdefault((domain, fault.allowed, fault.fix), []).append(fault)
    return groups


def _shown(key: tuple[str, str, str], faults: Sequence[UserError], several: bool) -> list[str]:
    """Return the lines of a group for the screen; with its fix if there are several groups."""
    domain, allowed, fix = key
    shown = SHOWN_OF_SEVERAL if several else SHOWN
    lines = [f"  {_cut(_line(fault))}" for fault in faults[:shown]]
    if len(faults) > shown:
        lines.append(f"  and {len(faults) - shown} more")
    if several:
        lines = [f"  {domain or 'faults'} ({len(faults)}):", *(f"  {line}" for line in lines)]
        lines += [_cut(f"    allowed: {allowed}"), f"    do: {fix}"]
    return lines


def _line(fault: UserError) -> str:
    return " ".join([f"{fault.where}: {fault.found}", *map(str.strip, fault.details)])


def _cut(line: str) -> str:
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 3]}..."
