"""Summarise the results of a run in sentences, with a next step for each problem."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from intrada.core.config.classes import ClassSet
from intrada.data.tables import EASY, HARD
from intrada.evaluation import validators
from intrada.evaluation.reporting.results import Result, SelectedSnapshots, decimal
from intrada.evaluation.reporting.step3 import PAPER, Step3

# Thresholds. A gain below SEED_NOISE may come from the seed (three seeds: docs/results/toycity.md).
FEW_IMAGES = 30  # of fewer, a correlation of 0.3 is not distinguishable from none
FEW_SNAPSHOTS = 5  # of fewer, the best and the chosen are close by chance
SEED_NOISE = 2.0  # points of mIoU
NOTABLE = 1.0  # points: a difference between two snapshots, or the loss of a class
MAX_WRONG = 15.0  # percent of the pseudo-labelled pixels
MIN_CORRELATION = -0.3  # Spearman, of entropy and mIoU; closer to 0 the ranking is not informative


TONES = ("bad", "good", "note")  # in the order of the page


@dataclass(frozen=True)
class Advice:
    """A sentence of the page. tone: "good" for a gain, "bad" for a problem, "note" for anything else."""

    tone: Literal["good", "bad", "note"]
    text: str


def in_order(found: Sequence[Advice]) -> list[Advice]:
    """Return problems first, then good news, then notes."""
    return sorted(found, key=lambda advice: TONES.index(advice.tone))


def advise(
    models: Sequence[Result],
    classes: ClassSet,
    chosen: Sequence[SelectedSnapshots],
    diagnosis: dict[str, Any],
    step3: Step3 = PAPER,
) -> list[Advice]:
    """Return the sentences about evaluation images with labels.

    models: source, inter, intra and the later rounds; chosen: the selected snapshots of each of them;
    diagnosis: the dict of `diagnosis.diagnose`; step3: what step 3 trained on.
    """
    source, *later = models
    return [
        _adaptation(source, later[-1]),
        *(_round(before, after) for before, after in itertools.pairwise(later)),
        *_classes(models, classes),
        *_selection(chosen[-1]),
        *_ranking(diagnosis),
        *_pseudo_labels(diagnosis, step3),
    ]


def runs(different: Collection[str], files: Sequence[str]) -> list[Advice]:
    """Return problems of the runs. different: keys with several values; files: those without a record."""
    return [*_runs(different, files)]


def _runs(different: Collection[str], files: Sequence[str]) -> Iterator[Advice]:
    if different:
        yield Advice(
            "bad",
            f"The runs of this report used different values of {', '.join(different)}: the params were "
            "edited between them. The section Provenance lists the values of each run. Start the pipeline "
            "again to compute all stages with the present params.",
        )
    if files:
        yield Advice(
            "note",
            f"{len(files)} of the files of this report have no record in this checkout, so their params are "
            "not known: see the section Provenance.",
        )


def _points(value: float) -> str:
    return f"{decimal(abs(value))} points"


def _change(before: Result, after: Result, key: str = "mIoU") -> float:
    return after.metrics[key] - before.metrics[key]


def _adaptation(source: Result, last: Result) -> Advice:
    gain = _change(source, last)
    before, after = decimal(source.metrics["mIoU"]), decimal(last.metrics["mIoU"])
    if gain < 0:
        return Advice(
            "bad",
            f"Adaptation lowered the mIoU from {before} to {after} percent ({_points(gain)} below the "
            "source-only model). Check the training curves first: if a discriminator's loss falls to 0, the "
            "segmenter no longer learns from it.",
        )
    change = (
        f"Adaptation ({source.name} to {last.name}) raised the mIoU from {before} to {after} percent "
        f"(by {_points(gain)})."
    )
    if gain < SEED_NOISE:
        return Advice("note", f"{change} Another seed can change the mIoU by as much.")
    return Advice("good", change)


def _round(before: Result, after: Result) -> Advice:
    """Return the effect of one round of steps 2 and 3, which should improve the hard images."""
    gain, hard, easy = (_change(before, after, key) for key in ("mIoU", "mIoU_hard", "mIoU_easy"))
    subsets = (
        "" if math.isnan(hard + easy) else f" (hard images {_signed(hard)}, easy images {_signed(easy)})"
    )
    if gain <= -0.05:
        return Advice(
            "bad",
            f"{after.name} is worse than {before.name}: it lost {_points(gain)} of mIoU{subsets}. Check the "
            "quality of the pseudo-labels. A smaller rank.easy_fraction or a higher "
            "pseudo_label.min_confidence gives fewer but better pseudo-labels.",
        )
    if hard < 0:
        return Advice(
            "bad",
            f"{after.name} gained {_points(gain)} of mIoU over {before.name}{subsets}, but not on the hard "
            "images, which step 3 is meant to improve. Check the hard images in the gallery.",
        )
    if gain < SEED_NOISE:
        return Advice(
            "note",
            f"{after.name} minus {before.name}: {_signed(gain)} points of mIoU{subsets}. Another seed can "
            "change the mIoU by as much. Repeat the run with other seeds before you rely on this gain.",
        )
    return Advice("good", f"{after.name} gained {_points(gain)} of mIoU over {before.name}{subsets}.")


def _signed(value: float) -> str:
    return f"{value:+z.1f}"


def _classes(models: Sequence[Result], classes: ClassSet) -> Iterator[Advice]:
    """Yield the classes of IoU 0 and the worst other class of the last model, and the largest loss of IoU."""
    last = models[-1]
    present = [index for index in range(len(classes)) if not math.isnan(last.class_iou[index])]
    missed = [classes.names[index] for index in present if last.class_iou[index] < 0.05]
    detected = [index for index in present if last.class_iou[index] >= 0.05]
    if missed:
        yield Advice(
            "bad",
            f"{last.name} never predicts {', '.join(missed)} correctly. Check that the source labels contain "
            "these classes, and that their objects are large enough at the network's input size.",
        )
    if detected:
        worst = min(detected, key=lambda index: float(last.class_iou[index]))
        yield Advice(
            "note",
            f"Worst class of {last.name}: {classes.names[worst]}, "
            f"IoU {decimal(float(last.class_iou[worst]))} percent. "
            "Compare its labels and predictions in the gallery.",
        )
    change = last.class_iou - models[0].class_iou
    if not np.isnan(change).all() and np.nanmin(change) <= -NOTABLE:
        lost = int(np.nanargmin(change))
        yield Advice(
            "bad",
            f"The IoU of {classes.names[lost]} fell by {_points(float(change[lost]))} "
            f"({models[0].name} to {last.name}), the largest loss of any class.",
        )


def _selection(chosen: SelectedSnapshots) -> Iterator[Advice]:
    """Compare the label-free choice with the best snapshot and with the selected one."""
    scores = {rule: miou for rule, _, _, miou in chosen.rows if miou is not None}
    best = scores.get(validators.ORACLE)
    free = scores.get(validators.LABEL_FREE)
    selected = next((scores.get(rule) for rule, in_use, _, _ in chosen.rows if in_use), None)
    if best is None or free is None or selected is None or chosen.count < 2:
        return
    gap = best - free
    comparison = (
        f"Of the {chosen.count} snapshots of {chosen.name}, the label-free choice ({decimal(free)} percent "
        f"mIoU) is {_points(gap)} below the best."
    )
    if gap >= NOTABLE:
        yield Advice("bad", f"{comparison} Do not rely on it for this data.")
    elif chosen.count < FEW_SNAPSHOTS:
        yield Advice(
            "note", f"{comparison} So few snapshots cannot show whether labels would help to choose."
        )
    else:
        yield Advice(
            "good", f"{comparison} In this run, labels would have improved the choice only a little."
        )
    if free - selected >= NOTABLE:
        yield Advice(
            "note",
            f"The selected snapshot is {_points(free - selected)} worse than the label-free choice. "
            "Try select: label_free.",
        )


def _ranking(diagnosis: dict[str, Any]) -> Iterator[Advice]:
    correlation = diagnosis["spearman_entropy_mIoU"]
    if correlation is None or correlation <= MIN_CORRELATION:
        return
    images = sum(diagnosis[subset]["images"] for subset in (EASY, HARD))
    found = (
        "The entropy of a target image hardly predicts its mIoU (Spearman correlation "
        f"{decimal(correlation, 2)} on {images} images)"
    )
    if images < FEW_IMAGES:
        yield Advice("note", f"{found}, but so few images show little.")
    else:
        yield Advice(
            "bad", f"{found}, so the split into easy and hard is nearly random. Try another rank.rule."
        )


def _pseudo_labels(diagnosis: dict[str, Any], step3: Step3) -> Iterator[Advice]:
    accuracy = (diagnosis["pseudo_labels"] or {}).get("pixel_accuracy")
    if accuracy is None:
        return
    wrong = 100 - accuracy
    if not step3.uses_pseudo_labels:
        unused = "Step 3 did not train on them."
        yield Advice(
            "note", f"{decimal(accuracy)} percent of the pseudo-labelled pixels are correct. {unused}"
        )
    elif wrong > MAX_WRONG:
        yield Advice(
            "bad",
            f"{decimal(wrong)} percent of the pseudo-labelled pixels are wrong, and step 3 trains on them. "
            "Try a smaller rank.easy_fraction or a higher pseudo_label.min_confidence.",
        )
    else:
        yield Advice("good", f"{decimal(accuracy)} percent of the pseudo-labelled pixels are correct.")
