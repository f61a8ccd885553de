"""table.md of the ablation: one line for each recipe."""

from __future__ import annotations

import math

import pandas as pd

from intrada.core.plain_text import markdown_cell
from intrada.pipeline.ablation import evidence
from intrada.pipeline.ablation.definition import Ablation, Benchmark, chosen
from intrada.pipeline.ablation.statistics import CONFIDENCE, paired

METRICS = ("mIoU", "mIoU_easy", "mIoU_hard")
HEAD = ("recipe", "iterations", "mIoU", "easy", "hard", "mIoU - control", "hard - control", "paper")


def markdown(results: pd.DataFrame, counts: pd.DataFrame, ablation: Ablation, benchmark: Benchmark) -> str:
    """Return mean and standard deviation (n - 1) over the seeds, and paired differences from the control.

    All in percentage points. results: one row for each recipe and seed: `iterations`, and METRICS in percent;
    counts: with the columns recipe, seed and those of tables.COUNTS.
    """
    control = _by_seed(results, ablation.control)
    lines = [_line(HEAD), _line(["---", *["---:"] * (len(HEAD) - 1)])]
    for name, recipe in chosen(ablation, benchmark).items():
        rows = _by_seed(results, name)
        same = name == ablation.control
        differences = ["control" if same else _difference(rows[m], control[m]) for m in METRICS[::2]]
        cells = [_iterations(rows, control), *(_spread(rows[metric]) for metric in METRICS)]
        lines.append(
            _line(
                [
                    markdown_cell(recipe.label),
                    *cells,
                    *differences,
                    f"{recipe.paper:.1f}" if recipe.paper else "",
                ]
            )
        )
    parts = [
        f"## {markdown_cell(benchmark.title)}",
        "\n".join(lines),
        _conclusion(results, ablation, benchmark),
        _legend(ablation, benchmark),
        evidence.intervals(results, counts, ablation, benchmark),
        "IoU of each class in percent, the mean over the runs:",
        evidence.per_class(counts, ablation, benchmark),
    ]
    return "\n\n".join(parts) + "\n"


def _conclusion(results: pd.DataFrame, ablation: Ablation, benchmark: Benchmark) -> str:
    """Return the recipes above the control with as many iterations: by the interval, and by the mean only."""
    control = _by_seed(results, ablation.control)
    above = []
    for name, recipe in chosen(ablation, benchmark).items():
        rows = _by_seed(results, name)
        difference = paired(rows["mIoU"], control["mIoU"])
        if name != ablation.control and _same_budget(rows, control) and difference.mean > 0:
            above.append((difference.mean, difference.low, markdown_cell(recipe.label)))
    if not above:
        return "**No recipe with as many iterations as the control has a higher mean mIoU.**"
    above.sort(reverse=True)
    clear = "; ".join(f"{label} ({mean:+.2f})" for mean, low, label in above if low > 0) or "none"
    # low is nan if there is only one seed
    rest = "; ".join(f"{label} ({mean:+.2f})" for mean, low, label in above if not low > 0) or "none"
    return (
        "**Higher mIoU than the control with as many iterations**:"
        f" with an interval above zero {clear}; by the mean only {rest}."
    )


def _legend(ablation: Ablation, benchmark: Benchmark) -> str:
    control = markdown_cell(ablation.recipes[ablation.control].label)
    return f"""\
{_runs(benchmark.seeds)}
Hard: the third of the evaluation images with the highest entropy under the model of step 1.
Differences: from the control, {control}, paired by run, in percentage
points, with Student's {CONFIDENCE:.0%} interval of their mean, not corrected for multiple comparisons.
Iterations: sum of all trainings from the initial weights on; *: another number than the control's.
Paper: {markdown_cell(ablation.paper)}."""


def _runs(seeds: list[int]) -> str:
    if len(seeds) == 1:
        return f"One run (training seed {seeds[0]}), in percent. It says nothing about other seeds."
    listed = ", ".join(map(str, seeds))
    return (
        f"{len(seeds)} runs (training seeds {listed}), the same for every recipe; mean ± standard deviation\n"
        "over the runs, in percent."
    )


def _by_seed(results: pd.DataFrame, recipe: str) -> pd.DataFrame:
    return results[results["recipe"] == recipe].set_index("seed")


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _iterations(rows: pd.DataFrame, control: pd.DataFrame) -> str:
    counts = rows["iterations"].unique()
    return ", ".join(f"{count}" for count in counts) + ("" if _same_budget(rows, control) else "*")


def _same_budget(rows: pd.DataFrame, control: pd.DataFrame) -> bool:
    return list(rows["iterations"].unique()) == list(control["iterations"].unique())


def _spread(values: pd.Series) -> str:
    mean, deviation = values.mean(), values.std()
    return f"{mean:.2f}" if math.isnan(deviation) else f"{mean:.2f} ± {deviation:.2f}"


def _difference(values: pd.Series, control: pd.Series) -> str:
    mean, low, high = paired(values, control)
    return f"{mean:+.2f}" + ("" if math.isnan(low) else f" [{low:+.2f}, {high:+.2f}]")
