"""Refuse outputs that would destroy inputs, before anything is opened for writing or removed.

No output may be, contain or lie in: an input of the same call, the params file, the raw data that it names,
another output, DVC's cache and local remotes, or a file of the project. Files and folders are compared by
device and inode, so that links, hard links and file systems without case make no difference.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from errno import ELOOP
from functools import cache
from pathlib import Path
from typing import Any

from intrada.core.errors import UserError
from intrada.core.stage import Argument, In, Out
from intrada.pipeline import kept_files
from intrada.pipeline.kept_files import Kept

PARAMS = Path("params.yaml")
_Key = tuple[Any, ...]


def check(
    marks: Mapping[str, object],
    options: Mapping[str, Any],
    named: Iterable[Path] = (),
    params: Path | None = None,
    values: Mapping[str, Any] | None = None,
) -> None:
    """Raise UserError for an output in `options` that would destroy something.

    marks: the types of the options of a stage or command; named: files that the inputs name, as an index
    does; params: the params file, if it is not one of the options; values: its values with those of `--set`.
    """
    outputs = {
        key: mark for key, mark in marks.items() if isinstance(mark, Out) and options.get(key) is not None
    }
    if not outputs:
        return
    inputs = list(_inputs(marks, options))
    settings = [
        PARAMS,
        *([params] if params else []),
        *(kept.path for kept in inputs if kept_files.is_yaml(kept.path)),
    ]
    blocks = {path: kept_files.blocks(path) for path in settings}
    if values is not None:
        blocks[Path("--set")] = dict(values)
    raw = [
        Kept(path, f"raw data that {file} names", links=True)
        for file, block in blocks.items()
        for name in kept_files.OF_DATA
        for path in kept_files.raw_of(block.get(name))
    ]
    drawn = {root for block in blocks.values() for root in kept_files.roots_of(block.get(kept_files.TOY))}
    inputs += [Kept(path, "the params file") for path in settings]
    inputs += [Kept(path, "a file that an input names") for path in named]
    always, theirs = _Index(inputs), _Index(kept for kept in raw if kept.path not in drawn)
    toy = _Index(kept for kept in raw if kept.path in drawn)
    for key, mark in outputs.items():
        path, flag = Path(options[key]), _flag(key)
        _refuse_special(flag, path)
        if mark.inside and (path.is_absolute() or ".." in path.parts):
            raise _outside(flag, path)
        others = [
            Kept(Path(options[other]), f"the output {_flag(other)}") for other in outputs if other != key
        ]
        own = _Index([*others, *kept_files.of_projects(path, mark)])
        # a command may add files to a folder that exists, and so write through the links in it
        written = [path, *(target for target in _linked(path) if target.is_dir())]
        for index in (always, theirs, own) if mark.raw else (always, theirs, toy, own):
            for place in written:
                index.refuse(flag, place)


def relation(path: Path, other: Path) -> str | None:
    """Return how `path` relates to `other`: "is", "lies in", "contains" or None. Links count as targets."""
    found = _Index([Kept(other, "")]).find(path)
    return found[0] if found else None


class _Index:
    """Files and folders by their keys. A path's chain: its own key, then those of all folders above it."""

    def __init__(self, kept: Iterable[Kept]) -> None:
        self._folders = cache(_above)
        self._own: dict[_Key, tuple[Path, str]] = {}
        self._above: dict[_Key, tuple[Path, str]] = {}
        for one in kept:
            for path in [one.path, *(_linked(one.path) if one.links else ())]:
                if "\0" in str(path):  # no file has such a name, which the stage reports
                    continue
                key, *above = self._chain(path)
                for own in (key, self._name(path)):
                    self._own.setdefault(own, (path, one.what))
                if not self._above.keys() >= set(above):
                    self._above |= {folder: (path, one.what) for folder in above if folder not in self._above}

    def find(self, output: Path) -> tuple[str, Path, str] | None:
        """Return "is", "lies in" or "contains", and the path and role of what `output` would destroy."""
        chain = self._chain(output)
        if _is_shared(output):  # a stage replaces the name, and leaves the shared content as it is
            chain = [self._name(output), *self._chain(output.parent)]
        for key in chain:
            if key in self._own:
                return "is" if key == chain[0] else "lies in", *self._own[key]
        return ("contains", *self._above[chain[0]]) if chain[0] in self._above else None

    def refuse(self, flag: str, output: Path) -> None:
        """Raise UserError if `output` is, contains or lies in one of the files and folders."""
        if found := self.find(output):
            how, path, what = found
            raise UserError(
                flag,
                f"{output} {how} {what if path == output else f'{path}, {what}'}",
                "an output that neither is, contains nor lies in an input, raw data, the params file, another"
                " output, DVC's cache or a file of the project; a link counts as its target",
                "name another output, or fix the path of the input; nothing was written or removed",
            )

    def _chain(self, path: Path) -> list[_Key]:
        folder, name = _split(path)
        above = self._folders(folder)
        try:
            found = os.lstat(path)
        except (OSError, ValueError):  # ValueError: a zero byte in the name
            return [(*above[0], _folded(name)), *above]
        if not stat.S_ISLNK(found.st_mode):
            return [(found.st_dev, found.st_ino), *above]
        target = os.path.realpath(path)
        return [_key(target), *above, *self._folders(_split(target)[0])]

    def _name(self, path: Path) -> _Key:
        folder, name = _split(path)
        return (*self._folders(folder)[0], "name", name)


