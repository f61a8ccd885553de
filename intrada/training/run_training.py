"""One training stage from files to files; the three of them differ in their indexes and params only."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch

from intrada.core import files, locks, seeding, signals
from intrada.core.config.schema import Params, Training
from intrada.core.distributed import launcher
from intrada.core.distributed.device import acquire_devices, configure_torch
from intrada.core.distributed.launcher import Rank
from intrada.core.distributed.process_group import (
    SINGLE_PROCESS,
    ProcessGroup,
    join,
    leave,
    meeting_point,
)
from intrada.core.errors import UserError
from intrada.core.stage import Context
from intrada.data import tables
from intrada.data.train_batches import TrainData
from intrada.models.discriminator import SMALLEST
from intrada.models.model_info import describe
from intrada.training.snapshots import Snapshots
from intrada.training.trainer import Trainer, train

NO_IMAGES = pd.DataFrame(columns=tables.INDEX_COLUMNS)


class Adaptation(NamedTuple):
    """What one training stage reads and writes: `model`, `snapshots` (safetensors) and `losses` (CSV).

    init: the initial weights, a weight file or a marker of weights/.
    """

    params: Params
    block: Training
    data: TrainData
    init: Path
    model: Path
    snapshots: Path
    losses: Path
    context: Context


def adapt(job: Adaptation) -> None:
    """Train, and write what `job` names.

    On several devices, each is used by a process of its own, which this one starts and waits for.
    UserError while another process trains this very run, whose checkpoints lie in the same folder.
    """
    with locks.hold(job.context.checkpoints / "run.lock", "this run"):
        devices = acquire_devices(job.params.compute, job.params.compute.threads)
        if len(devices) == 1:
            _adapt(SINGLE_PROCESS, devices[0], job)
        else:
            _adapt_together(devices, job)


def _adapt_together(devices: list[torch.device], job: Adaptation) -> None:
    store = meeting_point()
    ranks = [Rank(number, len(devices)) for number in range(len(devices))]
    with (
        signals.postponed() as request,
        launcher.started(ranks, _adapt_as_one_of, store.port, devices, job) as crew,
    ):
        crew.results(request)


def _adapt_as_one_of(rank: Rank, stop: Any, port: int, devices: list[torch.device], job: Adaptation) -> None:
    """Run one of the processes from start to end. stop: see launcher.started."""
    process_group = join(rank, stop, port, devices)
    configure_torch(job.params.compute, job.params.compute.threads, devices[rank.rank])
    _adapt(process_group, devices[rank.rank], job)
    leave()


def _adapt(process_group: ProcessGroup, device: torch.device, job: Adaptation) -> None:
    """Train on `device` as one process of the group; the main process writes the results."""
    params, block, context = job.params, job.block, job.context
    classes = params.class_set
    seed = seeding.derive(params.seed, context.name)
    trainer = Trainer(params, block, classes, job.init, seed, process_group)
    if trainer.method.ADVERSARIAL:
        _refuse_small(job.data)
    info = describe(trainer.spec, trainer.networks.segmenter, job.data.size, block.method)
    snapshots = Snapshots(context.checkpoints, block.snapshot_every, info)
    metric_logger = train(trainer, job.data, seed, classes, device, snapshots, context)
    if process_group.is_main_process:
        snapshots.export_snapshots(block.iterations, job.snapshots)
        snapshots.save(job.model, trainer.iteration, trainer.model)
        files.write_csv(job.losses, metric_logger.frame())


def _refuse_small(data: TrainData) -> None:
    for name, index in (("source", data.source), ("target", data.target)):
        small = index[(index["width"] < SMALLEST) | (index["height"] < SMALLEST)]
        if len(small):
            first = small.iloc[0]
            raise UserError(
                f"index of the {name} images",
                f"{first.id} has {first.width}x{first.height} pixels",
                f"at least {SMALLEST}x{SMALLEST} pixels for the discriminator, which halves them five times",
                "raise `size` in the preprocess block, or choose a method without adversary",
            )
