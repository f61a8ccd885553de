"""Repeat an experiment over seeds: `python -m intrada.pipeline.study docs/results/toycity.yaml`.

A study file names a preset, the runs (dotted params that differ, seeds above all) and the recipes
(params that differ, and which model's evaluation is which row of the table). Everything goes through
DVC, so a study that is started again computes only what is missing. params.yaml is put back at the end.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from intrada.core import files
from intrada.pipeline.ablation.settings import with_changes

PARAMS = Path("params.yaml")
METRICS = ("mIoU", "mIoU_easy", "mIoU_hard", "pixel_accuracy")
DIAGNOSIS = Path("results/report/diagnosis.json")


def main(argv: list[str] | None = None) -> None:
    """Run the study named on the command line; rows go to STUDY.csv, the summary to STUDY.md beside it."""
    parser = argparse.ArgumentParser("intrada.pipeline.study", description=__doc__)
    parser.add_argument("study", type=Path, help="the study file (YAML)")
    parser.add_argument("--driver", choices=("dvc", "snakemake"), default="dvc", help="default: %(default)s")
    options = parser.parse_args(argv)
    study = yaml.safe_load(options.study.read_text(encoding="utf-8"))
    before = PARAMS.read_bytes()
    try:
        rows = [row for run in study["runs"] for row in _run(study, run, options.driver)]
    finally:
        PARAMS.write_bytes(before)
    table = pd.DataFrame(rows)
    files.write_csv(options.study.with_suffix(".csv"), table)
    text = summary(table)
    with files.atomic_file(options.study.with_suffix(".table.md")) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(text)


def summary(table: pd.DataFrame) -> str:
    """Markdown: one line a row name, mean and deviation (n - 1) of each metric over the runs.

    table: columns row, run and numbers, empty where a row has none.
    """
    names = [name for name in table.columns if name not in ("row", "run")]
    groups = table.groupby("row", sort=False)[names]
    mean, deviation, count = groups.mean(), groups.std(), groups.size()
    lines = [f"| | runs | {' | '.join(names)} |", f"| --- | ---: |{' ---: |' * len(names)}"]
    for row in mean.index:
        cells = [_cell(float(mean.loc[row, name]), float(deviation.loc[row, name])) for name in names]
        lines.append(f"| {row} | {count[row]} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _run(study: dict[str, Any], run: dict[str, Any], driver: str) -> list[dict[str, Any]]:
    """All recipes of one run; one row of the table for each evaluated model."""
    preset = yaml.safe_load(Path("presets", f"{study['preset']}.yaml").read_text(encoding="utf-8"))
    rows = []
    for recipe in study["recipes"]:
        changed = with_changes(with_changes(preset, run), recipe["changes"])
        PARAMS.write_text(yaml.safe_dump(changed, sort_keys=False), encoding="utf-8")
        models = list(recipe["rows"].values())
        _drive(driver, models, report="intra" in models)
        for row, model in recipe["rows"].items():
            values = json.loads(Path("results/evaluate", model, "metrics.json").read_text(encoding="utf-8"))
            found = {name: values[name] for name in METRICS}
            rows.append(
                {"row": row, "run": json.dumps(run), **found, **(_labels() if model == "intra" else {})}
            )
    return rows


def _drive(driver: str, models: list[str], report: bool) -> None:
    if driver == "dvc":
        targets = [f"evaluate@{model}" for model in models] + (["report"] if report else [])
        command = [sys.executable, "-m", "intrada.pipeline.dvc_command", "repro", *targets]
    else:
        targets = [f"evaluate_{model}" for model in models] + (["report"] if report else [])
        command = [sys.executable, "-m", "snakemake", "--cores", "all", "--resources", "gpu=1", *targets]
    subprocess.run(command, check=True)


def _labels() -> dict[str, float | None]:
    """How good the pseudo-labels were (a diagnosis with target labels), in percent but the correlation."""
    found = json.loads(DIAGNOSIS.read_text(encoding="utf-8"))
    return {
        "pseudo_labels_easy": found["easy"]["pixel_accuracy"],
        "predictions_hard": found["hard"]["pixel_accuracy"],
        "spearman": found["spearman_entropy_mIoU"],
    }


def _cell(mean: float, deviation: float) -> str:
    if math.isnan(mean):
        return "-"
    return f"{mean:.2f}" if math.isnan(deviation) else f"{mean:.2f} ± {deviation:.2f}"


if __name__ == "__main__":
    main()