def _split(path: Path | str) -> tuple[str, str]:
    """Return the folder and the name of a path. A link that is its last part is kept."""
    folder, name = os.path.split(path)
    return (folder or ".", name) if name not in ("", ".", "..") else os.path.split(os.path.realpath(path))


def _above(folder: str) -> tuple[_Key, ...]:
    """Return the keys of `folder` and of all folders above it, by its name and by its real path."""
    real = Path(os.path.realpath(folder))
    named = [] if ".." in Path(folder).parts else [Path(folder).absolute()]
    return tuple(
        dict.fromkeys(_key(str(above)) for path in [*named, real] for above in (path, *path.parents))
    )


def _key(path: str) -> _Key:
    """Return what is equal for two names of one file: its device and inode; else its name in its folder."""
    try:
        found = Path(path).stat()
    except OSError as error:
        # links that go round have no real path: realpath returns another of them, without end
        folder, name = os.path.split(path if error.errno == ELOOP else os.path.realpath(path))
        return (*_key(folder), _folded(name)) if name else (folder,)
    return found.st_dev, found.st_ino


def _folded(name: str) -> str:
    """Return a name without differences that some file systems ignore: of case, and of combining marks."""
    return unicodedata.normalize("NFC", name).casefold()


def _is_shared(path: Path) -> bool:
    """Return whether a file is an object of DVC's cache under another name (cache types hardlink, symlink).

    Files of equal content then are one file. DVC removes the permission to write to it.
    """
    try:
        found = path.stat()
    except OSError:
        return False
    if not stat.S_ISREG(found.st_mode) or found.st_mode & 0o222:
        return False
    real = Path(os.path.realpath(path))
    in_cache = any(
        real.is_relative_to(os.path.realpath(folder))
        for folder in kept_files.caches(kept_files.project_of(path.parent))
    )
    return in_cache if path.is_symlink() else found.st_nlink > 1


def _linked(folder: Path) -> Iterator[Path]:
    """Yield the targets of all links below `folder`, those behind links included."""
    pending, seen = [folder], set[str]()
    while pending:
        current = os.path.realpath(pending.pop())
        if current in seen:
            continue
        seen.add(current)
        try:
            with os.scandir(current) as entries:
                for entry in entries:
                    if entry.is_symlink():
                        yield Path(os.path.realpath(entry.path))
                    if entry.is_dir():
                        pending.append(Path(entry.path))
        except OSError:  # a file, or a folder whose reader reports the error
            continue


def _inputs(marks: Mapping[str, object], options: Mapping[str, Any]) -> Iterator[Kept]:
    """Yield every input: paths of options other than outputs, and arguments that name a file or folder."""
    for key, value in options.items():
        mark = marks.get(key)
        values = value if isinstance(value, list) else [value]
        if isinstance(mark, Argument):
            paths = [Path(word) for word in values if word and os.path.lexists(word)]
            yield from (Kept(path, f"the input {key.upper()}", links=True) for path in paths)
        elif not isinstance(mark, Out):
            raw = isinstance(mark, In) and mark.raw
            paths = [path for path in values if isinstance(path, Path)]
            yield from (Kept(path, f"the input {_flag(key)}", links=raw) for path in paths)


def _flag(key: str) -> str:
    return f"--{key.replace('_', '-')}"


def _refuse_special(flag: str, path: Path) -> None:
    """Raise UserError for a device, a pipe or a socket, which a renamed file would replace."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # it does not exist, or the writer reports it
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        fix = "name a file; nothing was written or removed"
        raise UserError(
            flag, f"{path} is a device, a pipe or a socket", "a file or folder, existing or new", fix
        )


def _outside(flag: str, path: Path) -> UserError:
    return UserError(
        flag,
        f"{path} is outside of the project's folder {Path.cwd()}",
        "a relative path without .., since the tables that name these files hold paths in the project",
        f"name a folder in the project, such as results/{path.name or 'mine'}; nothing was written",
    )
