"""Render the page of `intrada compare`, one file without scripts and without external resources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from PIL import Image

from intrada.core import files
from intrada.core.plain_text import printable
from intrada.evaluation.reporting import comparison, pictures
from intrada.evaluation.reporting.comparison import Row, Run
from intrada.evaluation.reporting.results import decimal
from intrada.evaluation.reporting.samples import Pixels, resized

SHOWN = 8  # images
SIDE = 480  # longest side of a picture, pixels


@dataclass(frozen=True)
class Shown:
    """One image under all runs. pictures: (caption, data URL); changed, gain: of comparison.images."""

    name: str
    changed: float
    gain: float
    pictures: list[tuple[str, str]]


def render(runs: Sequence[Run], changed: pd.DataFrame) -> str:
    """Return the page as HTML. changed: of comparison.images, whose first SHOWN images are drawn."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=_finalized,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"decimal": decimal}
    return environment.get_template("compare.html.j2").render(
        names=[run.name for run in runs],
        last=[run.last for run in runs],
        params=comparison.params(runs),
        recorded=all(run.params for run in runs),
        metrics=[_cells(row) for row in comparison.metrics(runs)],
        classes=[_cells(row) for row in comparison.classes(runs)],
        images=[_shown(runs, row) for row in changed.head(SHOWN).to_dict("records")],
        count=len(changed),
    )


def _finalized(value: Any) -> Any:
    """Return a value of the template without control characters."""
    is_html = hasattr(value, "__html__")
    return printable(value) if isinstance(value, str) and not is_html else value


def _cells(row: Row) -> dict[str, Any]:
    """Return the texts of a row: name, values, and for each difference its text and class of colour."""
    digits, is_percent = (3, False) if row.name.endswith(comparison.LABEL_FREE) else (1, True)
    changes = []
    for value in row.differences:
        text = "-" if value is None else f"{value:+z.{digits}f}"
        is_judged = is_percent and value is not None and abs(value) >= 0.05
        changes.append((text, "" if not is_judged or value is None else "good" if value > 0 else "bad"))
    return {"name": row.name, "values": [decimal(value, digits) for value in row.values], "changes": changes}


def _shown(runs: Sequence[Run], row: dict[Any, Any]) -> Shown:
    name, first = str(row["image"]), runs[0]
    entry = first.images.set_index("id").loc[name].to_dict()
    drawn = []
    photograph = first.file(entry["image"])
    before = _map(first.prediction(name))
    size = (before[0].shape[1], before[0].shape[0])
    # a grey picture where the photograph is gone
    image = np.full((*before[0].shape, 3), 128, np.uint8)
    if photograph is not None:
        image = resized(files.read_image(photograph)[:, :, ::-1], size, Image.Resampling.LANCZOS)
        drawn.append(("image", pictures.photograph(image)))
    for run in runs:
        indices, palette = _map(run.prediction(name))
        indices = resized(indices, size, Image.Resampling.NEAREST)
        drawn.append((run.name, pictures.class_map(indices, palette)))
        if run is not first:
            drawn.append((f"changed in {run.name}", pictures.differences(image, before[0], indices)))
    label = first.file(entry["label"]) if entry["label"] else None
    if label is not None:
        truth, palette = _map(label)
        drawn.append(("label", pictures.class_map(resized(truth, size, Image.Resampling.NEAREST), palette)))
    return Shown(name, float(row["changed"]), float(row["gain"]), drawn)


def _map(path: Path) -> tuple[Pixels, list[int]]:
    """Return the class indices of a label map, no side longer than SIDE, and its palette."""
    indices = files.read_label(path)
    with Image.open(path) as image:
        palette = image.getpalette() or files.GREY
    ratio = min(1.0, SIDE / max(indices.shape))
    size = (max(1, round(indices.shape[1] * ratio)), max(1, round(indices.shape[0] * ratio)))
    return resized(indices, size, Image.Resampling.NEAREST), palette
