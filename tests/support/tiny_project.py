"""A tiny experiment on the toy city, whose jobs run in the working directory."""

from __future__ import annotations

import copy
import shutil
from functools import cache
from pathlib import Path
from typing import Any

from intrada.__main__ import main
from intrada.core.config import plain_yaml
from tests.support.definition import ROOT, jobs

PRESET = ROOT / "presets/toycity.yaml"
PARAMS = Path("params.yaml")
# All jobs of dvc.yaml up to the report, in an order in which they can run.
ORDER = (
    "toycity@source", "toycity@target", "check", "preprocess@source", "preprocess@target", "preprocess@val",
    "join@sources", "join@target_labelled", "train_source", "train_inter", "score", "rank", "pseudo_label", "train_intra",
    "evaluate_snapshots@source", "evaluate_snapshots@inter", "evaluate_snapshots@intra",
    "evaluate@inter", "evaluate@source", "evaluate@intra", "analyse",
)  # fmt: skip


# Settings of the method mean_teacher, of which some are not its presets': every loss has some weight.
SELF_TRAINING: dict[str, Any] = {
    "decay": 0.9, "batch_norm": "train", "confidence": "image_share", "threshold": 0.3, "weight": 1.0,
    "mix": "source_on_target", "curriculum": "none", "saved": "student", "adversary": "advent",
    "strong": {"colour": {
        "brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.1, "probability": 0.8}},
    "margins": {"bottom": 0.1}, "masked": {"block": 8, "ratio": 0.5, "weight": 0.5},
    "feature_distance": {"weight": 0.005, "classes": ["car", "person"], "min_share": 0.5},
}  # fmt: skip


@cache
def _parsed(text: str) -> dict[str, Any]:
    loaded: dict[str, Any] = plain_yaml.parse(text)
    return loaded


def tree() -> dict[str, Any]:
    """Return a params tree with which every stage runs for about a second."""
    params = copy.deepcopy(_parsed(PRESET.read_text(encoding="utf-8")))
    params["compute"] |= {"device": "cpu", "threads": 1, "inference_threads": 1}
    params["toycity"]["source"] |= {"images": 12, "size": [96, 48]}
    params["toycity"]["target"] |= {"train": 10, "val": 6, "size": [96, 48]}
    for domain in params["preprocess"].values():
        domain |= {"size": [64, 32], "allow_absent": list(params["classes"])}
    for stage in ("train_source", "train_inter", "train_intra"):
        params[stage] |= {"iterations": 4, "max_iters": 4, "batch_size": 2, "log_every": 2}
        params[stage] |= {
            "checkpoint_every": 2,
            "snapshot_every": 3,
            "discriminator": {"lr": 5.0e-4, "width": 2},
        }
    params["score"]["batch_size"] = params["evaluate"]["batch_size"] = 4
    params["evaluate"] |= {"samples": 1, "gallery": 3}
    params["evaluate_snapshots"] |= {"batch_size": 4, "images": 5}
    return params


def change(params: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Set keys of the tree, with `__` for the dot (rank__easy_fraction=0.5), and return it."""
    for key, value in changes.items():
        *above, last = key.split("__")
        block = params
        for name in above:
            block = block[name]
        block[last] = value
    return params


def write_params(params: dict[str, Any]) -> None:
    """Write the params.yaml of the working directory."""
    PARAMS.write_text(plain_yaml.dump(params), encoding="utf-8")


def start(folder: Path) -> None:
    """Write what a checkout has before any stage has run: params and the marker for random weights."""
    (folder / "weights").mkdir()
    (folder / "weights/random").touch()
    (folder / PARAMS).write_text(plain_yaml.dump(tree()), encoding="utf-8")


def forget_records() -> None:
    """Remove the records of the runs: every file counts as the user's own and may be edited."""
    shutil.rmtree("logs/provenance")


def run(name: str, **options: str) -> int:
    """Run a job of dvc.yaml in this process and return its exit code; `options` replace its own."""
    job = jobs(_parsed(PARAMS.read_text(encoding="utf-8")))[name]
    chosen = job.options | options
    return main([job.word, *(part for key, value in chosen.items() for part in (_flag(key), value))])


def _flag(option: str) -> str:
    return f"--{option.replace('_', '-')}"
