"""The report's figures: colours of Okabe and Ito, and never colour alone (markers and dashes too)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from intrada.core.config.classes import ClassSet
from intrada.data.tables import EASY, HARD
from intrada.evaluation.reporting.drawing import GROUND, INK
from intrada.evaluation.reporting.results import Result
from intrada.evaluation.reporting.samples import Sample

BLUE, ORANGE, GREEN, PURPLE, VERMILION, SKY, GREY = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8C8C8C",
)  # fmt: skip
LINES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, GREY)
SUBSETS = {EASY: SKY, HARD: VERMILION}
MOST_POINTS = 400  # of a curve: more than a figure has room for
MODELS = ((GREY, "o"), (BLUE, "s"), (VERMILION, "D"), (GREEN, "^"), (PURPLE, "v"), (ORANGE, "P"))


def samples(rows: Sequence[Sample], classes: ClassSet) -> Figure:
    """A row an image: image, entropy, each model's prediction, the label if any row has one."""
    labelled = any(row.label is not None for row in rows)
    titles = ["image", "entropy: dark 0, bright 1", *rows[0].predictions, *["label"] * labelled]
    ratio = max(row.image.shape[0] / row.image.shape[1] for row in rows)
    width = 2.1 * len(titles) + 0.5
    tight = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.01)
    figure = Figure(figsize=(width, len(rows) * (2.1 * ratio + 0.08) + 0.9), layout=tight)
    axes = figure.subplots(len(rows), len(titles), squeeze=False)
    palette = np.array(classes.palette(), np.uint8).reshape(-1, 3)
    for line, row in zip(axes, rows, strict=True):
        low_res_logits = [*row.predictions.values(), *[row.label] * labelled]
        line[0].imshow(row.image)
        line[1].imshow(row.uncertainty, cmap="cividis", vmin=0, vmax=255)
        for axis, indices in zip(line[2:], low_res_logits, strict=True):
            if indices is None:
                axis.text(
                    0.5, 0.5, "no label", ha="center", va="center", color=GREY, transform=axis.transAxes
                )
            else:
                axis.imshow(palette[indices], interpolation="nearest")
        line[0].set_ylabel(
            f"{row.subset}\n{row.entropy:.3f}", rotation=0, ha="right", va="center", labelpad=6
        )
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title)
    _legend_of_classes(figure, rows, classes, int(width / 1.5))
    return figure


def _legend_of_classes(figure: Figure, rows: Sequence[Sample], classes: ClassSet, columns: int) -> None:
    """The classes that occur somewhere in the figure, with their colours."""
    low_res_logits = [
        indices for row in rows for indices in (*row.predictions.values(), row.label) if indices is not None
    ]
    occurring = np.unique(np.concatenate([np.unique(indices) for indices in low_res_logits]))
    shown = [classes.classes[index] for index in occurring if index < len(classes)]
    patches = [Patch(color="#{:02x}{:02x}{:02x}".format(*entry.color), label=entry.name) for entry in shown]
    figure.legend(
        handles=patches, loc="outside lower center", ncols=columns, handlelength=1.2, columnspacing=1.2
    )


