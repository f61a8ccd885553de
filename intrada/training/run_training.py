"""Run one training stage from its input files to its output files.

The three training stages differ only in their indexes and params.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch

from intrada.core import files, locks, seeding, signals
from intrada.core.config.schema import Params
from intrada.core.config.training_blocks import Training
from intrada.core.distributed import launcher
from intrada.core.distributed.device import acquire_devices, configure_torch
from intrada.core.distributed.launcher import Rank
from intrada.core.distributed.process_group import (
    SINGLE_PROCESS,
    ProcessGroup,
    create_store,
    join,
    leave,
)
from intrada.core.errors import UserError
from intrada.core.stage import Context
from intrada.data import tables
from intrada.data.train_batches import TrainData
from intrada.methods import is_adversarial
from intrada.models.discriminator import SMALLEST
from intrada.models.model_info import describe
from intrada.training.snapshots import Snapshots
from intrada.training.trainer import Trainer, train

# The keys of `compute` that change the result of a training
COMPUTE = (
    "compute.device", "compute.devices", "compute.threads", "compute.deterministic", "compute.tf32",
    "compute.precision", "compute.channels_last", "compute.activation_checkpointing", "compute.compile",
    "compute.sync_batch_norm",
)  # fmt: skip
EMPTY_INDEX = pd.DataFrame(columns=tables.INDEX_COLUMNS)


class TrainingJob(NamedTuple):
    """The inputs and outputs of one training stage.

    init: the initial weights, a weight file or a marker file of weights/. Written: `model` (safetensors),
    `snapshots` (a folder of safetensors) and `losses` (CSV).
    """

    params: Params
    block: Training
    data: TrainData
    init: Path
    model: Path
    snapshots: Path
    losses: Path
    context: Context


def run_training(job: TrainingJob) -> None:
    """Train, and write the outputs of `job`.

    With several devices, one child process is started for each device. Raises UserError if another process
    already trains the same run, because both would write the same checkpoints; and as `trainer.train` does.
    """
    with locks.acquire(job.context.checkpoints / "run.lock", "this run"):
        devices = acquire_devices(job.params.compute, job.params.compute.threads)
        if len(devices) == 1:
            _train_and_write(SINGLE_PROCESS, devices[0], job)
        else:
            _train_on_devices(devices, job)


def _train_on_devices(devices: list[torch.device], job: TrainingJob) -> None:
    store = create_store()
    ranks = [Rank(number, len(devices)) for number in range(len(devices))]
    with (
        signals.postponed() as request,
        launcher.start_processes(ranks, _run_process, store.port, devices, job) as workers,
    ):
        workers.results(request)


def _run_process(rank: Rank, stop: Any, port: int, devices: list[torch.device], job: TrainingJob) -> None:
    """Run one process of the group from start to end. stop: see launcher.start_processes."""
    process_group = join(rank, stop, port, devices)
    configure_torch(job.params.compute, job.params.compute.threads, devices[rank.rank])
    _train_and_write(process_group, devices[rank.rank], job)
    leave()


def _train_and_write(process_group: ProcessGroup, device: torch.device, job: TrainingJob) -> None:
    """Train on `device` as one process of the group; the main process writes the results."""
    params, block, context = job.params, job.block, job.context
    classes = params.class_set
    seed = seeding.derive(params.seed, context.name)
    trainer = Trainer(params, block, classes, job.init, seed, process_group)
    if is_adversarial(block):
        _check_sizes(job.data, block)
    info = describe(trainer.spec, trainer.networks.segmenter, job.data.size, block.method)
    snapshots = Snapshots(context.checkpoints, block.snapshot_every, info)
    metric_logger = train(trainer, job.data, seed, classes, device, snapshots, context)
    if process_group.is_main_process:
        snapshots.export_snapshots(block.iterations, job.snapshots)
        snapshots.save(job.model, trainer.iteration, trainer.model)
        files.write_csv(job.losses, metric_logger.to_frame())


def _check_sizes(data: TrainData, block: Training) -> None:
    """Raise UserError for images that are too small for a discriminator. A crop of its own size never is."""
    indexes = {"source": (data.source, block.augment), "target": (data.target, block.augment_for_target)}
    for name, (index, augment) in indexes.items():
        if augment.crop and augment.crop.size:
            continue
        small = index[(index["width"] < SMALLEST) | (index["height"] < SMALLEST)]
        if len(small):
            first = small.iloc[0]
            raise UserError(
                f"index of the {name} images",
                f"{first.id} has {first.width}x{first.height} pixels",
                f"at least {SMALLEST}x{SMALLEST} pixels for the discriminator, which halves them five times",
                "raise `size` in the preprocess block, or choose a method without discriminators",
            )
