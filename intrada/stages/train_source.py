"""Train on the labelled source images alone (`source_only`): what adaptation is measured against."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from intrada import tables
from intrada.adaptation import NOBODY, Adaptation, adapt
from intrada.domains import Domains
from intrada.params import Params
from intrada.stage import Context, In, Out

READS = ("seed", "compute", "classes", "model", "train_source")


def run(
    params: Params,
    source: Annotated[Path, In("index.csv of the labelled source images", index=True)],
    init: Annotated[Path, In("initial weights: a weight file, weights/random or weights/pretrained")],
    model: Annotated[Path, Out("the trained network (safetensors)")],
    snapshots: Annotated[Path, Out("folder of the models kept on the way (safetensors)")],
    losses: Annotated[Path, Out("losses by iteration (CSV)")],
    context: Context,
) -> None:
    """Source-only baseline."""
    domains = Domains(tables.read(source, tables.INDEX), NOBODY)
    adapt(Adaptation(params, params.train_source, domains, init, model, snapshots, losses, context))
