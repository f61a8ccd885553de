"""One training stage from files to files; the three of them differ in their indexes and params only."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from intrada import files, labels, locks, randomness, tables, training
from intrada.device import prepare
from intrada.errors import UserError
from intrada.models.discriminator import SMALLEST
from intrada.params import Params, Training
from intrada.snapshots import Snapshots
from intrada.stage import Context

NOBODY = pd.DataFrame(columns=tables.INDEX_COLUMNS)


def adapt(
    params: Params,
    block: Training,
    domains: training.Domains,
    init: Path,
    model: Path,
    snapshots: Path,
    losses: Path,
    context: Context,
) -> None:
    """Train from the weights named by `init`; write `model`, `snapshots` (safetensors), `losses` (CSV).

    UserError while another process trains this very run, whose checkpoints lie in the same folder.
    """
    with locks.hold(context.checkpoints / "run.lock", "this run"):
        device = prepare(params.compute)
        classes = labels.class_set(params.classes)
        seed = randomness.derive(params.seed, context.name)
        game = training.Game(params, block, classes, init, seed)
        if game.method.ADVERSARIAL:
            _refuse_small(domains)
        about = {"model": params.model.name, "classes": ",".join(classes.names), "method": block.method}
        kept = Snapshots(context.checkpoints, block.snapshot_every, about)
        curves = training.train(game, domains, seed, classes, device, kept, context)
        kept.gather(block.iterations, snapshots)
        kept.save(model, game.done, game.model)
        files.write_csv(losses, curves.frame())


def _refuse_small(domains: training.Domains) -> None:
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
