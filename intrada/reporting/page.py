"""The report's one HTML page: everything inside it, so that it can be mailed and read offline."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from intrada.labels import ClassSet
from intrada.params import Rank
from intrada.reporting import results
from intrada.reporting.results import Result, Selected, decimal
from intrada.tables import EASY, HARD

QUANTITIES = {
    "mean_entropy": "mean pixel entropy, 0..1",
    "published_normalized": "entropy normalised by rare classes, as the published code does",
    "paper_normalized": "entropy normalised by rare classes, as the paper says",
}
ROLES = {
    "source": "trained on the source labels alone: the baseline",
    "inter": "step 1: source against target",
    "intra": "step 3: easy against hard target images",
}
AGAIN = "one more round of steps 2 and 3"
RULES = {
    "last": "the end of training",
    "label_free": "highest mutual information of pixel and predicted class, on target images without labels",
    "oracle": "highest mIoU on the evaluation labels: for comparison, not to report, since the labels that "
    "its number is measured on chose it",
}


@dataclass(frozen=True)
class Picture:
    """A figure on the page: PNG bytes, what it is in a few words, one sentence on what one sees."""

    png: bytes
    title: str
    caption: str
    wide: bool = False

    @property
    def address(self) -> str:
        """The image itself as an address, so that the page needs no file beside it."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode()


def pictures(folder: Path, split: pd.DataFrame, rank: Rank) -> list[Picture]:
    """The figures in `folder` with their captions, in the order of the page."""

    def picture(name: str, title: str, caption: str, wide: bool = False) -> Picture:
        return Picture((folder / f"{name}.png").read_bytes(), title, caption, wide)

    return [
        picture(
            "samples",
            "The surest and the least sure images",
            "Evaluation images from the lowest to the highest entropy of the inter model (the number on the "
            "left): bright entropy marks the pixels it is unsure of, to compare with where it is wrong.",
            wide=True,
        ),
        picture(
            "class_iou",
            "IoU by class",
            "Each class's IoU on the evaluation images under each model, further right is better: "
            "the grey bar is how far they lie apart.",
        ),
        picture("entropy_histogram", "The cut between easy and hard", _cut_in_words(split, rank)),
        picture(
            "training_curves",
            "Losses",
            "Unweighted losses by iteration, each point a mean since the point before: "
            "seg is the cross entropy, fool the segmenter's loss against the discriminator, judge the "
            "discriminator's own (0.69 = it cannot tell the domains apart).",
            wide=True,
        ),
    ]


def _cut_in_words(split: pd.DataFrame, rank: Rank) -> str:
    easy, hard = ((split["part"] == part).sum() for part in (EASY, HARD))
    start = f"The ranking score ({QUANTITIES[rank.rule]}) of all {len(split)} target training images"
    if not easy or not hard:
        part = EASY if easy else HARD
        return f"{start}: with lambda = {rank.easy_fraction:g} there is no cut, all are {part}."
    return (
        f"{start}: with lambda = {rank.easy_fraction:g} the cut leaves {easy} of them left of it, easy, "
        f"and {hard} right of it, hard."
    )


def facts(split: pd.DataFrame, rank: Rank, classes: ClassSet) -> list[tuple[str, str]]:
    """What was run, as pairs of a word and its value."""
    easy, hard = (int((split["part"] == part).sum()) for part in (EASY, HARD))
    rows = [
        ("ranking rule", rank.rule),
        ("lambda (rank.easy_fraction)", f"{rank.easy_fraction:g}"),
        ("target training images", f"{len(split)}: {easy} easy, {hard} hard"),
        ("classes", str(len(classes))),
    ]
    if rank.rule != "mean_entropy":
        rows.insert(1, ("rare classes", ", ".join(rank.rare_classes)))
    if not easy:
        rows.append(("step 3", "skipped, since no image is easy: the intra model is step 1's"))
    elif not hard:
        rows.append(("step 3", "self-training without an adversary, since no image is hard"))
    return rows


def class_rows(models: list[Result], classes: ClassSet) -> list[dict[str, Any]]:
    """A row a class: name, colour as #rrggbb, each model's IoU as text and whether none is above it."""

    def cells(values: list[float]) -> list[tuple[str, bool]]:
        known = [value for value in values if not math.isnan(value)]
        best = decimal(max(known)) if known else None  # as text: of two that look the same both are best
        return [(decimal(value), decimal(value) == best) for value in values]

    return [
        {
            "name": entry.name,
            "color": "#{:02x}{:02x}{:02x}".format(*entry.color),
            "cells": cells([float(result.class_iou[index]) for result in models]),
        }
        for index, entry in enumerate(classes.classes)
    ]


def render(
    title: str,
    models: list[Result],
    chosen: list[Selected],
    classes: ClassSet,
    about: list[tuple[str, str]],
    figures: list[Picture],
    diagnosis: dict[str, Any],
) -> str:
    """The page as HTML: no script, no address outside itself."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["decimal"] = decimal
    return environment.get_template("page.html.j2").render(
        title=title,
        names=[result.name for result in models],
        models=results.table(models),
        roles={result.name: ROLES.get(result.name, AGAIN) for result in models},
        chosen=chosen,
        rules=RULES,
        labelled=results.has_labels(models),
        classes=class_rows(models, classes),
        about=about,
        figures=figures,
        diagnosis=diagnosis,
    )
