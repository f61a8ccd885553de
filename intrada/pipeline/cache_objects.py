"""The objects of DVC's cache: files named by the MD5 of their bytes.

DVC trusts an object that is read-only: it does not read it again, and restores it as it is.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tqdm import tqdm

from intrada.core import atomic, plain_text
from intrada.core.errors import UserError
from intrada.core.file_errors import unreadable
from intrada.core.file_lists import list_files
from intrada.pipeline import dvc_api, locked_outs
from intrada.pipeline.locked_outs import LockedOut

REPAIR = "python -m intrada verify --repair"
MODE = 0o444  # of an object that DVC trusts
_NAME = re.compile("[0-9a-f]{30}([.]dir)?")  # the first two digits are the folder's name


def listed(cache: Path) -> list[Path]:
    """Return all objects below the folder `cache`, sorted; no temporary files."""
    return sorted(path for path in cache.glob("[0-9a-f][0-9a-f]/*") if _NAME.fullmatch(path.name))


def path_of(cache: Path, md5: str, is_folder: bool = False) -> Path:
    """Return the path of an object. is_folder: it is DVC's list of a folder's files."""
    return cache / md5[:2] / f"{md5[2:]}{'.dir' * is_folder}"


def damaged(cache: Path) -> list[Path]:
    """Read all objects below `cache` and return those whose bytes do not have the MD5 in their name.

    UserError for one that cannot be read.
    """

    def is_damaged(path: Path) -> bool:
        try:
            return locked_outs.md5(path) != path.parent.name + path.name.removesuffix(".dir")
        except FileNotFoundError:  # removed meanwhile
            return False
        except OSError as error:
            raise unreadable(path, error, "an object of DVC's cache that this user may read") from error

    objects = listed(cache)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = tqdm(
            pool.map(is_damaged, objects),
            "reading DVC's cache",
            len(objects),
            unit="file",
            disable=plain_text.is_bar_hidden(),
        )
        return [path for path, wrong in zip(objects, found, strict=True) if wrong]


def put_back(cache: Path, md5s: set[str], outputs: Iterable[Path]) -> dict[Path, Path]:
    """Write objects anew from the outputs that hold the same bytes. Returns object -> output.

    md5s: names of missing objects. Without them DVC would compute the outputs again.
    """
    done: dict[Path, Path] = {}
    for output in outputs:
        if output.is_dir():
            text = locked_outs.folder_list(output, locked_outs.md5)
            if (name := locked_outs.digest(text)) in md5s:
                target = path_of(cache, name, is_folder=True)
                atomic.write_bytes(target, text)
                done[target] = output
        for file in list_files(output) if output.is_dir() else [output]:
            if (name := locked_outs.md5(file)) in md5s:
                target = path_of(cache, name)
                with atomic.atomic_file(target) as temporary:
                    shutil.copyfile(file, temporary)
                done[target] = file
    for target in done:
        target.chmod(MODE)
    return done


def refuse_wrong_sizes(repo: Any) -> None:
    """Raise UserError if objects that dvc.lock names have another size than it says, such as 0 bytes.

    A power cut leaves such files. DVC would restore them. No content is read, so this takes a moment.
    """
    root, cache = Path(repo.root_dir), dvc_api.cache_folder(repo)
    wrong = [path.as_posix() for path, out in locked_outs.read(root).items() if _has_wrong_size(cache, out)]
    if wrong:
        raise UserError(
            os.path.relpath(cache),
            f"damaged files (other sizes than in dvc.lock), as after a power cut, of: {', '.join(wrong)}",
            "files as DVC wrote them, or none",
            f"`{REPAIR}`, which moves them aside; then the same command again",
        )


def _has_wrong_size(cache: Path, out: LockedOut) -> bool:
    """Return whether objects of the output are there, and have another size than dvc.lock says."""
    try:
        path = path_of(cache, out.md5, out.is_folder)
        if not out.is_folder:
            return out.size is not None and path.stat().st_size != out.size
        entries = json.loads(path.read_text(encoding="utf-8"))
        sizes = [path_of(cache, entry["md5"]).stat().st_size for entry in entries]
        return out.size is not None and sum(sizes) != out.size
    except FileNotFoundError:  # not in the cache: DVC computes it
        return False
    except (AttributeError, KeyError, TypeError, ValueError):
        return True
