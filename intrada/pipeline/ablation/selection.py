"""How well the criteria without labels choose a snapshot, measured on the runs of a benchmark."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from intrada.core import files
from intrada.core.plain_text import logger
from intrada.data import tables
from intrada.evaluation import criteria_quality, validators
from intrada.pipeline.ablation.definition import Benchmark, Criteria, How
from intrada.pipeline.ablation.places import RESULTS, Places
from intrada.pipeline.ablation.settings import tree_of
from intrada.pipeline.ablation.steps import INDEX
from intrada.pipeline.ablation.workplace import opened, run

log = logger(__name__)

RUN = ["recipe", "seed"]
COLUMNS = ["criterion", "runs", "correlation", "regret"]
LAST = "the last snapshot"


def path_of(benchmark: str) -> Path:
    """Return the table of the snapshots of a benchmark."""
    return RESULTS / "criteria" / f"{benchmark}.csv"


def measure(name: str, benchmark: Benchmark, hows: dict[str, How]) -> None:
    """Write the criteria and the mIoU of all snapshots of the last training of each recipe and seed.

    The table has RUN and the columns of snapshots.csv; no row if the benchmark has no `criteria`. hows: of
    its recipes. A recipe whose folder has no snapshots, or those of another result, is left out with a note.
    """
    frames = [pd.DataFrame(columns=[*RUN, *tables.SNAPSHOTS.columns])]
    if settings := benchmark.criteria:
        for seed in benchmark.seeds:
            for recipe, how in hows.items():
                places = Places(name, seed)
                if training := _last_training(places, recipe, how):
                    table = _of_training(places, training, settings, tree_of(benchmark, seed, how))
                    frames.append(table.assign(recipe=recipe, seed=seed)[frames[0].columns])
                else:
                    log.warning(f"note: {places.step(recipe)} has no snapshots of the result; left out")
    found = frames[1:] or frames
    files.write_csv(path_of(name), pd.concat(found, ignore_index=True))


def _last_training(places: Places, recipe: str, how: How) -> tuple[Path, Path] | None:
    """Return model and snapshots of the last training; None if they are not there or of another result."""
    if not how.steps:
        model, folder = places.model(how.start), places.step(how.start)
    else:
        folder = places.step(recipe) / f"{len(how.steps)}_{how.steps[-1]}"
        model = folder / "last.safetensors"
        own, kept = places.step(recipe) / "metrics.json", places.metrics(recipe)
        if not own.exists() or not kept.exists():
            return None
        values, result = (json.loads(path.read_text(encoding="utf-8")) for path in (own, kept))
        if any(result.get(key) != value for key, value in values.items()):
            return None
    if not model.exists() or not any((folder / "snapshots").glob("*.safetensors")):
        return None
    return model.absolute(), (folder / "snapshots").absolute()


def _of_training(
    places: Places, training: tuple[Path, Path], settings: Criteria, tree: dict[str, Any]
) -> pd.DataFrame:
    """Return the table that evaluate_snapshots writes, with few images of each domain."""
    model, snapshots = training
    block = tree["evaluate_snapshots"] | {"images": settings.images}
    with opened(places.step("criteria"), places, tree | {"evaluate_snapshots": block}):
        index = tables.read(INDEX["val"], tables.INDEX)
        few, table = Path("val.csv"), Path("snapshots.csv")
        tables.write(few, index.iloc[validators.even_sample(len(index), settings.evaluated)], tables.INDEX)
        domains = {"target": INDEX["target"], "source": INDEX["source"], "images": few}
        chosen = {"label_free": Path("label_free.safetensors"), "oracle": Path("oracle.safetensors")}
        run(
            "evaluate_snapshots",
            name="intra",
            model=model,
            snapshots=snapshots,
            table=table,
            **domains,
            **chosen,
        )
        return tables.read(table, tables.SNAPSHOTS)


def quality(snapshots: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each criterion, and one for the last snapshot: COLUMNS, means over the runs.

    snapshots: as `measure` writes them. correlation: Spearman's, of the criterion and mIoU over the snapshots
    of a run; regret: percentage points of mIoU between the best snapshot and the chosen one.
    """
    runs = {f"{recipe}/{seed}": frame for (recipe, seed), frame in snapshots.groupby(RUN, sort=False)}
    if not runs:
        return pd.DataFrame(columns=COLUMNS)
    table = criteria_quality.table(runs)
    rows = [
        (name, len(of), of["correlation"].mean(), of["regret"].mean())
        for name, of in table.groupby("criterion", sort=False)
    ]
    last = [frame["mIoU"].max() - frame["mIoU"].iloc[-1] for frame in runs.values()]
    return pd.DataFrame([*rows, (LAST, len(runs), np.nan, float(np.mean(last)))], columns=COLUMNS)


def markdown(table: pd.DataFrame, settings: Criteria) -> str:
    """Return the table of `quality` with a legend."""
    lines = ["| criterion | Spearman | regret |", "| --- | ---: | ---: |"]
    for name, correlation, regret in zip(
        table["criterion"], table["correlation"], table["regret"], strict=True
    ):
        lines.append(f"| {name} | {'' if np.isnan(correlation) else f'{correlation:+.2f}'} | {regret:.2f} |")
    legend = f"""\
Criteria without labels, on the snapshots of the last training of {table["runs"].max()} runs: means of
Spearman's correlation with mIoU (1: the better snapshots have the better values) and of the regret, the
percentage points of mIoU that the chosen snapshot is below the best one. From {settings.images} target and
source images; mIoU of {settings.evaluated} evaluation images."""
    return "\n".join(lines) + "\n\n" + legend
