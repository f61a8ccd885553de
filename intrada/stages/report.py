"""What came out: table of models, figures, a diagnosis with target labels, and one page with all of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import pandas as pd

from intrada import files, labels, tables
from intrada.errors import UserError
from intrada.metrics import Confusion
from intrada.params import Params
from intrada.reporting import diagnosis as diagnoses
from intrada.reporting import figures as draw
from intrada.reporting import page as html
from intrada.reporting import results
from intrada.stage import Context, In, Out
from intrada.tables import EASY

READS = ("classes", "rank", "rounds", "select", "report")


def run(
    params: Params,
    scores: Annotated[Path, In("scores.csv of the score stage")],
    split: Annotated[Path, In("split.csv of the rank stage")],
    predictions: Annotated[Path, In("folder of predicted label maps of the target images")],
    truth: Annotated[Path, In("folder of target labels with their index.csv, for the diagnosis alone")],
    pseudo_labels: Annotated[Path, In("folder of the easy images' pseudo-labels")],
    losses_source: Annotated[Path, In("losses.csv of the source-only model")],
    losses_inter: Annotated[Path, In("losses.csv of step 1")],
    losses_intra: Annotated[Path, In("losses.csv of step 3; without rows where lambda = 0")],
    evaluate: Annotated[Path, In("folder with the evaluations, a folder a model")],
    snapshots: Annotated[Path, In("folder with the choice among snapshots, a folder a model")],
    page: Annotated[Path, Out("the report as one HTML page, figures inside")],
    figures: Annotated[Path, Out("folder of figures (PNG)")],
    table: Annotated[Path, Out("mIoU and pixel accuracy of the models (Markdown)")],
    diagnosis: Annotated[Path, Out("how right the labels predicted on the target are (JSON)")],
    context: Context,
) -> None:
    """Show what the other stages wrote; nothing here, the diagnosis least of all, flows back into them."""
    classes = labels.class_set(params.classes)
    ranked = tables.read(split, tables.SPLIT)
    folders = {name: evaluate / name for name in ("source", "inter", "intra", *params.rounds)}
    models = [results.read(name, folder, classes) for name, folder in folders.items()]
    choices = {name: tables.read(snapshots / name / "snapshots.csv", tables.SNAPSHOTS) for name in folders}
    paths = {"source": losses_source, "inter": losses_inter, "intra": losses_intra}
    losses = {name: files.read_csv(path, ["iteration"]) for name, path in paths.items()}
    samples = _samples(folders)
    target = _labelled(truth, ranked, tables.read(scores, tables.SCORES))
    found = diagnoses.absent()
    if len(target):
        seen = _look(target, predictions, pseudo_labels, len(classes), context)
        found = diagnoses.diagnose(seen, len(classes))

    with files.atomic_folder(figures) as folder:
        draw.write(folder / "samples.png", draw.samples, samples, classes)
        draw.write(folder / "class_iou.png", draw.class_iou, models, classes)
        draw.write(
            folder / "entropy_histogram.png",
            draw.entropy_histogram,
            ranked,
            html.QUANTITIES[params.rank.rule],
        )
        draw.write(folder / "training_curves.png", draw.training_curves, losses)
    pictures = html.pictures(figures, ranked, params.rank)
    about = html.facts(ranked, params.rank, classes)
    _write(diagnosis, json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    _write(table, results.markdown(models))
    chosen = results.selection(choices, params.select)
    _write(page, html.render(params.report.title, models, chosen, classes, about, pictures, found))


def _write(path: Path, text: str) -> None:
    with files.atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _samples(folders: Mapping[str, Path]) -> list[draw.Sample]:
    """The evaluation images that evaluate has written samples of, surest first."""
    inter = folders["inter"]
    images = tables.read(inter / "images.csv", tables.IMAGES).sort_values("entropy", kind="stable")
    uncertainty = {name: inter / "samples" / "entropy" / f"{name}.png" for name in images["id"]}
    chosen = images[[uncertainty[name].exists() for name in images["id"]]]
    if chosen.empty:
        raise UserError(
            inter / "samples", "no sample of any image in images.csv",
            "entropy/<id>.png of at least one image", "run evaluate again for the three models",
        )  # fmt: skip
    return [_sample(row, uncertainty[row["id"]], folders) for row in chosen.to_dict("records")]


def _sample(row: Mapping[Any, Any], uncertainty: Path, folders: Mapping[str, Path]) -> draw.Sample:
    predictions = {
        name: folder / "samples" / "prediction" / f"{row['id']}.png" for name, folder in folders.items()
    }
    return draw.Sample(
        row["part"],
        row["entropy"],
        files.read_image(Path(row["image"]))[:, :, ::-1],
        files.read_label(uncertainty),
        {name: files.read_label(path) for name, path in predictions.items()},
        files.read_label(Path(row["label"])) if row["label"] else None,
    )


def _labelled(truth: Path, ranked: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """image, part, entropy and label of the target images that have one, in the order of the ranking."""
    path = truth / "index.csv"
    if not path.exists():
        return ranked.head(0)
    index = tables.read(path, tables.INDEX)
    labelled = index[index["label"] != ""][["id", "label"]].rename(columns={"id": "image"})
    known = ranked[["image", "part"]].merge(scores[["image", "entropy"]], on="image")
    if strangers := sorted(set(labelled["image"]) - set(known["image"])):
        raise UserError(
            path, f"{len(strangers)} images that were not scored and ranked, {strangers[0]} first",
            "labels of the target images alone",
            "run score and rank again: they belong to other target images",
        )  # fmt: skip
    return known.merge(labelled, on="image")


def _look(
    target: pd.DataFrame, predictions: Path, pseudo_labels: Path, num_classes: int, context: Context
) -> Iterator[diagnoses.Seen]:
    """Compare the predictions of each image with its label; a hard image has no pseudo-label."""

    def look(row: Mapping[Any, Any]) -> diagnoses.Seen:
        label = files.read_label(Path(row["label"]))

        def compared(folder: Path) -> Confusion:
            path = folder / f"{row['image']}.png"
            return diagnoses.compare(path, label, files.read_label(path), num_classes)

        pseudo = compared(pseudo_labels) if row["part"] == EASY else None
        return diagnoses.Seen(row["part"], row["entropy"], compared(predictions), pseudo)

    rows = target.to_dict("records")
    with ThreadPoolExecutor(context.workers) as pool:
        yield from context.progress(pool.map(look, rows), len(rows), "image")
