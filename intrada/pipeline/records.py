"""The records of the runs: their form, and how they are read (provenance.py writes them).

A record names the records of the runs that wrote its inputs. Its own name is its id: a hash of what it says,
without what may differ when the same run is repeated (UNSTABLE). Whoever edits a record changes its id, and
must then edit every record that names it. `checksum`, within the record, is a hash of all the rest.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intrada.core import hashing

FOLDER = Path("logs/provenance")
UNSTABLE = ("start", "end", "revision", "dirty", "platform", "versions")  # not part of the id
_ADDED = ("records", "id", "checksum", "end", "device", "revision", "dirty")  # not in all earlier versions
_EARLIER = re.compile("[0-9a-f]{32}-[0-9a-f]{32}")  # names of such records
_MAPPINGS = ("params", "outputs", "inputs", "images", "raw", "sizes", "records")


@dataclass(frozen=True)
class Record:
    """The fields of a record that are read. params: by dotted key.

    The other mappings are path -> fingerprint, apart from `records`.
    images: joint fingerprint of the files of an index; raw: of names, sizes and times; sizes: without times.
    records: path -> id of the record of the run that wrote this input. id: "" in a record of an earlier
    version, which has no checksum and names no other record. checksum: of the whole content. device: "cpu"
    or the name of the GPU, None for a stage without torch. revision: of git; dirty: files differed from it.
    """

    job: str
    start: str
    params: dict[str, Any]
    seed: int | None
    outputs: dict[str, str]
    inputs: dict[str, str]
    images: dict[str, str]
    raw: dict[str, str]
    sizes: dict[str, str]
    records: dict[str, str]
    id: str
    checksum: str
    end: str
    device: str | None
    revision: str | None
    dirty: bool | None


def sealed(content: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the id of a record and its content with the checksum. content: values that JSON can hold."""
    plain = json.loads(json.dumps(content))
    return _id(plain), {**plain, "checksum": _hash(plain)}


def scan() -> tuple[list[Record], dict[Path, str]]:
    """Return the records of this checkout, oldest first, and what is wrong with the damaged ones.

    A record that was removed meanwhile is left out.
    """
    found, damaged = list[Record](), dict[Path, str]()
    for path in sorted((FOLDER / "jobs").rglob("[!.]*.json")):  # no temporary files
        try:
            found.append(_read(path))
        except FileNotFoundError:  # a run of the same job wrote it again, or someone removed it
            continue
        except ValueError as error:
            damaged[path] = str(error)
    return sorted(found, key=lambda record: record.start), damaged


def damaged_lists() -> dict[Path, str]:
    """Return what is wrong with the damaged lists of the output folders' files."""
    paths = sorted((FOLDER / "folders").glob("[!.]*.json"))
    why = "was edited or damaged: its content does not match its name"
    return {path: why for path in paths if _listing(path) is None and path.exists()}


def files_of(fingerprint: str) -> dict[str, str]:
    """Return relative name -> fingerprint of the files of the output folder with this fingerprint.

    Empty if there is no list of them, or a damaged one.
    """
    return _listing(FOLDER / "folders" / f"{fingerprint}.json") or {}


def _read(path: Path) -> Record:
    """Return the record at `path`. ValueError if it is damaged or was edited."""
    try:
        text = path.read_text(encoding="utf-8")
        if not text.strip("\0\n "):
            raise ValueError("is empty")
        content = json.loads(text)
        checksum = content.pop("checksum", None)
        names = {name: content[name] for name in Record.__dataclass_fields__ if name not in _ADDED}
        added = {"records": content.get("records", {}), "id": "", "checksum": _hash(content)}
        added |= {name: content.get(name) for name in ("device", "revision", "dirty")}
        added["end"] = content.get("end", content["start"])
    except (OSError, ValueError, AttributeError, KeyError, RecursionError, TypeError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        what = f"no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise ValueError(f"is no record: {what}") from error
    if not _EARLIER.fullmatch(path.stem):
        if checksum != added["checksum"] or path.stem != _id(content):
            raise ValueError("was edited or damaged: its content does not match its name and checksum")
        added["id"] = path.stem
    record = Record(**names, **added)
    if not all(isinstance(getattr(record, name), dict) for name in _MAPPINGS):
        raise ValueError("is no record: " + ", ".join(_MAPPINGS) + " are not all mappings")
    return record


def _listing(path: Path) -> dict[str, str] | None:
    """Return the files of a folder that `path` lists; None if it is missing or damaged."""
    try:
        names: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
        return names if hashing.joint_fingerprint(names) == path.stem else None
    except (OSError, ValueError, AttributeError, TypeError):
        return None


def _id(content: Mapping[str, Any]) -> str:
    return _hash({key: value for key, value in content.items() if key not in UNSTABLE})


def _hash(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
