"""Step 3 of the paper: step 1 again, the pseudo-labelled easy images as source, the hard ones as target."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Literal

import intrada.methods.source_only  # noqa: F401  chosen below by its name: so it is part of this stage's code
from intrada.core import files
from intrada.core.config.schema import Params
from intrada.core.stage import Context, In, Out, RoundOption
from intrada.data import tables
from intrada.data.train_batches import TrainData
from intrada.training.run_training import NO_IMAGES, Adaptation, adapt

READS = ("seed", "compute", "classes", "model", "train_intra")


def run(
    params: Params,
    easy: Annotated[Path, In("index.csv of the easy images with their pseudo-labels", index=True)],
    hard: Annotated[Path, In("index.csv of the hard images", index=True)],
    source: Annotated[
        Path, In("index.csv of the source images, for supervision: source or both", index=True)
    ],
    before: Annotated[
        Path,
        In("the model of step 1, or of the round before: the result where no image is easy (lambda = 0)"),
    ],
    init: Annotated[Path, In("initial weights: a weight file, weights/random or weights/pretrained")],
    model: Annotated[Path, Out("the adapted network (safetensors)")],
    snapshots: Annotated[Path, Out("folder of the models kept on the way (safetensors)")],
    losses: Annotated[Path, Out("losses by iteration (CSV); without rows where lambda = 0")],
    context: Context,
    round: Annotated[str, RoundOption()] = "",
) -> None:
    """Intra-domain adaptation (IntraDA, section 3.3) and its two ends.

    No easy image: the model is that of the step before. No hard image: self-training without an adversary.
    `train_intra.supervision` says whose labels the cross entropy looks at: the pseudo-labels of the easy
    images, the source labels (then only the adversarial losses use easy against hard), or both.
    """
    labelled, target = tables.read(easy, tables.INDEX), tables.read(hard, tables.INDEX)
    if labelled.empty:
        with files.atomic_file(model) as temporary:
            shutil.copyfile(before, temporary)
        with files.atomic_folder(snapshots):
            pass
        files.write_csv(losses, NO_IMAGES[[]].assign(iteration=[]))
        return
    block = params.train_intra
    if target.empty:
        block = block.model_copy(update={"method": "source_only"})
    if block.supervision == "source":
        labelled = labelled.assign(label="")
    supervised = None if block.supervision == "pseudo" else tables.read(source, tables.INDEX)
    # the control of the ablation, step 1 for the length of step 3, names the source as its easy images
    domain: Literal["source", "supervised"] = "source" if easy == source else "supervised"
    data = TrainData(labelled, target, supervised, domain)
    adapt(Adaptation(params, block, data, init, model, snapshots, losses, context))
