"""A small project with the user's own images, and checks that a stage refuses invalid inputs."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support import tiny_project
from tests.support.tiny_project import change, write_params

NAMES = {"source": ["a", "b", "c"], "target": ["p", "q", "r", "s"], "val": ["x", "y"]}
PHOTO, MASK = Path("raw/source/photos/b.png"), Path("raw/source/masks/b.png")
OPTIONS: dict[str, Any] = {
    "images": "photos/**/*",
    "labels": "masks/{stem}.png",
    "encoding": "ids",
    "mapping": {"sky": [0], "road": [1], "car": [2]},
    "ignore": [255],
}
# All stages up to the pseudo-labels; the source-only model replaces that of step 1, which saves time.
MODEL = "results/train_source/last.safetensors"
JOBS: tuple[tuple[str, dict[str, str]], ...] = (
    ("check", {}), ("preprocess@source", {}), ("preprocess@target", {}), ("preprocess@val", {}),
    ("join@sources", {}), ("join@target_labelled", {}), ("train_source", {}), ("score", {"model": MODEL}), ("rank", {}), ("pseudo_label", {}),
)  # fmt: skip


def params(**changes: Any) -> dict[str, Any]:
    """Return the params of the small project with changed keys, `__` for the dot (`rank__easy_fraction=0`)."""
    tree = tiny_project.tree()
    tree |= {"classes": ["sky", "road", "car"], "toycity": {}}
    for domain, block in tree["preprocess"].items():
        block |= {"dataset": "folders", "root": f"raw/{domain}", "split": "all", "size": [64, 32]}
        block |= {"options": dict(OPTIONS), "allow_absent": []}
    for stage in ("train_source", "train_inter", "train_intra"):
        tree[stage] |= {"iterations": 2, "max_iters": 2, "log_every": 1}
    tree["rank"] |= {"rule": "mean_entropy", "rare_classes": ["car"]}
    return change(tree, **changes)


# A network of each package that has options of its own.
NETWORKS: tuple[dict[str, Any], ...] = (
    {"name": "timm", "options": {
        "encoder": "test_efficientnet", "head": "mlp", "head_channels": 16, "out_indices": [0, 1], "output_stride": 16,
        "encoder_options": {"drop_rate": 0.1}}},
    {"name": "timm", "options": {"encoder": "test_vit", "head": "linear", "image_size": [64, 32]}},
    {"name": "smp", "options": {
        "architecture": "unet", "encoder": "resnet18", "options": {"decoder_channels": [16, 16, 8, 8, 4]}}},
    {"name": "segformer", "options": {"size": "b0", "drop_path_rate": 0.1}},
)  # fmt: skip


def with_optional_blocks(model: dict[str, Any]) -> dict[str, Any]:
    """Return valid params with every optional key of the schema, and this `model`."""
    tree = params()
    toycity, window = tiny_project.tree()["toycity"], {"size": [32, 32], "stride": [16, 16]}
    colours = {
        "colour": {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.1, "probability": 0.8},
        "gamma": {"exponent": [0.8, 1.2], "probability": 0.5}, "channel_gain": {"gain": 0.1, "probability": 0.5},
        "blur": {"sigma": [0.2, 1.0], "probability": 0.5}, "jpeg": {"quality": [60, 90], "probability": 0.5},
        "invert": {"probability": 0.1},
    }  # fmt: skip
    crop = {"size": [32, 32], "cat_max_ratio": 0.75, "tries": 10}
    augment = {"flip": True, "jitter": 0.1, "scale": [1.0, 2.0], "crop": crop, **colours}
    teacher = copy.deepcopy(tiny_project.SELF_TRAINING)
    teacher["feature_distance"]["classes"] = ["car"]
    teacher |= {"strong": colours, "margins": {"top": 0.1, "bottom": 0.1, "left": 0.1, "right": 0.1}}
    tree |= {"toycity": toycity, "model": model}
    tree["compute"] |= {"loader_threads": 2, "scratch": "$TMPDIR"}
    tree["rank"] |= {"rule": "shuffled", "seed": 3}
    tree["preprocess"]["source"] |= {"class_pixels": True}
    tree["sources"] = {"more": {**tree["preprocess"]["source"], "root": "raw/more", "weight": 0.5}}
    tree["target_labelled"] = {"few": {**tree["preprocess"]["target"], "root": "raw/few", "weight": 1}}
    for stage in ("train_source", "train_inter", "train_intra"):
        tree[stage] |= {"augment": augment, "schedule": {"warmup": 1, "warmup_ratio": 0.1, "decay": "cosine"}}
        tree[stage] |= {"rare_class_sampling": {"temperature": 0.1, "min_share": 0.01, "tries": 2}, "ema": 0}
        tree[stage]["optimizer"] |= {"layer_decay": 0.9, "no_decay_on_norms": True, "multiplicity": "once"}
    for stage in ("train_inter", "train_intra"):
        tree[stage] |= {"method": "mean_teacher", "self_training": teacher, "augment_target": augment}
    taught = {**teacher, "curriculum": "easy_first", "mix": "easy_on_hard"}
    tree["train_intra"] |= {"supervision": "source", "self_training": taught}
    tree["rounds"] = {"r2": {"after": "train_intra", "easy_fraction": 0.5, "init": "weights/random"}}
    for stage in ("score", "evaluate_snapshots", "evaluate"):
        tree[stage] |= {"window": window}
    return copy.deepcopy(tree)  # without shared blocks, which one mutation would change together


def use(**changes: Any) -> None:
    """Write the params with these changes."""
    write_params(params(**changes))


def photo(path: Path, size: tuple[int, int] = (64, 32)) -> None:
    """Write a photograph of noise, `size` (width, height); the noise depends on the name only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(list(path.stem.encode()))
    Image.fromarray(random.integers(0, 256, (size[1], size[0], 3), np.uint8)).save(path)


