"""Draw the report's figures.

The colours are those of Okabe and Ito; markers and dashes carry the same information as colours.
"""

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
from numpy.typing import NDArray

from intrada.core.config.classes import ClassSet
from intrada.data.tables import EASY, HARD
from intrada.evaluation.reporting.drawing import BACKGROUND, TEXT
from intrada.evaluation.reporting.results import Result
from intrada.evaluation.reporting.samples import Sample

BLUE, ORANGE, GREEN, PURPLE, VERMILION, SKY, GREY = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8C8C8C",
)  # fmt: skip
LINES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, GREY)
SUBSETS = {EASY: SKY, HARD: VERMILION}
MAX_POINTS = 400  # per curve; more cannot be told apart in a figure
# colour and marker of each model
MODELS = ((GREY, "o"), (BLUE, "s"), (VERMILION, "D"), (GREEN, "^"), (PURPLE, "v"), (ORANGE, "P"))


def samples(rows: Sequence[Sample], classes: ClassSet) -> Figure:
    """Draw one row per image: the image, its entropy map, the predictions of each model, and the label.

    The column of labels is left out if no image has a label.
    """
    labelled = any(row.label is not None for row in rows)
    titles = ["image", "entropy: dark 0, bright 1", *rows[0].predictions, *["label"] * labelled]
    ratio = max(row.image.shape[0] / row.image.shape[1] for row in rows)
    width = 2.1 * len(titles) + 0.5
    tight = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.01)
    figure = Figure(figsize=(width, len(rows) * (2.1 * ratio + 0.08) + 0.9), layout=tight)
    axes = figure.subplots(len(rows), len(titles), squeeze=False)
    palette = np.array(classes.palette(), np.uint8).reshape(-1, 3)
    for line, row in zip(axes, rows, strict=True):
        maps = [*row.predictions.values(), *[row.label] * labelled]
        line[0].imshow(row.image)
        line[1].imshow(row.entropy_map, cmap="cividis", vmin=0, vmax=255)
        for axis, indices in zip(line[2:], maps, strict=True):
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
    """Add a legend of the classes that occur in the figure."""
    maps = [
        indices for row in rows for indices in (*row.predictions.values(), row.label) if indices is not None
    ]
    present = np.unique(np.concatenate([np.unique(indices) for indices in maps]))
    shown = [classes.classes[index] for index in present if index < len(classes)]
    patches = [Patch(color="#{:02x}{:02x}{:02x}".format(*entry.color), label=entry.name) for entry in shown]
    figure.legend(
        handles=patches, loc="outside lower center", ncols=columns, handlelength=1.2, columnspacing=1.2
    )


def entropy_histogram(split: pd.DataFrame, quantity: str) -> Figure:
    """Draw the distribution of the ranking scores, with the easy and the hard images and the cut.

    split: the columns score and subset of split.csv; quantity: what the score is, for the axis label.
    """
    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    axis = figure.subplots()
    scores = [split["score"][split["subset"] == subset].to_numpy() for subset in SUBSETS]
    names = [f"{subset}: {len(values)} images" for subset, values in zip(SUBSETS, scores, strict=True)]
    bins, cut = score_bins(split)
    axis.hist(
        scores,
        bins=bins.tolist(),
        stacked=True,
        color=list(SUBSETS.values()),
        label=names,
        edgecolor=BACKGROUND,
    )
    if cut is not None:
        axis.axvline(cut, color=TEXT, linestyle="--", label=f"cut at {cut:.4f}")
    axis.set(xlabel=f"{quantity}; low = confident", ylabel="target images")
    axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    axis.grid(visible=False, axis="x")
    axis.legend()
    return figure


