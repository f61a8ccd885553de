"""Compare finished runs: params, metrics, classes, and the evaluation images that changed most."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from intrada.core import files
from intrada.core.errors import UserError
from intrada.data import tables
from intrada.evaluation.reporting.samples import Pixels, resized

MODELS = ("source", "inter", "intra")  # in this order; further rounds follow
LABEL_FREE = ("mean_entropy", "mutual_information")  # metrics of 0..1; all others are in percent
PARAMS = (Path("report/params.json"), Path("validate/params.json"))  # of the runs, or of the start
FIX = "name a results folder of a finished run, or a revision whose results are in DVC's cache"


@dataclass(frozen=True)
class Run:
    """A finished run. name: as the user wrote it; params: dotted key -> value.

    metrics: model -> name -> value or None. classes: model -> classes.csv. images: images.csv of the last
    model. folder: its results folder; file: path in the tables -> the file, None if it is not there.
    """

    name: str
    params: dict[str, Any]
    metrics: dict[str, dict[str, float | None]]
    classes: dict[str, pd.DataFrame]
    images: pd.DataFrame
    folder: Path
    file: Callable[[str], Path | None]

    @property
    def last(self) -> str:
        """The name of the last model."""
        return [*self.metrics][-1]

    def prediction(self, image: str) -> Path:
        """Return the label map that the last model predicts for an image."""
        return self.folder / "evaluate" / self.last / "predictions" / f"{image}.png"


@dataclass(frozen=True)
class Row:
    """A line of a table: its name, one value per run, and each value minus the first; None where unknown."""

    name: str
    values: list[float | None]

    @property
    def differences(self) -> list[float | None]:
        """Return each value but the first minus the first."""
        first, *others = self.values
        return [None if first is None or other is None else other - first for other in others]


def read(name: str, folder: Path, file: Callable[[str], Path | None]) -> Run:
    """Read the results folder of a run. UserError if it has no evaluation or a file is invalid."""
    found = {path.parent.name for path in folder.glob("evaluate/*/metrics.json")}
    names = [model for model in MODELS if model in found] + sorted(found - {*MODELS})
    if not names:
        raise UserError(name, f"no evaluate/<model>/metrics.json in {folder}", "results of a run", FIX)
    evaluate = folder / "evaluate"
    return Run(
        name,
        _params(folder),
        {model: _json(evaluate / model / "metrics.json") for model in names},
        {model: files.read_csv(evaluate / model / "classes.csv", ["class", "iou"]) for model in names},
        tables.read(evaluate / names[-1] / "images.csv", tables.IMAGES),
        folder,
        file,
    )


def _params(folder: Path) -> dict[str, Any]:
    """Return the params by dotted keys; a value in which the runs differed is shown with its runs."""
    for path in PARAMS:
        if (folder / path).exists():
            values = _json(folder / path)
            own = values.get("params", values) if path == PARAMS[0] else values
            different = values.get("different", {}) if path == PARAMS[0] else {}
            return dict(_flat(own)) | different
    return {}


def _json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError(f"a {type(values).__name__}")
    except (OSError, ValueError) as error:
        raise files.unreadable(path, error, "the JSON object that its stage wrote") from error
    return values


def _flat(block: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in block.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def params(runs: Sequence[Run]) -> list[tuple[str, list[str]]]:
    """Return the params that differ: dotted key, and its value in each run as JSON, "-" if it has none."""
    keys = dict.fromkeys(key for run in runs for key in run.params)
    rows = []
    for key in keys:
        values = [
            json.dumps(run.params[key], ensure_ascii=False) if key in run.params else "-" for run in runs
        ]
        if len(set(values)) > 1:
            rows.append((key, values))
    return rows


def metrics(runs: Sequence[Run]) -> list[Row]:
    """Return a row for each model and metric, named `model metric`, in the order of the runs' models."""
    keys = dict.fromkeys(
        (model, metric) for run in runs for model, found in run.metrics.items() for metric in found
    )
    return [
        Row(f"{model} {metric}", [run.metrics.get(model, {}).get(metric) for run in runs])
        for model, metric in keys
    ]


def classes(runs: Sequence[Run]) -> list[Row]:
    """Return the IoU of each class under the last model of each run, in percent."""
    by_run = [run.classes[run.last].set_index("class")["iou"] for run in runs]
    names = dict.fromkeys(name for ious in by_run for name in ious.index)
    return [Row(str(name), [_number(ious.get(name, math.nan)) for ious in by_run]) for name in names]


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def images(runs: Sequence[Run]) -> pd.DataFrame:
    """Return how much the evaluation images changed, the most first: image, changed, gain.

    changed: the largest percent of pixels to which the last model of a later run gives another class than
    that of the first run. gain: pixel accuracy of the last run minus that of the first, in points; nan
    without a label. Only images of all runs are listed. UserError if the runs have other classes.
    """
    names = [[*run.classes[run.last]["class"]] for run in runs]
    if different := [run.name for run, found in zip(runs, names, strict=True) if found != names[0]]:
        found = f"the classes {', '.join(map(str, names[0]))} in {runs[0].name}, others in {different[0]}"
        raise UserError("compare", found, "runs of the same classes, in the same order", FIX)
    first, *others = runs
    known = [set(run.images["id"]) for run in others]
    shared = [image for image in first.images["id"] if all(image in ids for ids in known)]
    accuracy = [run.images.set_index("id")["pixel_accuracy"] for run in (first, runs[-1])]
    rows = []
    for image in shared:
        before = files.read_label(first.prediction(image))
        changed = max(_changed(before, files.read_label(run.prediction(image))) for run in others)
        rows.append((image, changed, accuracy[1][image] - accuracy[0][image]))
    table = pd.DataFrame(rows, columns=["image", "changed", "gain"])
    return table.sort_values("changed", ascending=False, kind="stable").reset_index(drop=True)


def _changed(before: Pixels, after: Pixels) -> float:
    """Return the percent of pixels that differ, at the size of `before`."""
    size = (before.shape[1], before.shape[0])
    return 100 * float((resized(after, size, Image.Resampling.NEAREST) != before).mean())


def as_table(runs: Sequence[Run]) -> pd.DataFrame:
    """Return one table of all: kind, name, a column per run, and a column per difference to the first run."""
    names = [run.name for run in runs]
    rows: list[list[Any]] = [["param", key, *values, *[""] * (len(runs) - 1)] for key, values in params(runs)]
    for kind, found in (("metric", metrics(runs)), ("class IoU", classes(runs))):
        rows += [[kind, row.name, *row.values, *row.differences] for row in found]
    columns = ["kind", "name", *names, *(f"{name} minus {names[0]}" for name in names[1:])]
    return pd.DataFrame(rows, columns=columns, dtype=object)
