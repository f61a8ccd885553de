"""Sentences of the page that need no label: accuracy, surer models, lost classes, disagreement."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from intrada.evaluation.reporting.advice import Advice
from intrada.evaluation.reporting.results import decimal
from intrada.evaluation.reporting.step3 import PAPER, Step3

SIMILAR = 0.05  # relative change of the mean entropy that counts as none
# Measured with the labels of the toy city (docs/how-to/selection.md)
ESTIMATE_ERROR = (
    "Measured on the toy city, it was 5 to 8 points too high for AdvEnt and within 0.8 points for a mean "
    "teacher with changed colours."
)
LOW_AGREEMENT = 80.0  # percent of the pixels


def advise(found: Mapping[str, Any], total: int, labelled: bool, step3: Step3 = PAPER) -> list[Advice]:
    """Return the sentences.

    found: findings.json of analyse; total: number of target training images; labelled: the evaluation images
    have labels, so that other sentences say how good the models are; step3: what step 3 trained on.
    """
    models = list(found["models"])
    advice = [*_lost(found, models[-1], step3), *_starved(found["starved_by_pseudo_labels"])]
    if not labelled:
        advice += _surer(found["models"], models)
        advice += _agreement(found["pairs"], models)
        advice += _label_next(found["label_next"], total)
    return advice


def estimate(snapshots: Mapping[str, pd.DataFrame], select: str) -> Iterator[Advice]:
    """Yield a sentence with the estimated accuracy of each model, in percent, and its measured error.

    snapshots: model -> snapshots.csv; select: the rule that chooses the snapshots in use.
    """
    values = []
    for model, table in snapshots.items():
        chosen = table[table[select] == 1]
        value = float((chosen if len(chosen) else table).iloc[-1]["estimated_accuracy"])
        if not math.isnan(value):
            values.append(f"{model} {decimal(value, 1)} %")
    if values:
        yield Advice(
            "note",
            f"Estimated pixel accuracy on the target, without labels (ATC): {', '.join(values)}. It assumes "
            f"that the confidence means the same in both domains. {ESTIMATE_ERROR}",
        )


def _surer(found: Mapping[str, Any], models: Sequence[str]) -> Iterator[Advice]:
    first, last = models[0], models[-1]
    before, after = found[first]["mean_entropy"], found[last]["mean_entropy"]
    numbers = f"mean entropy {decimal(before, 3)} before, {decimal(after, 3)} after"
    if after > before * (1 + SIMILAR):
        yield Advice(
            "bad",
            f"{last} is less sure than {first} ({numbers}). Compare the predictions of the "
            "hard images, and check the losses of the discriminators, if the method has any.",
        )
    information = [found[name]["mutual_information"] for name in (first, last)]
    values = f"{decimal(information[0], 3)} before, {decimal(information[1], 3)} after"
    if information[1] < information[0]:
        yield Advice(
            "bad",
            f"The mutual information of a pixel and its predicted class fell ({values}). It falls "
            "if predictions are less sure, or if fewer classes are predicted: compare their shares.",
        )
    else:
        yield Advice(
            "note",
            f"The mutual information of a pixel and its predicted class did not fall ({values}; {numbers}): "
            "predictions are sure and still use many classes. That is how useful adaptation looks, but a "
            "model can also be sure and wrong.",
        )


def _lost(found: Mapping[str, Any], last: str, step3: Step3) -> Iterator[Advice]:
    if lost := found["models"][last]["vanished_classes"]:
        reference = found["vanished_compared_with"]
        whose = "the labels have" if reference == "labels" else f"{reference} predicts"
        remedy = "Try rare_class_sampling of the source images."
        if step3.uses_pseudo_labels:
            remedy = (
                "Try source labels as well in step 3 (train_intra.supervision: both), or "
                "pseudo_label.class_share below 1."
            )
        yield Advice(
            "bad",
            f"{last} hardly predicts {', '.join(lost)}: less than a tenth of the share that {whose}. "
            f"Training on its own predictions cannot bring a lost class back. {remedy}",
        )


def _starved(rows: Sequence[Mapping[str, Any]]) -> Iterator[Advice]:
    if rows:
        names = ", ".join(
            f"{row['class']} ({decimal(row['target_predicted'], 2)} % of the predictions, "
            f"{decimal(row['pseudo_labels'], 2)} % of the pseudo-labels)"
            for row in rows
        )
        yield Advice(
            "bad",
            f"Pseudo-labels starve {names}: step 3 hardly sees these classes. A larger rank.easy_fraction or "
            "a lower pseudo_label.min_confidence keeps more of their pixels.",
        )


def _agreement(pairs: Mapping[str, Any], models: Sequence[str]) -> Iterator[Advice]:
    share = pairs[f"{models[0]}_{models[-1]}"]["agreement"]
    if share is not None and share < LOW_AGREEMENT:
        yield Advice(
            "note",
            f"{models[0]} and {models[-1]} agree on {decimal(share)} percent of the pixels only: adaptation "
            "changed much. Look at the images on which they disagree most.",
        )


def _label_next(names: Sequence[str], total: int) -> Iterator[Advice]:
    if names:
        yield Advice(
            "note",
            f"A few labels would tell how good the models are. The section Label next shows {len(names)} of "
            f"the {total} target images that are uncertain and differ from each other.",
        )