def entropy_histogram(split: pd.DataFrame, quantity: str) -> Figure:
    """How many target images have which score, easy and hard apart, with the cut between them."""
    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    axis = figure.subplots()
    scores = [split["score"][split["subset"] == subset].to_numpy() for subset in SUBSETS]
    names = [f"{subset}: {len(values)} images" for subset, values in zip(SUBSETS, scores, strict=True)]
    cut = cut_between(split)
    bins = np.histogram_bin_edges(split["score"], bins=min(40, max(8, len(split) // 6)))
    if (
        cut is not None
    ):  # move the bins so that none lies across the cut; one more keeps the last image inside
        bins = np.append(bins, bins[-1] + (bins[1] - bins[0]))
        bins += cut - bins[np.searchsorted(bins, cut)]
    axis.hist(
        scores, bins=bins.tolist(), stacked=True, color=list(SUBSETS.values()), label=names, edgecolor=GROUND
    )
    if cut is not None:
        axis.axvline(cut, color=INK, linestyle="--", label=f"cut at {cut:.4f}")
    axis.set(xlabel=f"{quantity}; low = sure", ylabel="target images")
    axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    axis.grid(visible=False, axis="x")
    axis.legend()
    return figure


def cut_between(split: pd.DataFrame) -> float | None:
    """The score half-way between the last easy and the first hard image; None if a subset is empty."""
    easy, hard = (split["score"][split["subset"] == subset] for subset in (EASY, HARD))
    return None if easy.empty or hard.empty else (float(easy.max()) + float(hard.min())) / 2


def training_curves(losses: Mapping[str, pd.DataFrame]) -> Figure:
    """A panel a model, a line a loss; a loss has one colour in all panels, the auxiliary head is dashed."""
    figure = Figure(figsize=(10.5, 3.8), layout="constrained")
    axes = figure.subplots(1, len(losses), squeeze=False)[0]
    columns = {name: [str(key) for key in table if _is_loss(str(key))] for name, table in losses.items()}
    kinds = list(dict.fromkeys(_kind(key) for keys in columns.values() for key in keys))
    looks: dict[str, Line2D] = {}
    for axis, (name, rows) in zip(axes, losses.items(), strict=True):
        table = thinned(rows, MOST_POINTS)
        axis.set(title=name, xlabel="iteration")
        if table.empty:
            axis.text(
                0.5, 0.5, "nothing logged", ha="center", va="center", color=GREY, transform=axis.transAxes
            )
            axis.set(xticks=[], yticks=[])
        for key in columns[name] if len(table) else []:
            color = LINES[kinds.index(_kind(key)) % len(LINES)]
            dashes = "--" if key.endswith("_aux") else "-"
            marker = "o" if len(table) == 1 else ""
            (line,) = axis.plot(
                table["iteration"],
                table[key],
                color=color,
                linestyle=dashes,
                marker=marker,
                linewidth=1.3,
                label=key,
            )
            looks.setdefault(key, line)
        axis.set_ylim(bottom=0)  # last, since it ends the automatic scaling of the top
    axes[0].set_ylabel("loss, unweighted")
    figure.legend(handles=list(looks.values()), loc="outside lower center", ncols=4)
    return figure


def thinned(table: pd.DataFrame, most: int) -> pd.DataFrame:
    """At most `most` rows: each the mean of as many rows in turn, at the iteration of their last."""
    together = math.ceil(len(table) / most)
    if together <= 1:
        return table
    groups = table.groupby(np.arange(len(table)) // together)
    return groups.mean().assign(iteration=groups["iteration"].last())


def _is_loss(column: str) -> bool:
    return column != "iteration" and not column.startswith("lr")


def _kind(loss: str) -> str:
    """The loss without its head: adv_main and adv_aux are both adv."""
    return loss.removesuffix("_main").removesuffix("_aux")


def class_iou(results: Sequence[Result], classes: ClassSet) -> Figure:
    """A line a class: the IoU of each model as a marker, the mean over the classes below."""
    figure = Figure(figsize=(7.2, 0.27 * len(classes) + 1.5), layout="constrained")
    axis = figure.subplots()
    values = np.array([[*result.class_iou, result.metrics["mIoU"]] for result in results])
    places = np.append(np.arange(len(classes), dtype=float), len(classes) + 0.4)
    for place, column in zip(places, values.T, strict=True):
        known = column[~np.isnan(column)]
        if known.size:
            axis.hlines(place, known.min(), known.max(), color=GREY, alpha=0.5, linewidth=2, zorder=1)
        else:
            axis.text(1, place, "absent", color=GREY, va="center")
    for number, (result, row) in enumerate(zip(results, values, strict=True)):
        color, marker = MODELS[number % len(MODELS)]
        axis.scatter(
            row,
            places,
            34,
            color=color,
            marker=marker,
            label=result.name,
            zorder=2,
            edgecolors=GROUND,
            linewidths=0.6,
        )
    axis.axhline(len(classes) - 0.3, color=INK, linewidth=0.8)
    axis.set(xlabel="IoU, percent", xlim=(-2, 102), ylim=(len(classes) + 1, -0.7))
    axis.set_yticks(places, [*classes.names, "mean"])
    figure.legend(loc="outside upper center", ncols=len(results))
    return figure
