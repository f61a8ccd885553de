"""Train on the labelled source images only (`source_only`), the baseline of the adaptation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from intrada.core.config.schema import Params
from intrada.core.stage import Context, In, Out
from intrada.data import mixing
from intrada.data.train_batches import TrainData
from intrada.training.run_training import COMPUTE, EMPTY_INDEX, TrainingJob, run_training

READS = (*COMPUTE, "seed", "classes", "model", "train_source")


def run(
    params: Params,
    source: Annotated[Path, In("index.csv of the labelled source images", index=True)],
    sources: Annotated[Path, In("table of the further source data sets (join)", sets=True)],
    init: Annotated[Path, In("initial weights: a weight file, weights/random or weights/pretrained")],
    model: Annotated[Path, Out("the trained network (safetensors)")],
    snapshots: Annotated[Path, Out("folder of the snapshots (safetensors)")],
    losses: Annotated[Path, Out("losses by iteration (CSV)")],
    context: Context,
) -> None:
    """Train the source-only baseline."""
    labelled = mixing.read(sources, source)
    data = TrainData(labelled, EMPTY_INDEX)
    run_training(TrainingJob(params, params.train_source, data, init, model, snapshots, losses, context))
