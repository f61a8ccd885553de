"""What share of a training iteration passes between two steps: waiting for images, and a little more."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks import Row
from benchmarks.streets import (
    context,
    for_inference,
    resized,
    workplace,
    write_cityscapes,
    write_gta5,
    write_toycity,
)
from intrada.core.config.load import load
from intrada.core.config.schema import Params
from intrada.data.train_batches import TrainBatch, TrainData
from intrada.models.initialise import MARKERS, RANDOM
from intrada.models.model_info import describe
from intrada.training.snapshots import Snapshots
from intrada.training.trainer import Trainer, train

TOYCITY, PAPER = Path("presets/toycity.yaml"), Path("presets/gta5_to_cityscapes.yaml")
TOYCITY_ITERATIONS, PAPER_ITERATIONS = 61, 6
IMAGES = 12  # of the toy city, of each domain
SMALL = (256, 128)  # reading and computing grow alike with the size


def measure() -> Row:
    """Seconds waited and seconds of an iteration, of the training that waits for the larger share."""
    toycity, paper = load(TOYCITY), resized(load(PAPER), SMALL)
    with workplace() as folder:
        roots = write_toycity(toycity, folder, IMAGES)
        found = {"toy city": _waited(toycity, roots, folder / "toycity", TOYCITY_ITERATIONS)}
        roots = {"source": folder / "gta5", "target": folder / "cityscapes"}
        write_gta5(roots["source"], 2)
        write_cityscapes(roots["target"], 2, "train")
        found["R101"] = _waited(paper, roots, folder / "paper", PAPER_ITERATIONS)
    for which, (waited, whole) in found.items():
        print(f"data_wait: {which} waits {waited:.4f} s of {whole:.4f} s, {waited / whole:.2%}")
    waited, whole = max(found.values(), key=lambda each: each[0] / each[1])
    return Row("data_wait", waited, whole, waited / whole, "s", "under 0.03")


class Watched(Trainer):
    """A trainer that records when its steps began and ended."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.times: list[tuple[float, float]] = []

    def step(self, batches: TrainBatch, supervised: bool = True) -> dict[str, Tensor]:
        """As in Trainer."""
        start = time.perf_counter()
        record = super().step(batches, supervised)
        self.times.append((start, time.perf_counter()))
        return record


def _waited(params: Params, roots: dict[str, Path], folder: Path, iterations: int) -> tuple[float, float]:
    """(seconds between steps, seconds of an iteration): means, without the first iteration."""
    torch.set_num_threads(params.compute.threads)
    labelled, target = (for_inference(params, domain, root, folder) for domain, root in roots.items())
    # one row of losses and one checkpoint, at the end
    once = dict.fromkeys(("iterations", "log_every", "checkpoint_every", "snapshot_every"), iterations)
    block = params.train_inter.model_copy(update=once)
    classes = params.class_set
    trainer = Watched(params, block, classes, MARKERS / RANDOM, 0)
    data = TrainData(labelled, target)
    info = describe(trainer.spec, trainer.networks.segmenter, data.size, block.method)
    kept = Snapshots(folder / "snapshots", iterations, info)
    train(trainer, data, params.seed, classes, torch.device("cpu"), kept, context(folder))
    ends = [end for _, end in trainer.times]
    waited = sum(start - end for (start, _), end in zip(trainer.times[1:], ends[:-1], strict=True))
    return waited / (iterations - 1), (ends[-1] - ends[0]) / (iterations - 1)
