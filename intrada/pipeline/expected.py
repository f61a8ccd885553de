"""What is recorded of the pipeline's outputs, and whether the present files agree with it.

An output is as it was written if a record of a run has its content, or if dvc.lock names its content: it may
come from a run in another checkout. Records of this checkout are compared first, since their hashes are
cached. A file that neither of them names is the user's own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from intrada.core import files, hashing
from intrada.pipeline import locked_outs, records
from intrada.pipeline.locked_outs import LockedOut
from intrada.pipeline.records import Record

SHOWN = 3  # names of files in one line
Names = set[str] | None  # names of files in an output folder; None: all of it
Matches = Callable[[Path, LockedOut], bool]


@dataclass(frozen=True)
class Damage:
    """An output with other content than recorded. job: that wrote it; found: what is wrong, for a message.

    paths: the files that differ or were added; the output itself if it is not known which.
    """

    path: Path
    job: str
    found: str
    paths: list[Path]


class Expected:
    """The recorded outputs of the working directory's project.

    file_hash: hash of one file, as `hashing.file_hash`; matches: compares an output with dvc.lock, as
    `locked_outs.matches`; project: the folder of dvc.lock.
    """

    def __init__(
        self,
        found: Sequence[Record],
        file_hash: Callable[[Path], str],
        matches: Matches = locked_outs.cached_matches,
        project: Path = Path(),
    ) -> None:
        self._file_hash, self._matches, self._project = file_hash, matches, project
        self._real = cache(os.path.realpath)
        self._versions: dict[Path, dict[str, Record]] = {}  # output -> fingerprint -> the last record
        self._names: dict[Path, Path] = {}  # output -> its path in the record or in dvc.lock
        for record in found:
            for name, fingerprint in record.outputs.items():
                self._versions.setdefault(self._place(name), {})[fingerprint] = record
                self._names[self._place(name)] = Path(name)
        self._locked = self._read_lock(locked_outs.read)

    @property
    def outputs(self) -> list[Path]:
        """The paths of all outputs that are recorded or in dvc.lock."""
        return list(self._names.values())

    def is_output(self, path: Path) -> bool:
        """Return whether a record or dvc.lock names `path` as an output."""
        return self._place(path) in self._names

    def locked_only(self) -> Iterator[tuple[Path, LockedOut]]:
        """Yield the outputs that dvc.lock names, but no record."""
        for spot, out in self._locked.items():
            if spot not in self._versions:
                yield self._names[spot], out

    def is_expected(self, path: Path) -> bool:
        """Return whether the output has the content of a record or of dvc.lock."""
        return self.written_by(path) is not None or self.is_locked(path)

    def writer(self, path: str) -> list[str]:
        """Return the name of the job that writes the output, if it is known."""
        spot = self._place(path)
        jobs = [record.job for record in self._versions.get(spot, {}).values()]
        return jobs[-1:] or ([self._locked[spot].stage] if spot in self._locked else [])

    def read_by(self, paths: Iterable[Path]) -> dict[Path, Names]:
        """Return the outputs that `paths` name, lie in or contain, with the names of the files in them."""
        found: dict[Path, Names] = {}
        folder_of = cache(self._folder_of)
        for path in paths:
            spot = self._place(path)
            if spot in self._names:
                found[spot] = None
            elif (folder := folder_of(spot.parent)) is not None:
                names = found.setdefault(folder, set())
                if names is not None:
                    names.add(spot.relative_to(folder).as_posix())
            elif path.is_dir():
                found |= {out: None for out in self._names if out.is_relative_to(spot)}
        return {self._names[spot]: names for spot, names in found.items()}

    def written_by(self, path: Path, names: Names = None) -> Record | None:
        """Return the record of the last run that wrote the output as it is now, or None.

        names: compare only these files of the folder `path`.
        """
        versions = self._versions.get(self._place(path), {})
        if names is not None:
            now = {name: hashing.fingerprint(path / name, self._file_hash) for name in names}
            for fingerprint, record in reversed(versions.items()):
                if now.items() <= records.files_of(fingerprint).items():
                    return record
        if not versions or not path.exists():
            return None
        return versions.get(hashing.fingerprint(path, self._file_hash))

    def is_locked(self, path: Path) -> bool:
        """Return whether the output has the content that dvc.lock names."""
        spot = self._place(path)
        if spot in self._locked and self._matches(path, self._locked[spot]):
            return True
        before = self._locked.get(spot)
        self._locked = self._read_lock(locked_outs.settled)  # DVC may have been writing it
        after = self._locked.get(spot)
        return after is not None and after != before and self._matches(path, after)

    def damage(self, path: Path) -> Damage:
        """Describe an output that exists and is neither as a run wrote it nor as in dvc.lock."""
        versions = self._versions.get(self._place(path), {})
        if not versions:
            job = self._locked[self._place(path)].stage
            return Damage(path, job, f"{_other(path)} than dvc.lock names", [path])
        job = list(versions.values())[-1].job
        listings = [names for fingerprint in versions if (names := records.files_of(fingerprint))]
        if not (path.is_dir() and listings):
            return Damage(path, job, f"{_other(path)} than {job} wrote", [path])
        paths = {file.relative_to(path).as_posix(): file for file in files.list_files(path)}
        now = {name: hashing.fingerprint(file, self._file_hash) for name, file in paths.items()}
        written = max(reversed(listings), key=lambda listing: len(listing.items() & now.items()))
        differing = [name for name in now if now[name] != written.get(name)]
        empty = [name for name in differing if paths[name].stat().st_size == 0]
        note = f" (0 bytes: {shorten(empty)})" if empty else ""
        what = f"not as {job} wrote it: {differences(written, now)}{note}"
        return Damage(path, job, what, [paths[name] for name in differing])

    def _place(self, path: str | Path) -> Path:
        """Return the absolute path with the links of its folders followed, not a link that it is itself."""
        spot = Path(path).absolute()
        return Path(self._real(spot.parent), spot.name)

    def _folder_of(self, folder: Path) -> Path | None:
        """Return the output that is this folder, or contains it."""
        return next((spot for spot in (folder, *folder.parents) if spot in self._names), None)

    def _read_lock(self, read: Callable[[Path], dict[Path, LockedOut]]) -> dict[Path, LockedOut]:
        outs = {self._project / name: out for name, out in read(self._project).items()}
        for path in outs:
            self._names.setdefault(self._place(path), path)
        return {self._place(path): out for path, out in outs.items()}


def _other(path: Path) -> str:
    is_empty = path.is_file() and path.stat().st_size == 0
    return "an empty file (0 bytes), other content" if is_empty else "other content"


def differences(written: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Return the changed, missing and added files of a folder, for a message. name -> fingerprint."""
    kinds = {
        "changed": [name for name in written if name in now and now[name] != written[name]],
        "missing": [name for name in written if name not in now],
        "added": [name for name in now if name not in written],
    }
    return "; ".join(f"{kind} {shorten(names)}" for kind, names in kinds.items() if names)


def shorten(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
