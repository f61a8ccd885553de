"""The presets of self-training in miniature: every stage, on small images, networks and trainings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from intrada.core.config import plain_yaml
from intrada.core.config.load import load
from intrada.models import model_info
from tests.support import tiny_project
from tests.support.definition import ROOT
from tests.support.optional import needs

NETWORKS: dict[str, dict[str, Any]] = {
    "self_training": {"name": "deeplabv2", "options": {"backbone": "resnet18", "heads": "four"}},
    "segformer": {"name": "segformer", "options": {"size": "b0"}},
    "dinov2": {
        "name": "timm",
        "options": {
            "encoder": "vit_tiny_patch16_224",
            "head": "linear",
            "image_size": [64, 32],
            "encoder_options": {"embed_dim": 24, "depth": 4, "num_heads": 3},
        },
    },
}

pytestmark = [pytest.mark.slow, pytest.mark.drivers, pytest.mark.usefixtures("one_thread")]


def miniature(preset: str, kind: str) -> dict[str, Any]:
    """Return the params of a preset, with the images, sizes and lengths of the tiny project."""
    tree: dict[str, Any] = plain_yaml.read(ROOT / "presets" / f"{preset}.yaml")
    tiny = tiny_project.tree()
    for key in ("compute", "toycity", "preprocess", "evaluate_snapshots", "evaluate"):
        tree[key] = tiny[key] | {name: value for name, value in tree[key].items() if name == "window"}
    for domain in tree["preprocess"].values():
        domain["allow_absent"] = list(tree["classes"])
    if "rare_class_sampling" in tree["train_inter"]:
        tree["preprocess"]["source"]["class_pixels"] = True
    tree["model"] = NETWORKS[kind]
    for stage in ("train_source", "train_inter", "train_intra"):
        block = tree[stage]
        block |= {"iterations": 4, "max_iters": 4, "batch_size": 2, "log_every": 2, "snapshot_every": 3}
        block["schedule"]["warmup"] = 2
        block["augment"]["crop"]["size"] = [32, 32]
        if block["init"].startswith("data/weights"):
            block["init"] = "weights/random"
        if masked := block.get("self_training", {}).get("masked"):
            masked["block"] = 8
    for key in ("score", "evaluate", "evaluate_snapshots"):
        if window := tree[key].get("window"):
            window |= {"size": [32, 32], "stride": [16, 16]}
    return tree


@pytest.mark.parametrize("source", ["gta5", "synthia"])
@pytest.mark.parametrize("kind", NETWORKS)
def test_a_preset_runs_from_the_data_to_the_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, kind: str
) -> None:
    if kind != "self_training":
        needs(*{"dinov2": ("timm", "timm"), "segformer": ("transformers", "segformer")}[kind])
    monkeypatch.chdir(tmp_path)
    tiny_project.start(tmp_path)
    tiny_project.write_params(miniature(f"{source}_to_cityscapes_{kind}", kind))
    for job in tiny_project.ORDER:
        assert tiny_project.run(job) == 0, job
    methods = {
        stage: info.method
        for stage in ("train_source", "train_inter", "train_intra")
        if (info := model_info.read(Path(f"results/{stage}/last.safetensors")))
    }
    assert methods == {
        "train_source": "source_only",
        "train_inter": "mean_teacher",
        "train_intra": "mean_teacher",
    }
    metrics = json.loads(Path("results/evaluate/intra/metrics.json").read_text())
    assert 0 <= metrics["mIoU"] <= 100


@pytest.mark.parametrize("source", ["gta5", "synthia"])
def test_the_settings_are_the_published_ones(source: str) -> None:
    """The values of DACS and DAFormer, and of VFM-UDA with MIC; see docs/fidelity.md."""
    values = (("self_training", 0.99, 6e-5, 2), ("segformer", 0.999, 6e-5, 2), ("dinov2", 0.999, 5e-6, 8))
    for kind, decay, rate, batch in values:
        params = load(ROOT / "presets" / f"{source}_to_cityscapes_{kind}.yaml")
        block = params.train_inter
        settings, optimizer = block.self_training, block.optimizer
        assert settings and settings.strong and settings.strong.colour and block.schedule
        assert (settings.decay, settings.confidence, settings.threshold) == (decay, "batch_share", 0.968)
        assert (settings.mix, settings.strong.colour.probability) == ("source_on_target", 0.8)
        assert (optimizer.name, optimizer.lr, optimizer.weight_decay) == ("adamw", rate, 0.01)
        assert (optimizer.heads_lr_multiplier, optimizer.no_decay_on_norms) == (10, True)
        assert (block.iterations, block.batch_size, block.power) == (40_000, batch, 1.0)
        assert (block.schedule.warmup, block.schedule.warmup_ratio) == (1500, 1e-6)
        assert (settings.masked is not None) == (kind == "dinov2")
        assert (block.rare_class_sampling is not None) == (kind != "self_training")
        assert not block.rare_class_sampling or block.rare_class_sampling.temperature == 0.01
        if kind == "segformer":
            assert settings.feature_distance and settings.margins
            assert (settings.feature_distance.weight, settings.feature_distance.min_share) == (0.005, 0.75)
            assert round(512 * settings.margins.top) == 15 and round(512 * settings.margins.bottom) == 120
