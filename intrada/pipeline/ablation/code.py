"""One fingerprint for the code of a job, or two hundred stages would list and hash fifty files each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from intrada.core import files, hashing
from intrada.core.config import plain_yaml

DVC = Path("ablation/dvc.yaml")


def write(job: str) -> None:
    """The fingerprint of the code that stage `code_<job>` of ablation/dvc.yaml names, into its output."""
    loaded: Any = plain_yaml.read(DVC)
    stage = loaded["stages"][f"code_{job}"]
    found = {path: hashing.fingerprint(Path(path)) for path in stage["deps"]}
    with files.atomic_file(Path(stage["outs"][0])) as temporary:
        temporary.write_text(hashing.joint_fingerprint(found) + "\n", encoding="utf-8")
