"""One fingerprint for the code of a job, or two hundred stages would list and hash fifty files each."""

from __future__ import annotations

from typing import Any

from intrada.core import files, hashing
from intrada.core.config import plain_yaml
from intrada.pipeline.ablation.places import FOLDER


def write(job: str) -> None:
    """The fingerprint of the code that stage `code_<job>` of ablation/dvc.yaml names, into its output."""
    loaded: Any = plain_yaml.read(FOLDER / "dvc.yaml")
    stage = loaded["stages"][f"code_{job}"]
    found = {path: hashing.fingerprint(FOLDER / path) for path in stage["deps"]}
    with files.atomic_file(FOLDER / stage["outs"][0]) as temporary:
        temporary.write_text(hashing.joint_fingerprint(found) + "\n", encoding="utf-8")
