"""Step 1 of the paper: train on the source labels and align target with source predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from intrada.core.config.schema import Params
from intrada.core.stage import Context, In, Out
from intrada.data import mixing, tables
from intrada.data.train_batches import TrainData
from intrada.training.run_training import COMPUTE, TrainingJob, run_training

READS = (*COMPUTE, "seed", "classes", "model", "train_inter")


def run(
    params: Params,
    source: Annotated[Path, In("index.csv of the labelled source images", index=True)],
    sources: Annotated[Path, In("table of the further source data sets (join)", sets=True)],
    target: Annotated[Path, In("index.csv of the target images, whose labels are not read", index=True)],
    init: Annotated[Path, In("initial weights: a weight file, weights/random or weights/pretrained")],
    model: Annotated[Path, Out("the adapted network (safetensors)")],
    snapshots: Annotated[Path, Out("folder of the snapshots (safetensors)")],
    losses: Annotated[Path, Out("losses by iteration (CSV)")],
    context: Context,
) -> None:
    """Adapt from source to target (inter-domain adaptation; IntraDA, section 3.1)."""
    data = TrainData(mixing.read(sources, source), tables.read(target, tables.INDEX))
    run_training(TrainingJob(params, params.train_inter, data, init, model, snapshots, losses, context))
