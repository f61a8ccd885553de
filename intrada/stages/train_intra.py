"""Step 3 of the paper: adapt from the easy images with pseudo-labels to the hard images."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd

import intrada.methods.source_only  # noqa: F401  used below by its name; the import makes it part of this stage's code
from intrada.core import files
from intrada.core.config.schema import Params
from intrada.core.config.training_blocks import Intra
from intrada.core.errors import UserError
from intrada.core.stage import Context, In, Out, RoundOption
from intrada.data import mixing, tables
from intrada.data.train_batches import TrainData
from intrada.training.run_training import COMPUTE, EMPTY_INDEX, TrainingJob, run_training

READS = (*COMPUTE, "seed", "classes", "model", "train_intra")


def run(
    params: Params,
    easy: Annotated[Path, In("index.csv of the easy images with their pseudo-labels", index=True)],
    hard: Annotated[Path, In("index.csv of the hard images", index=True)],
    source: Annotated[
        Path, In("index.csv of the source images, for supervision: source or both", index=True)
    ],
    sources: Annotated[Path, In("table of the further source data sets (join)", sets=True)],
    target_labelled: Annotated[
        Path, In("table of the data sets of labelled target images (join)", sets=True)
    ],
    before: Annotated[
        Path,
        In("the model of step 1, or of the previous round; the result if no image is easy (lambda = 0)"),
    ],
    init: Annotated[Path, In("initial weights: a weight file, weights/random or weights/pretrained")],
    model: Annotated[Path, Out("the adapted network (safetensors)")],
    snapshots: Annotated[Path, Out("folder of the snapshots (safetensors)")],
    losses: Annotated[Path, Out("losses by iteration (CSV); without rows if lambda = 0")],
    context: Context,
    round: Annotated[str, RoundOption()] = "",
) -> None:
    """Adapt from easy to hard target images (intra-domain adaptation; IntraDA, section 3.3).

    If no image is easy, the result is a copy of `before`. If no image is hard, the method is `source_only`:
    self-training without adversarial losses. `train_intra.supervision` selects the labels of the cross
    entropy: the pseudo-labels of the easy images, the source labels (the easy images are then used by the
    adversarial losses only), or both. Labelled target images, if there are any, join them. UserError if they
    would not be used, since no image is easy.

    With the method `mean_teacher` the teacher labels easy and hard images, and the cross entropy uses in
    addition the labels that `supervision` selects.
    """
    # the control of the ablation (step 1 with the iterations of step 3) passes the source as its easy images
    of_source = easy == source
    labelled = mixing.read(sources, source) if of_source else tables.read(easy, tables.INDEX)
    target = tables.read(hard, tables.INDEX)
    few = mixing.read_sets(target_labelled)
    if labelled.empty:
        if few is not None:
            raise UserError(
                easy,
                "no easy image, so step 3 is skipped and target_labelled is not used",
                "at least one easy image, or target_labelled: {}",
                "raise rank.easy_fraction (or that of the round), or remove the data sets",
            )
        with files.atomic_file(model) as temporary:
            shutil.copyfile(before, temporary)
        with files.atomic_folder(snapshots):
            pass
        files.write_csv(losses, EMPTY_INDEX[[]].assign(iteration=[]))
        return
    block = params.train_intra
    if target.empty and not block.self_training:
        block = block.model_copy(update={"method": "source_only"})
    of_supervision = mixing.read(sources, source) if block.supervision != "pseudo" else None
    data = _data(block, labelled, target, of_supervision, few, of_source)
    run_training(TrainingJob(params, block, data, init, model, snapshots, losses, context))


def _data(
    block: Intra,
    easy: pd.DataFrame,
    hard: pd.DataFrame,
    source: pd.DataFrame | None,
    few: pd.DataFrame | None,
    of_source: bool,
) -> TrainData:
    """Return the data of the training.

    easy, hard: in the order of the ranking; source: for the supervision `source` and `both`; of_source:
    `easy` is the source, and `hard` are all target images.
    """
    domain: Literal["source", "supervised"] = "source" if of_source else "supervised"
    if not (settings := block.self_training):
        first = easy.assign(label="") if block.supervision == "source" else easy
        return TrainData(first, hard, source, domain, few)
    if of_source:
        return TrainData(easy, hard, None, domain, few)
    target = pd.concat([easy.assign(easy=True), hard.assign(easy=False)], ignore_index=True)
    partners = easy if settings.mix == "easy_on_hard" else None
    drawn_first = len(easy) if settings.curriculum == "easy_first" else None
    if block.starts_with_source and source is not None:
        return TrainData(source, target, None, "source", few, partners, drawn_first)
    return TrainData(easy, target, source, domain, few, partners, drawn_first)
