"""Measure the share of a training iteration that is spent between two steps, mostly on data loading.

Two trainings run on the CPU. No GPU is needed to measure how fast batches come: a sleep of 20 or 40 ms stands
for its iteration on images of the published sizes.
"""

from __future__ import annotations

import itertools
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks import Row, timing
from benchmarks.streets import (
    context,
    preprocessed,
    resized,
    temporary_folder,
    write_cityscapes,
    write_gta5,
    write_toycity,
)
from intrada.core.config.load import load
from intrada.core.config.schema import Params
from intrada.core.distributed.launcher import SINGLE_RANK
from intrada.data.train_batches import TrainBatch, TrainData
from intrada.models.initialise import MARKERS, RANDOM
from intrada.models.model_info import describe
from intrada.training.snapshots import Snapshots
from intrada.training.streams import batches_on
from intrada.training.trainer import Trainer, train

TOYCITY, PAPER = Path("presets/toycity.yaml"), Path("presets/gta5_to_cityscapes.yaml")
TOYCITY_ITERATIONS, PAPER_ITERATIONS = 61, 6
FED_ITERATIONS, WARM_UP, THREADS = 110, 10, 4  # of the sleeping consumer
SLEEPS, BATCH_SIZES = (0.02, 0.04), (1, 2)  # seconds; images of each domain
IMAGES = 12  # of each domain of the toy city
SMALL = (256, 128)  # the times of reading and computing are both proportional to the size


def measure() -> Row:
    """Return the seconds between steps and per iteration, of the training with the larger share."""
    toycity, paper = load(TOYCITY), resized(load(PAPER), SMALL)
    with temporary_folder() as folder:
        roots = write_toycity(toycity, folder, IMAGES)
        waits = {"toy city": _wait(toycity, roots, folder / "toycity", TOYCITY_ITERATIONS)}
        roots = {"source": folder / "gta5", "target": folder / "cityscapes"}
        write_gta5(roots["source"], 2)
        write_cityscapes(roots["target"], 2, "train")
        waits["R101"] = _wait(paper, roots, folder / "paper", PAPER_ITERATIONS)
        waits |= _fed(load(PAPER), roots, folder / "fed")
    for name, (wait, total) in waits.items():
        print(f"data_wait: {name} waits {wait:.4f} s of {total:.4f} s, {wait / total:.2%}")
    wait, total = max(waits.values(), key=lambda seconds: seconds[0] / seconds[1])
    return Row("data_wait", wait, total, wait / total, "s", "under 0.03")


def _fed(params: Params, roots: dict[str, Path], folder: Path) -> dict[str, tuple[float, float]]:
    """Return the median seconds of waiting for a batch and of an iteration, of each consumer that sleeps.

    Of the waits of a busy machine the mean is that of the other programs' slices of the processor.
    """
    torch.set_num_threads(params.compute.threads)
    labelled, target = (preprocessed(params, domain, root, folder) for domain, root in roots.items())
    data, cpu = TrainData(labelled, target), torch.device("cpu")
    found = {}
    for size, sleep in itertools.product(BATCH_SIZES, SLEEPS):
        changes = {"batch_size": size, "iterations": FED_ITERATIONS}
        block = params.train_inter.model_copy(update=changes)
        batches = batches_on(cpu, THREADS, block, data, params.seed, 0, SINGLE_RANK)
        start, waits = time.process_time(), list[float]()
        for _ in range(FED_ITERATIONS):
            waits.append(timing.seconds(lambda: next(batches)))  # noqa: B023  # it is called at once
            time.sleep(sleep)
        used = 1000 * (time.process_time() - start) / FED_ITERATIONS
        name = f"a consumer of {size} + {size} images in {1000 * sleep:.0f} ms"
        mean = 1000 * statistics.mean(waits[WARM_UP:])
        print(f"data_wait: {name}: {used:.1f} ms of CPU, mean wait {mean:.2f} ms")
        wait = statistics.median(waits[WARM_UP:])
        found[name] = wait, wait + sleep
    return found


class TimedTrainer(Trainer):
    """A trainer that records the start and the end of its steps."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.times: list[tuple[float, float]] = []

    def step(self, batch: TrainBatch, has_labels: bool = True) -> dict[str, Tensor]:
        """Run Trainer.step and record its times in seconds."""
        start = time.perf_counter()
        record = super().step(batch, has_labels)
        self.times.append((start, time.perf_counter()))
        return record


def _wait(params: Params, roots: dict[str, Path], folder: Path, iterations: int) -> tuple[float, float]:
    """Return the mean seconds between two steps and per iteration, without the first iteration."""
    torch.set_num_threads(params.compute.threads)
    labelled, target = (preprocessed(params, domain, root, folder) for domain, root in roots.items())
    # one row of losses and one checkpoint, at the end
    at_end = dict.fromkeys(("iterations", "log_every", "checkpoint_every", "snapshot_every"), iterations)
    block = params.train_inter.model_copy(update=at_end)
    classes = params.class_set
    trainer = TimedTrainer(params, block, classes, MARKERS / RANDOM, 0)
    data = TrainData(labelled, target)
    info = describe(trainer.spec, trainer.networks.segmenter, data.size, block.method)
    snapshots = Snapshots(folder / "snapshots", iterations, info)
    train(trainer, data, params.seed, classes, torch.device("cpu"), snapshots, context(folder))
    ends = [end for _, end in trainer.times]
    wait = sum(start - end for (start, _), end in zip(trainer.times[1:], ends[:-1], strict=True))
    return wait / (iterations - 1), (ends[-1] - ends[0]) / (iterations - 1)
