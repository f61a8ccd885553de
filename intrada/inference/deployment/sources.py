"""Find the images and videos that command-line arguments name, and the name of the results of each."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from intrada.core import files
from intrada.core.errors import UserError
from intrada.data.datasets.base import IMAGE_SUFFIXES

VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".m4v", ".webm", ".mpg", ".mpeg", ".wmv")
RESULTS = ("prediction", "entropy", "overlay", "label_ids", "0_overlay.mp4")  # in the folder of the results
TABLE, PATH = ".csv", "path"  # ending of a table of images, and the column with their paths
_WILD = "*?["
_ALLOWED = (
    f"images ({' '.join(IMAGE_SUFFIXES)}), videos ({' '.join(VIDEO_SUFFIXES)}), folders, quoted globs, "
    f"tables ({TABLE}) with a column {PATH}"
)


@dataclass(frozen=True)
class Source:
    """An image or a video. name: of its results, without suffix; it contains / for a file in a subfolder."""

    name: str
    path: Path


@dataclass(frozen=True)
class Sources:
    """Each file once, in the order of the arguments; the files of a folder or a glob are sorted.

    failed: (name, error) of each file that no result can be named after.
    """

    images: list[Source]
    videos: list[Source]
    failed: list[tuple[str, UserError]]


@dataclass(frozen=True)
class _Match:
    """A file. relative: its path below `root`, the folder of the argument that named it."""

    root: Path
    relative: Path

    @property
    def path(self) -> Path:
        return self.root / self.relative


def collect(words: Sequence[str], out: Path) -> Sources:
    """Return the files that `words` name.

    A word is a file, a folder (its images, at any depth), a glob, or a table with a column `path`: images,
    relative to the working directory.

    The name of a result is the path below the deepest folder that holds all files (for a glob: the folders
    before its first wildcard), so that equal file names in several folders get different names.
    UserError if a word names no file, if two sources have one name, or if `out` is in a folder of images: the
    next run would read the results as images.
    """
    matches: dict[Path, _Match] = {}
    for word in words:
        for match in _expand(word, out.resolve()):
            matches.setdefault(match.path, match)
    top = Path(os.path.commonpath([match.root for match in matches.values()]))
    sources = Sources([], [], [])
    for path in matches:
        try:
            source = Source(_name(path, top), path)
        except UserError as error:
            sources.failed.append((error.where, error))
        else:
            (sources.videos if _is_video(path) else sources.images).append(source)
    _refuse_twice(sources)
    return sources


def _expand(word: str, out: Path) -> Iterator[_Match]:
    """Yield the images and videos of one word; UserError if there is none."""
    path = Path(word)
    count = 0
    if _catches(path, out):
        raise _inside(out, path)
    for root, match in _matches(path):
        if match.is_dir():
            if out.is_relative_to(match.resolve()):
                raise _inside(out, match)
            inner = _images_of(match) or ([match] if _is_image(match) and match != root else [])
        else:
            inner = [match] if _is_image(match) or _is_video(match) else []
        for file in inner:
            if Path(os.path.realpath(file)).is_relative_to(out):
                raise _inside(out, file)
            count += 1
            yield _Match(root.resolve(), file.relative_to(root))
    if not count:
        is_known = _exists(path) or set(word) & set(_WILD)
        found = "no image or video" if is_known else "no such file or folder"
        raise UserError(word, found, _ALLOWED, "fix the path; put a glob in quotes")


def _images_of(folder: Path) -> list[Path]:
    """Return the images below `folder`, and the folders without images that are called like an image."""
    images = [file for file in files.list_files(folder) if _is_image(file) and _is_visible(file, folder)]
    for path in sorted(folder.rglob("*")):
        if _is_image(path) and path.is_dir() and _is_visible(path, folder):
            images += [] if any(file.is_relative_to(path) for file in images) else [path]
    return images


def _catches(path: Path, out: Path) -> bool:
    """Return whether the glob `path` would match a result in `out`."""
    wild = _first_wild(path)
    if wild is None or _exists(path):
        return False
    base = Path(*path.parts[:wild]).resolve()
    if not out.is_relative_to(base):
        return False
    patterns, names = path.parts[wild:], out.relative_to(base).parts
    for pattern, name in zip(patterns, names, strict=False):
        if "**" in pattern:
            return True
        if not fnmatch(name, pattern):
            return False
    rest = patterns[len(names) :]  # none: the glob matches a folder, whose images are read at any depth
    return not rest or any(fnmatch(name, rest[0]) for name in RESULTS)


def _first_wild(path: Path) -> int | None:
    """Return the index of the first part of a path that has a wildcard."""
    return next((index for index, part in enumerate(path.parts) if set(part) & set(_WILD)), None)


def _matches(path: Path) -> list[tuple[Path, Path]]:
    """Return (folder that names are relative to, file or folder) for each match of a path, table or glob."""
    if path.suffix.lower() == TABLE and not path.is_dir():
        rows = files.read_csv(path, [PATH])
        return [(Path(name).parent, Path(name)) for name in map(str, rows[PATH])]
    if _exists(path) or path.is_symlink():
        return [(path if path.is_dir() else path.parent, path)]
    wild = _first_wild(path)
    if wild is None:
        return []
    base = Path(*path.parts[:wild])
    try:
        matches = sorted(base.glob(str(Path(*path.parts[wild:]))))
    except (OSError, ValueError) as error:
        raise files.unreadable(path, error, _ALLOWED) from error
    return [(base, match) for match in matches if _is_visible(match, base)]


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError) as error:  # too long a name, a closed folder
        raise files.unreadable(path, error, _ALLOWED) from error


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES


def _is_visible(path: Path, folder: Path) -> bool:
    """Not hidden: macOS leaves ._photo.jpg beside photo.jpg on foreign disks."""
    return not any(part.startswith(".") for part in path.relative_to(folder).parts)


def _name(path: Path, top: Path) -> str:
    name = path.relative_to(top).with_suffix("").as_posix()
    if not name.isprintable() or len(path.name.encode(errors="replace")) > files.MAX_ID_BYTES:
        allowed = f"printable names of at most {files.MAX_ID_BYTES} bytes"
        raise UserError(repr(str(path)), "a name that no result can have", allowed, "rename it")
    return name


def _inside(out: Path, path: Path) -> UserError:
    return UserError(
        "--out",
        f"{out} and {path} are inside each other",
        "a folder outside those of the images: the next run would read the results as images",
        "name another folder",
    )


def _refuse_twice(sources: Sources) -> None:
    """Refuse two results with one name. The frames of a video are called VIDEO/NUMBER."""
    videos, images = dict[str, Path](), dict[str, Path]()
    for source in [*sources.videos, *sources.images]:
        same_kind = videos if _is_video(source.path) else images
        parents = [] if same_kind is videos else PurePosixPath(source.name).parents
        owners = [same_kind.get(source.name), *(videos.get(str(parent)) for parent in parents)]
        if other := next(filter(None, owners), None):
            raise UserError(
                source.path,
                f"its results would be called {source.name}, as the results of {other} or below them",
                "names that differ without their suffixes",
                "rename one of the two, or predict them into two folders",
            )
        same_kind[source.name] = source.path
