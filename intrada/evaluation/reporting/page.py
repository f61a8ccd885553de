"""Build the report's HTML page, one file without external resources, so that it can be mailed."""

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
from intrada.core.plain_text import printable
from intrada.data.tables import EASY, HARD
from intrada.evaluation.reporting import drawing, gallery, results
from intrada.evaluation.reporting.advice import Advice
from intrada.evaluation.reporting.drawing import Draw
from intrada.evaluation.reporting.results import Result, SelectedSnapshots, decimal
from intrada.methods.near_ties import near_ties

QUANTITIES = {
    "mean_entropy": "mean pixel entropy, 0..1",
    "published_normalized": "entropy normalised by rare classes, as in the published code",
    "paper_normalized": "entropy normalised by rare classes, as in the paper",
}
ROLES = {
    "source": "trained on the source labels only: the baseline",
    "inter": "step 1: adapted from source to target",
    "intra": "step 3: adapted from easy to hard target images",
}
LATER_ROUND = "a later round of steps 2 and 3"
RULES = {
    "last": "the end of training",
    "label_free": "the highest mutual information of a pixel and its predicted class, on target images "
    "without their labels",
    "oracle": "the highest mIoU on the evaluation labels. For comparison only: its mIoU is measured on the "
    "labels that selected it, so it must not be reported",
}
CLASS_IOU = (
    "IoU of each class on the evaluation images, one marker per model; higher is better. "
    "The grey bar spans the models."
)
CURVES = (
    "Losses without their weights. Each point is the mean since the previous point. "
    "seg is the cross entropy, adv the segmenter's adversarial loss; d_source and d_target are the losses of "
    "the discriminators (0.69: a discriminator that cannot tell the domains apart)."
)


@dataclass(frozen=True)
class Figure:
    """A figure of the page. urls: data URLs of its light and its dark version, see drawing.data_urls.

    wide: shown at its full width, with a scroll bar on a narrow screen.
    """

    urls: tuple[str, str]
    title: str
    caption: str
    wide: bool = False


@dataclass(frozen=True)
class Provenance:
    """The origin of the results.

    params: YAML of the values in which all runs agree; different: key -> job -> its value, for the others.
    not_recorded, files: keys, and files, of which no run is recorded. fingerprints: path -> fingerprint of
    the file or folder.
    """

    params: str
    different: dict[str, dict[str, str]]
    not_recorded: list[str]
    files: list[str]
    fingerprints: dict[str, str]


@dataclass(frozen=True)
class Content:
    """The content of the page.

    figures: of `figures` below; gallery: of gallery.build; diagnosis: of diagnosis.diagnose; facts: pairs of
    a term and its value.
    """

    title: str
    facts: list[tuple[str, str]]
    advice: list[Advice]
    models: list[Result]
    chosen: list[SelectedSnapshots]
    figures: list[Figure]
    gallery: dict[str, Any]
    diagnosis: dict[str, Any]
    provenance: Provenance


def figures(iou: Draw, curves: Draw, histogram: Draw, split: pd.DataFrame, rank: Rank) -> list[Figure]:
    """Return the three figures with their captions, in the order of the page."""
    cut = _cut_caption(split, rank)
    return [
        Figure(drawing.data_urls(iou), "IoU by class", CLASS_IOU),
        Figure(drawing.data_urls(curves), "Training curves", CURVES, wide=True),
        Figure(drawing.data_urls(histogram), "The cut between easy and hard", cut),
    ]


def _cut_caption(split: pd.DataFrame, rank: Rank) -> str:
    easy, hard = ((split["subset"] == subset).sum() for subset in (EASY, HARD))
    start = f"Ranking score ({QUANTITIES[rank.rule]}) of the {len(split)} target training images."
    if not easy or not hard:
        subset = EASY if easy else HARD
        return f"{start} With lambda = {rank.easy_fraction:g} there is no cut: all images are {subset}."
    return (
        f"{start} The cut at lambda = {rank.easy_fraction:g} separates {easy} easy images (left) from "
        f"{hard} hard images (right)."
    )


def facts(
    split: pd.DataFrame, rank: Rank, classes: ClassSet, is_recorded: bool = True
) -> list[tuple[str, str]]:
    """Return how the target images were ranked and split, as pairs of a term and its value.

    is_recorded: `rank` is from the record of the run; if not, it is of params.yaml, and the page says so.
    """
    note = "" if is_recorded else " (of params.yaml; the run is not recorded)"
    easy, hard = (int((split["subset"] == subset).sum()) for subset in (EASY, HARD))
    ties = int(near_ties(split, rank.rule, len(classes)).sum())
    rows = [
        ("ranking rule", f"{rank.rule}{note}"),
        ("lambda (rank.easy_fraction)", f"{rank.easy_fraction:g}{note}"),
        ("target training images", f"{len(split)}: {easy} easy, {hard} hard"),
        ("near ties, whose subset could change under bfloat16 rounding", str(ties)),
        ("classes", str(len(classes))),
    ]
    if rank.rule != "mean_entropy":
        rows.insert(1, ("rare classes", ", ".join(rank.rare_classes)))
    if not easy:
        rows.append(
            ("step 3", "skipped, since no image is easy; the intra model is a copy of step 1's model")
        )
    elif not hard:
        rows.append(("step 3", "self-training without adversarial losses, since no image is hard"))
    return rows


def class_rows(models: list[Result], classes: ClassSet) -> list[dict[str, Any]]:
    """Return one row per class, with texts: name, color (#rrggbb), cells and gain.

    cells: for each model its IoU in percent, and whether it is the best one (several can be). gain: the
    IoU of the last model minus that of the first.
    """

    def cells(values: list[float]) -> list[tuple[str, bool]]:
        present = [value for value in values if not math.isnan(value)]
        best = decimal(max(present)) if present else None  # rounded: values that look equal are all best
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


def _finalized(value: Any) -> Any:
    """Return a value of the template without control characters, as the title may hold some."""
    is_html = hasattr(value, "__html__")
    return printable(value, keep="\n") if isinstance(value, str) and not is_html else value


def render(content: Content, classes: ClassSet) -> str:
    """Return the page as HTML. Its Content-Security-Policy allows only its own script, by its hash."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=_finalized,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["decimal"] = decimal
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False}  # keeps the order of the keys
    script = environment.get_template("page.js").render()
    return environment.get_template("page.html.j2").render(
        content=content,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        names=[result.name for result in content.models],
        models=results.table(content.models),
        roles={result.name: ROLES.get(result.name, LATER_ROUND) for result in content.models},
        rules=RULES,
        labelled=results.has_labels(content.models),
        classes=class_rows(content.models, classes),
        orders=gallery.sort_orders(content.gallery),
    )
