"""What the numbers say, in sentences, and what to look at next."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from intrada.core.config.classes import ClassSet
from intrada.evaluation import validators
from intrada.evaluation.reporting import results
from intrada.evaluation.reporting.results import Result, Selected, decimal

SMALL = 2.0  # points of mIoU: less may be another seed (three on the toy city: docs/results/toycity.md)
FAR = 1.0  # points between two choices, or lost by a class
WRONG = 15.0  # percent of the pseudo-labels' pixels
WEAK = -0.3  # Spearman correlation of entropy and quality; nearer to 0 the ranking says little
HIGH, LOW = "mIoU_hard", "mIoU_easy"


@dataclass(frozen=True)
class Advice:
    """A sentence of the page. tone: good news, bad news, or neither."""

    tone: Literal["good", "bad", "note"]
    text: str


def advise(
    models: Sequence[Result], classes: ClassSet, chosen: Sequence[Selected], diagnosis: dict[str, Any]
) -> list[Advice]:
    """models: source, inter, intra, rounds; chosen: what each rule selects of them; diagnosis: see there."""
    if not results.has_labels(list(models)):
        return [
            Advice(
                "note",
                "The evaluation images have no labels, so nothing here says which model is better. Look at "
                "the gallery, hardest images first, and compare the predictions of source, inter and intra.",
            )
        ]
    source, *later = models
    return [
        _adaptation(source, later[-1]),
        *(_step(before, after) for before, after in itertools.pairwise(later)),
        *_classes(models, classes),
        *_selection(chosen[-1]),
        *_ranking(diagnosis),
        *_pseudo_labels(diagnosis),
    ]


def _points(value: float) -> str:
    return f"{decimal(abs(value))} points"


def _change(before: Result, after: Result, key: str = "mIoU") -> float:
    return after.metrics[key] - before.metrics[key]


def _adaptation(source: Result, last: Result) -> Advice:
    gain = _change(source, last)
    numbers = f"{decimal(source.metrics['mIoU'])} to {decimal(last.metrics['mIoU'])} percent"
    if gain < 0:
        return Advice(
            "bad",
            f"Adaptation made the model worse: mIoU from {numbers}, {_points(gain)} lost against source "
            "alone. Look at the losses first: do those of segmenter and discriminator stay in balance?",
        )
    return Advice(
        "good", f"Adaptation, {source.name} to {last.name}: mIoU from {numbers}, {_points(gain)} gained."
    )


def _step(before: Result, after: Result) -> Advice:
    """What one round of steps 2 and 3 changed; its aim are the hard images."""
    gain, hard, easy = (_change(before, after, key) for key in ("mIoU", HIGH, LOW))
    parts = "" if math.isnan(hard + easy) else f" (hard images {_signed(hard)}, easy images {_signed(easy)})"
    if gain <= -0.05:
        return Advice(
            "bad",
            f"{after.name} is worse than {before.name}: {_points(gain)} of mIoU lost{parts}. Look at the "
            "quality of the pseudo-labels; a smaller rank.easy_fraction or a higher "
            "pseudo_label.min_confidence gives fewer and better ones.",
        )
    if hard < 0:
        return Advice(
            "bad",
            f"{after.name} gained {_points(gain)} of mIoU over {before.name}{parts}, but not on the hard "
            "images, which it is for. Look at the hard images in the gallery.",
        )
    if gain < SMALL:
        return Advice(
            "note",
            f"{after.name} against {before.name}: {_signed(gain)} points of mIoU{parts}. Another seed may "
            "change as much: repeat the run before you rely on it.",
        )
    return Advice("good", f"{after.name} gained {_points(gain)} of mIoU over {before.name}{parts}.")


def _signed(value: float) -> str:
    return f"{value:+z.1f}"


def _classes(models: Sequence[Result], classes: ClassSet) -> Iterator[Advice]:
    """The worst class of the last model, those that it never finds, and the one that adaptation cost most."""
    last = models[-1]
    known = [index for index in range(len(classes)) if not math.isnan(last.class_iou[index])]
    never = [classes.names[index] for index in known if last.class_iou[index] < 0.05]
    found = [index for index in known if last.class_iou[index] >= 0.05]
    if never:
        yield Advice(
            "bad",
            f"{last.name} never finds {', '.join(never)}. Are these classes in the source labels, and large "
            "enough at the network's input size?",
        )
    if found:
        worst = min(found, key=lambda index: float(last.class_iou[index]))
        yield Advice(
            "note",
            f"Worst class of {last.name}: {classes.names[worst]}, "
            f"IoU {decimal(float(last.class_iou[worst]))} percent. "
            "Look at where it should be in the gallery, label against prediction.",
        )
    change = last.class_iou - models[0].class_iou
    if not np.isnan(change).all() and np.nanmin(change) <= -FAR:
        lost = int(np.nanargmin(change))
        yield Advice(
            "bad",
            f"Adaptation cost {classes.names[lost]} {_points(float(change[lost]))} of IoU "
            f"({models[0].name} to {last.name}), more than any other class.",
        )


def _selection(chosen: Selected) -> Iterator[Advice]:
    """The snapshot in use, and the one that is chosen without labels, against the best there is."""
    scores = {rule: miou for rule, _, _, miou in chosen.rows if miou is not None}
    best = scores.get(validators.ORACLE)
    free = scores.get(validators.LABEL_FREE)
    used = next((scores.get(rule) for rule, in_use, _, _ in chosen.rows if in_use), None)
    if best is None or free is None or used is None or chosen.count < 2:
        return
    far = best - free
    words = f"the choice without labels ({decimal(free)} percent mIoU) lies {_points(far)} below the best"
    if far >= FAR:
        yield Advice("bad", f"Of {chosen.name}'s {chosen.count} snapshots {words}: do not rely on it here.")
    else:
        yield Advice("good", f"Of {chosen.name}'s {chosen.count} snapshots {words}: labels would add little.")
    if free - used >= FAR:
        yield Advice(
            "note",
            f"The snapshot in use is {_points(free - used)} worse than the one chosen without labels: "
            "try select: label_free.",
        )


def _ranking(diagnosis: dict[str, Any]) -> Iterator[Advice]:
    correlation = diagnosis["spearman_entropy_mIoU"]
    if correlation is not None and correlation > WEAK:
        yield Advice(
            "bad",
            "Entropy says little about which target images are predicted well (Spearman correlation "
            f"{decimal(correlation, 2)}): easy and hard are nearly drawn by chance. Try another rank.rule.",
        )


def _pseudo_labels(diagnosis: dict[str, Any]) -> Iterator[Advice]:
    right = (diagnosis["pseudo_labels"] or {}).get("pixel_accuracy")
    if right is None:
        return
    wrong = 100 - right
    if wrong > WRONG:
        yield Advice(
            "bad",
            f"{decimal(wrong)} percent of the pseudo-labels' pixels are wrong, and step 3 learns them: try a "
            "smaller rank.easy_fraction or a higher pseudo_label.min_confidence.",
        )
    else:
        yield Advice("good", f"{decimal(right)} percent of the pseudo-labels' pixels are right.")
