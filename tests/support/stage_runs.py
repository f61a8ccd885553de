"""Runs of single stages of the tiny project."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from intrada.core import files
from tests.support.tiny_project import change, tree, write_params

CLASSES: list[str] = tree()["classes"]
TARGET, LABELS = Path("data/preprocess/target"), Path("data/preprocess/target_labels")
TARGET_IMAGES = 10


def contents(paths: Sequence[str | Path]) -> dict[str, bytes]:
    """Return the bytes of every file at or below `paths`, by its path."""
    by_path: dict[str, bytes] = {}
    for path in map(Path, paths):
        for file in files.list_files(path) if path.is_dir() else [path]:
            by_path[file.as_posix()] = file.read_bytes()
    return by_path


def use(**changes: Any) -> dict[str, Any]:
    params = change(tree(), **changes)
    write_params(params)
    return params