def score_bins(split: pd.DataFrame) -> tuple[NDArray[np.float64], float | None]:
    """Return the edges of the histogram's bins, one of which is at the cut, and the cut of `cut_between`."""
    cut = cut_between(split)
    bins = np.histogram_bin_edges(split["score"], bins=min(40, max(8, len(split) // 6)))
    if cut is not None:  # the added bin keeps the last image
        bins = np.append(bins, bins[-1] + (bins[1] - bins[0]))
        bins += cut - bins[np.searchsorted(bins, cut)]
    return bins, cut


def cut_between(split: pd.DataFrame) -> float | None:
    """Return the score half-way between the last easy and first hard image; None if a subset is empty."""
    easy, hard = (split["score"][split["subset"] == subset] for subset in (EASY, HARD))
    return None if easy.empty or hard.empty else (float(easy.max()) + float(hard.min())) / 2


def training_curves(losses: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw one panel per model and one line per loss.

    A loss has the same colour in all panels; the loss of the auxiliary head is dashed. losses: model ->
    losses.csv, without rows if step 3 was skipped.
    """
    figure = Figure(figsize=(10.5, 3.8), layout="constrained")
    axes = figure.subplots(1, len(losses), squeeze=False)[0]
    columns = {name: loss_columns(table) for name, table in losses.items()}
    kinds = list(dict.fromkeys(kind(key) for keys in columns.values() for key in keys))
    legend: dict[str, Line2D] = {}
    for axis, (name, rows) in zip(axes, losses.items(), strict=True):
        table = downsampled(rows, MAX_POINTS)
        axis.set(title=name, xlabel="iteration")
        if table.empty:
            axis.text(
                0.5, 0.5, "nothing logged", ha="center", va="center", color=GREY, transform=axis.transAxes
            )
            axis.set(xticks=[], yticks=[])
        for key in columns[name] if len(table) else []:
            color = LINES[kinds.index(kind(key)) % len(LINES)]
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
            legend.setdefault(key, line)
        axis.set_ylim(bottom=0)  # last, since it switches off the automatic scaling of the top
    axes[0].set_ylabel("loss, unweighted")
    figure.legend(handles=list(legend.values()), loc="outside lower center", ncols=4)
    return figure


def downsampled(table: pd.DataFrame, limit: int) -> pd.DataFrame:
    """Return up to `limit` rows: the means of equally many consecutive rows, at the last one's iteration."""
    size = math.ceil(len(table) / limit)
    if size <= 1:
        return table
    groups = table.groupby(np.arange(len(table)) // size)
    return groups.mean().assign(iteration=groups["iteration"].last())


def loss_columns(table: pd.DataFrame) -> list[str]:
    """Return the columns of losses.csv that are losses, not the iteration or a learning rate."""
    return [str(key) for key in table if key != "iteration" and not str(key).startswith("lr")]


def kind(loss: str) -> str:
    """Return the name of the loss without its head: "adv" for adv_main and adv_aux."""
    return loss.removesuffix("_main").removesuffix("_aux")


def class_iou(results: Sequence[Result], classes: ClassSet) -> Figure:
    """Draw one line per class, with a marker for the IoU of each model; the mean is below the classes."""
    figure = Figure(figsize=(7.2, 0.27 * len(classes) + 1.5), layout="constrained")
    axis = figure.subplots()
    values = np.array([[*result.class_iou, result.metrics["mIoU"]] for result in results])
    positions = np.append(np.arange(len(classes), dtype=float), len(classes) + 0.4)
    for position, column in zip(positions, values.T, strict=True):
        present = column[~np.isnan(column)]
        if present.size:
            axis.hlines(position, present.min(), present.max(), color=GREY, alpha=0.5, linewidth=2, zorder=1)
        else:
            axis.text(1, position, "absent", color=GREY, va="center")
    for number, (result, row) in enumerate(zip(results, values, strict=True)):
        color, marker = MODELS[number % len(MODELS)]
        axis.scatter(
            row,
            positions,
            34,
            color=color,
            marker=marker,
            label=result.name,
            zorder=2,
            edgecolors=BACKGROUND,
            linewidths=0.6,
        )
    axis.axhline(len(classes) - 0.3, color=TEXT, linewidth=0.8)
    axis.set(xlabel="IoU, percent", xlim=(-2, 102), ylim=(len(classes) + 1, -0.7))
    axis.set_yticks(positions, [*classes.names, "mean"])
    figure.legend(loc="outside upper center", ncols=len(results))
    return figure
