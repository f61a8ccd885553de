"""Item e: entropy scores of the target images, with and without normalisation, easy, hard, pseudo-labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch

from intrada.methods.entropy import image_entropy, information_map
from intrada.methods.ranking import EASY, HARD, PIXELS, rank
from tests.support.parity_items.comparing import Comparison, absolute, exact, relative
from tests.support.parity_items.predictions import logits_of, upsampled, within_rounding
from tests.support.parity_items.reference import PRECISIONS, Reference

INPUTS = frozenset({"note"})
RULES = {"nonorm": "mean_entropy", "norm": "published_normalized"}
# The published list: wall, fence, pole, light, sign, terrain, rider, truck, bus, train, motorcycle.
RARE = (3, 4, 5, 6, 7, 9, 12, 14, 15, 16, 17)
DIFFERING = "pseudo_pixels_differing_f32_vs_f64"


def compute(reference: Reference, name: str) -> dict[str, Any]:
    images = reference.names("target")
    size = reference.size("target_size")
    rows: dict[str, list[dict[str, Any]]] = {precision: [] for precision in PRECISIONS}
    labels: dict[str, dict[str, np.ndarray]] = {precision: {} for precision in PRECISIONS}
    near = {}
    for precision, dtype in PRECISIONS.items():
        segmenter = reference.segmenter(dtype)
        for i, image in enumerate(images):
            logits = upsampled(logits_of(reference, segmenter, "target", i, "target_size"), size)
            labels[precision][image] = logits.argmax(1)[0].numpy()
            rows[precision].append(_row(reference, image, logits))
            if precision == "f64":
                near[image] = within_rounding(reference, logits)
    return {"tables": {p: pd.DataFrame(rows[p]) for p in PRECISIONS}, "labels": labels, "near": near}


def _row(reference: Reference, image: str, logits: torch.Tensor) -> dict[str, Any]:
    """Return a row of scores.csv."""
    counts = np.bincount(logits.argmax(1).numpy().ravel(), minlength=len(reference.classes))
    pixels = {f"{PIXELS}{key}": counts[c] for c, key in enumerate(reference.classes.names)}
    return {"image": image, "entropy": image_entropy(information_map(logits)).item(), **pixels}


def compare(reference: Reference, name: str, actual: dict[str, Any]) -> list[Comparison]:
    stored = reference.stored(name)
    comparisons = [exact(["lambda1"], reference.setting["lambda"], stored["lambda1"])]
    for kind, rule in RULES.items():
        for precision in PRECISIONS:
            key = f"{kind}_{precision}"
            comparisons += _ranked(reference, key, stored[key], rule, actual["tables"][precision])
    return comparisons + _labels(reference, stored[DIFFERING], actual)


def _ranked(
    reference: Reference, key: str, stored: Mapping[str, Any], rule: str, table: pd.DataFrame
) -> list[Comparison]:
    names = reference.classes.names
    rare = [names[c] for c in RARE if c < len(names)]
    ranked = rank(table, rule, reference.setting["lambda"], rare).set_index("image")
    scores = ranked["score"] / len(names)  # the published score is also averaged over the classes
    tolerance = reference.tolerance("entropy_f32_rel" if key.endswith("f32") else "forward_f64_rel")
    comparisons = [exact([key, "entropy", "images"], sorted(scores.index), sorted(stored["entropy"]))]
    for image, expected in stored["entropy"].items():
        comparisons.append(relative([key, "entropy", image], scores.get(image, np.nan), expected, tolerance))
    for subset in (EASY, HARD):
        own = list(ranked.index[ranked["subset"] == subset])
        comparisons += _order([key, subset], own, stored[subset], scores.to_dict(), tolerance)
    noise = 2 * tolerance * float(scores.max())
    gap = np.diff(np.sort(scores.to_numpy())).min()
    comparisons.append(absolute([key, "min_gap"], gap, stored["min_gap"], noise))
    for image, classes in stored.get("rare_classes", {}).items():
        row = table.set_index("image").loc[image]
        own_rare = [c for c in RARE if c < len(names) and row[f"{PIXELS}{names[c]}"] > 0]
        comparisons.append(exact([key, "rare_classes", image], own_rare, classes))
    return comparisons


def _order(
    where: list[str], actual: list[str], expected: list[str], scores: Mapping[str, float], tolerance: float
) -> list[Comparison]:
    """Compare position by position; neighbours may be swapped if their scores are equal within rounding."""
    comparisons = [exact([*where, "length"], len(actual), len(expected))]
    for position, (own, other) in enumerate(zip(actual, expected, strict=False)):
        gap = abs(scores[own] - scores.get(other, np.inf))
        swapped = gap <= 2 * tolerance * scores[own]
        comparisons.append(exact([*where, position], other if swapped else own, other))
    return comparisons


def _labels(reference: Reference, differing: Mapping[str, int], actual: dict[str, Any]) -> list[Comparison]:
    """Compare float32 pseudo-labels; a pixel may differ only if float64's best classes tie within rounding."""
    comparisons = []
    for image, own in actual["labels"]["f32"].items():
        file = image.rsplit("/", 1)[-1]
        expected = reference.stored(f"pseudo/{file}")
        near = actual["near"][image]
        rows, columns = np.indices(expected.shape)
        tied = near[np.minimum(expected, len(near) - 1), rows, columns] & (expected < len(near))
        comparisons.append(exact([f"pseudo/{file}"], np.where(tied, expected, own), expected))
        changed = int((own != actual["labels"]["f64"][image]).sum())
        ties = int((near.sum(0) > 1).sum())
        comparisons.append(absolute([DIFFERING, file], changed, differing[file], ties))
    return comparisons