def mask(path: Path, size: tuple[int, int] = (64, 32), values: tuple[int, ...] = (0, 1, 2, 255)) -> None:
    """Write a grey label image that contains each of the values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = np.resize(np.array(values, np.uint8), (size[1], size[0]))
    Image.fromarray(ids).save(path)


def draw(names: dict[str, list[str]] = NAMES) -> None:
    """Write the raw data of all three domains to the working directory."""
    for domain, stems in names.items():
        for stem in stems:
            photo(Path(f"raw/{domain}/photos/{stem}.png"))
            mask(Path(f"raw/{domain}/masks/{stem}.png"))


def contents(folder: Path = Path()) -> dict[str, bytes]:
    """Return the bytes of every file below `folder` and the targets of links, without checkpoints and log."""
    by_path: dict[str, bytes] = {}
    for above, _, files in os.walk(folder):  # does not follow links
        for path in (Path(above, name) for name in files):
            if path.parts[0] not in ("runs", "logs"):
                link = path.is_symlink()
                content = path.read_bytes if path.is_file() else bytes  # a pipe has none
                by_path[str(path)] = os.fsencode(path.readlink()) if link else content()
    return by_path


class Stage:
    """Run stages and check their exit codes and messages."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def run(self, job: str, **options: str) -> None:
        """Run a job that must succeed."""
        code = tiny_project.run(job, **options)
        assert code == 0, self.capsys.readouterr().err

    def refuses(self, job: str, *phrases: str, **options: str) -> str:
        """Run a job that must exit with 1 and a message of four parts, without changing any file.

        phrases: phrases that the message must contain. Returns the message.
        """
        return self.check(lambda: tiny_project.run(job, **options), phrases)

    def check(self, call: Callable[[], int], phrases: tuple[str, ...]) -> str:
        """Check the same for a call of the command line. Returns the message."""
        before = contents()
        self.capsys.readouterr()
        assert call() == 1
        out, message = self.capsys.readouterr()
        assert contents() == before
        error = message[message.index("error: ") :]
        first, allowed, fix = error.index(": ", 7), error.index("\n  allowed: "), error.index("\n  do next: ")
        assert 7 < first < allowed < fix and "Traceback" not in message and out == ""
        for phrase in phrases:
            assert phrase in error, error
        assert len(error) < 2000
        return error
