"""One training stage from files to files; the three of them differ in their indexes and params only."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch

from intrada.core import files, locks, seeding, signals
from intrada.core.config.schema import Params, Training
from intrada.core.distributed import launcher, process_group
from intrada.core.distributed.device import prepare_all, settle
from intrada.core.distributed.launcher import Part
from intrada.core.distributed.process_group import ALONE, World
from intrada.core.errors import UserError
from intrada.core.stage import Context
from intrada.data import tables
from intrada.data.train_batches import Domains
from intrada.models.discriminator import SMALLEST
from intrada.training import trainer
from intrada.training.snapshots import Snapshots

NOBODY = pd.DataFrame(columns=tables.INDEX_COLUMNS)


class Adaptation(NamedTuple):
    """What one training stage reads and writes: `model`, `snapshots` (safetensors) and `losses` (CSV).

    init: the initial weights, a weight file or a marker of weights/.
    """

    params: Params
    block: Training
    domains: Domains
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
        devices = prepare_all(job.params.compute, job.params.compute.threads)
        if len(devices) == 1:
            _adapt(ALONE, devices[0], job)
        else:
            _adapt_together(devices, job)


def _adapt_together(devices: list[torch.device], job: Adaptation) -> None:
    process_group.require()
    store = process_group.meeting_point()
    parts = [Part(number, len(devices)) for number in range(len(devices))]
    with (
        signals.postponed() as request,
        launcher.started(parts, _adapt_as_one_of, store.port, devices, job) as crew,
    ):
        crew.results(request)


def _adapt_as_one_of(part: Part, stop: Any, port: int, devices: list[torch.device], job: Adaptation) -> None:
    """The whole life of one of the processes. stop: see launcher.started."""
    joined = process_group.join(part, stop, port, devices)
    settle(job.params.compute, job.params.compute.threads, devices[part.number])
    _adapt(joined, devices[part.number], job)
    process_group.leave()


def _adapt(joined: World, device: torch.device, job: Adaptation) -> None:
    """What each process of `joined` does on its `device`; the first writes."""
    params, block, context = job.params, job.block, job.context
    classes = params.class_set
    seed = seeding.derive(params.seed, context.name)
    game = trainer.Game(params, block, classes, job.init, seed, joined)
    if game.method.ADVERSARIAL:
        _refuse_small(job.domains)
    about = {"model": params.model.name, "classes": ",".join(classes.names), "method": block.method}
    kept = Snapshots(context.checkpoints, block.snapshot_every, about)
    curves = trainer.train(game, job.domains, seed, classes, device, kept, context)
    if joined.first:
        kept.gather(block.iterations, job.snapshots)
        kept.save(job.model, game.done, game.model)
        files.write_csv(job.losses, curves.frame())


def _refuse_small(domains: Domains) -> None:
    for name, index in (("labelled", domains.labelled), ("target", domains.target)):
        small = index[(index["width"] < SMALLEST) | (index["height"] < SMALLEST)]
        if len(small):
            first = small.iloc[0]
            raise UserError(
                f"index of the {name} images",
                f"{first.id} has {first.width}x{first.height} pixels",
                f"at least {SMALLEST}x{SMALLEST} pixels where a discriminator looks",
                "raise `size` in the preprocess block, or choose a method without adversary",
            )
