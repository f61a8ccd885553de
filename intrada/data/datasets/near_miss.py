"""Labels that a pattern does not find, with the folders and files that are there instead."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from intrada.core.errors import UserError
from intrada.data.datasets.patterns import STEM

LEAVE_OUT = "narrow the option `images`, or list them in the option `exclude`"
_NAMED = 3
_COMPARED = 2000  # names of a folder that are compared with the expected one


def missing_labels(
    root: Path, pattern: str, no_labels: str, missing: Sequence[tuple[Path, str]], total: int
) -> list[UserError]:
    """Return one error for each image without a label.

    pattern: of the labels, with {stem}; no_labels: the option for data without labels; missing: image
    and stem of each; total: the number of images.
    """
    expected = [root / pattern.replace(STEM, stem) for _, stem in missing]
    count = f"{len(missing)} of {total} images have none"
    allowed = f"a label for each image of the source, and of evaluation data with `labels`; {count}"
    fix = (
        f"{_instead(expected[0])}fix the dataset's options, add the labels, or leave the images out:"
        f" {LEAVE_OUT}; evaluation data may have none: `{no_labels}`"
    )
    return [
        UserError(image, f"no label {path}", allowed, fix)
        for (image, _), path in zip(missing, expected, strict=True)
    ]


def _instead(expected: Path) -> str:
    """Say what is where a file should be: folders beside a missing one, or files with a similar name."""
    folder = expected.parent
    while not folder.parent.is_dir():
        folder = folder.parent
    if not folder.is_dir():
        beside = _similar(folder.name, [path.name for path in _entries(folder.parent) if path.is_dir()])
        return f"there is no folder {folder}, but {', '.join(beside) or 'nothing'} beside it; "
    there = _similar(expected.name, [path.name for path in _entries(folder) if path.is_file()])
    return f"{folder} has {', '.join(there) or 'no file'}; "


def _entries(folder: Path) -> list[Path]:
    with suppress(OSError):
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    return []


def _similar(name: str, names: Sequence[str]) -> list[str]:
    """Return the names that are most like `name` first: for a.png those are a.tif and a_mask.png."""
    start = name.partition(".")[0].lower()
    same_start = [other for other in names if other.lower().startswith(start)]
    close = difflib.get_close_matches(name, names[:_COMPARED], _NAMED)
    return list(dict.fromkeys([*same_start, *close, *names]))[:_NAMED]
