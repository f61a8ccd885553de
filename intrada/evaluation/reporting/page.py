"""The report's one HTML page: everything inside it, so that it can be mailed and read offline."""

from __future__ import annotations

import base64
import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from intrada.core.config.classes import ClassSet
from intrada.core.config.schema import Rank
from intrada.data.tables import EASY, HARD
from intrada.evaluation.reporting import drawing, results
from intrada.evaluation.reporting import gallery as pictures
from intrada.evaluation.reporting.advice import Advice
from intrada.evaluation.reporting.drawing import Draw
from intrada.evaluation.reporting.results import Result, Selected, decimal
from intrada.methods.near_ties import near_ties

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
CLASS_IOU = (
    "Each class's IoU on the evaluation images under each model, further right is better: "
    "the grey bar is how far they lie apart."
)
CURVES = (
    "Unweighted losses by iteration, each point a mean since the point before: "
    "seg is the cross entropy, adv the segmenter's adversarial loss, d_source and d_target the losses of the "
    "discriminators (0.69 = it cannot tell the domains apart)."
)


@dataclass(frozen=True)
class Figure:
    """A figure of the page: what it is in a few words, one sentence on what one sees.

    addresses: in light and in dark colours, see drawing.addresses.
    """

    addresses: tuple[str, str]
    title: str
    caption: str
    wide: bool = False


@dataclass(frozen=True)
class Provenance:
    """Where the results come from. params: as YAML; fingerprints: path -> that of the file or folder."""

    params: str
    fingerprints: dict[str, str]


@dataclass(frozen=True)
class Content:
    """All that the page says. figures: see there; gallery: of gallery.build; diagnosis: of diagnosis.py."""

    title: str
    about: list[tuple[str, str]]
    advice: list[Advice]
    models: list[Result]
    chosen: list[Selected]
    figures: list[Figure]
    gallery: dict[str, Any]
    diagnosis: dict[str, Any]
    provenance: Provenance


def figures(iou: Draw, curves: Draw, histogram: Draw, split: pd.DataFrame, rank: Rank) -> list[Figure]:
    """The three figures with their captions, in the order of the page."""
    cut = _cut_in_words(split, rank)
    return [
        Figure(drawing.addresses(iou), "IoU by class", CLASS_IOU),
        Figure(drawing.addresses(curves), "Training curves", CURVES, wide=True),
        Figure(drawing.addresses(histogram), "The cut between easy and hard", cut),
    ]


def _cut_in_words(split: pd.DataFrame, rank: Rank) -> str:
    easy, hard = ((split["subset"] == subset).sum() for subset in (EASY, HARD))
    start = f"The ranking score ({QUANTITIES[rank.rule]}) of all {len(split)} target training images"
    if not easy or not hard:
        subset = EASY if easy else HARD
        return f"{start}: with lambda = {rank.easy_fraction:g} there is no cut, all are {subset}."
    return (
        f"{start}: with lambda = {rank.easy_fraction:g} the cut leaves {easy} of them left of it, easy, "
        f"and {hard} right of it, hard."
    )


def facts(split: pd.DataFrame, rank: Rank, classes: ClassSet) -> list[tuple[str, str]]:
    """How the target images were ranked and cut, as pairs of a word and its value."""
    easy, hard = (int((split["subset"] == part).sum()) for part in (EASY, HARD))
    ties = int(near_ties(split, rank.rule, len(classes)).sum())
    rows = [
        ("ranking rule", rank.rule),
        ("lambda (rank.easy_fraction)", f"{rank.easy_fraction:g}"),
        ("target training images", f"{len(split)}: {easy} easy, {hard} hard"),
        ("near ties, which bfloat16 may cut otherwise", str(ties)),
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
    """A row a class: name, colour, each model's IoU as text and whether none is above it, and the gain.

    The colour is #rrggbb; the gain is the last model's IoU minus the first's.
    """

    def cells(values: list[float]) -> list[tuple[str, bool]]:
        known = [value for value in values if not math.isnan(value)]
        best = decimal(max(known)) if known else None  # as text: of two that look the same both are best
        return [(decimal(value), decimal(value) == best) for value in values]

    ious = [[float(result.class_iou[index]) for result in models] for index in range(len(classes))]
    return [
        {
            "name": entry.name,
            "color": _hex(entry.color),
            "cells": cells(row),
            "gain": decimal(row[-1] - row[0]),
        }
        for entry, row in zip(classes.classes, ious, strict=True)
    ]


def _hex(color: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)


def render(content: Content, classes: ClassSet) -> str:
    """The page as HTML: one script, which the page's own policy names by its hash; no address outside."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["decimal"] = decimal
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False}  # keys stay in their order
    script = environment.get_template("page.js").render()
    return environment.get_template("page.html.j2").render(
        content=content,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        names=[result.name for result in content.models],
        models=results.table(content.models),
        roles={result.name: ROLES.get(result.name, AGAIN) for result in content.models},
        rules=RULES,
        labelled=results.has_labels(content.models),
        classes=class_rows(content.models, classes),
        orders=pictures.orders(content.gallery),
    )
