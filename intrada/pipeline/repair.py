"""`verify --repair`: move damaged files aside, so that DVC restores it or computes it again.

Nothing is deleted. DVC itself does not repair: it restores a damaged object of its cache as it is, and when
a stage is computed again it keeps the object that is there.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path

from intrada.core import atomic, files, hashing
from intrada.pipeline import cache_objects, dvc_api, dvc_recovery, locked_outs, records
from intrada.pipeline.expected import Expected
from intrada.pipeline.verification import UNRECORDED

FOLDER = "damaged"  # in DVC's folder for temporary files


@dataclass(frozen=True)
class Repaired:
    """What was done. moved: path -> why; restored: object of DVC's cache -> the file that it is copied from.

    folder: where the moved files are; jobs: those whose record was moved.
    """

    folder: Path
    moved: dict[Path, str] = field(default_factory=dict)
    restored: dict[Path, Path] = field(default_factory=dict)
    jobs: list[str] = field(default_factory=list)


def repair(folder: Path) -> Repaired:
    """Check the DVC project of `folder`: its cache, its outputs and, in the working directory, the records.

    Every byte is read. Damaged files are moved to .dvc/tmp/damaged/. An object of the cache is written again
    if an output has its bytes. UserError if there is no DVC project, or while a stage runs.
    """
    with dvc_recovery.undisturbed(folder) as repo:
        root, objects = Path(repo.root_dir), dvc_api.cache_folder(repo)
        is_here = root == Path.cwd().resolve()
        project = Path() if is_here else root
        done = Repaired(Path(repo.tmp_dir) / FOLDER / datetime.now(UTC).strftime("%Y%m%dT%H%M%S"))
        found, damaged_records = records.scan() if is_here else ([], {})
        damaged_records |= records.damaged_lists() if is_here else {}
        matches = partial(locked_outs.matches, of_file=cache(locked_outs.md5))  # reads every byte
        expected = Expected(found, cache(hashing.file_hash), matches, project)
        for path in _dangling(expected):
            _move(done, path, path.relative_to(project), "a link to a file that does not exist")
        # before the cache: with hard links or symbolic links an output shows the bytes of the object
        for path, why in _damaged_outputs(expected, project):
            _move(done, path, path.relative_to(project), why)
        for path in cache_objects.damaged(objects):
            _move(
                done, path, Path("cache", path.parent.name, path.name), "its bytes are not those of its name"
            )
        for path in dvc_api.damaged_runs(repo):
            _move(done, path, Path("runs", path.name), "is no intact entry of DVC's run cache")
            with suppress(OSError):  # not empty; DVC fails at an empty folder of entries
                path.parent.rmdir()
        for path, why in damaged_records.items():
            _move(done, path, path, why)
            done.jobs.extend([path.parent.name] * path.is_relative_to(records.FOLDER / "jobs"))
        lost = {
            path.parent.name + path.name.removesuffix(".dir")
            for path in done.moved
            if objects in path.parents
        }
        if lost:
            outputs = [path for path in expected.outputs if path.exists()]
            done.restored.update(cache_objects.put_back(objects, lost, outputs))
        return done


def _dangling(expected: Expected) -> list[Path]:
    """Return the links to nothing among the outputs: with symbolic links, objects that the cache has lost."""
    listed = [
        file for path in expected.outputs for file in (files.list_files(path) if path.is_dir() else [path])
    ]
    return [path for path in listed if path.is_symlink() and not path.exists()]


def _damaged_outputs(expected: Expected, project: Path) -> list[tuple[Path, str]]:
    """Return the damaged files among the outputs, each with what is wrong."""
    found: list[tuple[Path, str]] = []
    for path in expected.outputs:
        name = path.relative_to(project)
        recorded = UNRECORDED.isdisjoint([name, *name.parents])
        if recorded and path.exists() and not expected.is_expected(path):
            damage = expected.damage(path)
            found += [(file, damage.found) for file in damage.paths]
    return found


def _move(done: Repaired, path: Path, name: Path, why: str) -> None:
    """Move a file or folder to the folder of damaged files, under `name`."""
    target = done.folder / name
    with atomic.writing(path):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)
    done.moved[path] = why
