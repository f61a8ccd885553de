"""Measure what an iteration of mean_teacher costs beside its passes through the networks."""

from __future__ import annotations

import statistics
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks import Row
from benchmarks.timing import cpu_seconds
from intrada.core.config import plain_yaml
from intrada.core.config.load import validate
from intrada.data.train_batches import TrainBatch
from intrada.methods.losses import cross_entropy
from intrada.models.base import upsample
from intrada.training import cost_estimate
from intrada.training.trainer import Trainer

PRESET = Path("presets/toycity.yaml")
ITERATIONS = 30
SETTINGS: dict[str, Any] = {  # the published strong augmentation and mixing
    "decay": 0.99, "batch_norm": "train", "confidence": "pixel", "threshold": 0.9, "weight": 1.0,
    "mix": "source_on_target", "curriculum": "none", "saved": "student", "adversary": "none",
    "strong": {
        "colour": {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.2, "probability": 0.8},
        "blur": {"sigma": [0.15, 1.15], "probability": 0.5},
    },
}  # fmt: skip


def measure() -> Row:
    """Return the processor seconds of an iteration, and of its passes: two with gradient, one without."""
    tree: Any = plain_yaml.read(PRESET)
    tree["train_inter"] |= {"method": "mean_teacher", "self_training": SETTINGS}
    params = validate(PRESET, tree)
    block, size = params.train_inter, params.preprocess.target.size
    torch.set_num_threads(1)  # waiting threads would count in the processor time
    device = torch.device("cpu")
    trainer = cost_estimate.build_trainer(params, block, device)
    batch = cost_estimate.noise_train_batch(params, "train_inter", [(size[0], size[1])] * 2, device)
    works = partial(trainer.step, batch), partial(_passes, trainer, batch)
    for work in works:
        work()
    pairs = [[cpu_seconds(work) for work in works] for _ in range(ITERATIONS)]
    ours, theirs = (statistics.median(seconds) for seconds in zip(*pairs, strict=True))
    return Row("mean_teacher_overhead", ours, theirs, ours / theirs, "s", "at most 1.1")


def _passes(trainer: Trainer, batch: TrainBatch) -> None:
    """Run the forward and backward passes of an iteration, with the cross entropy of both heads."""
    assert trainer.teacher and batch.target
    networks = trainer.networks
    for seen in (batch.source, batch.target):
        logits = networks.predict(seen)
        (
            cross_entropy(logits["main"], seen.label) + 0.1 * cross_entropy(logits["aux"], seen.label)
        ).backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        teacher, images = trainer.teacher.network, batch.target.image
        logits_of_teacher = teacher.main_logits(teacher.normalise(images))
        upsample(logits_of_teacher, (images.shape[2], images.shape[3])).softmax(1).max(1)
