"""Write the report: a table of the models, figures, a diagnosis with target labels, and an HTML page.

The page prints the params that made its numbers, from the records of the runs. The params of this stage are
those at the start of the pipeline; params.yaml may have been edited between the stages.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any

import pandas as pd

from intrada.core import files, hash_cache, hashing
from intrada.core.config import plain_yaml
from intrada.core.config.schema import Params, Rank
from intrada.core.errors import UserError
from intrada.core.stage import Context, In, Out
from intrada.data import tables
from intrada.data.tables import EASY
from intrada.evaluation import findings as evaluated
from intrada.evaluation.metrics import Confusion
from intrada.evaluation.reporting import content as contents
from intrada.evaluation.reporting import diagnosis as diagnoses
from intrada.evaluation.reporting import drawing, easy_hard, figures, gallery, results, summary, views
from intrada.evaluation.reporting import samples as sample_images
from intrada.evaluation.reporting.page import render
from intrada.pipeline import provenance, records, run_history
from intrada.pipeline import run_params as run_values
from intrada.pipeline.run_params import RunParams

READS = (
    "seed", "compute", "classes", "toycity", "preprocess", "sources", "target_labelled", "model",
    "train_source", "train_inter", "score", "rank", "pseudo_label", "train_intra", "rounds", "select",
    "evaluate_snapshots", "evaluate", "report",
)  # fmt: skip


def run(
    params: Params,
    scores: Annotated[Path, In("scores.csv of the score stage")],
    split: Annotated[Path, In("split.csv of the rank stage")],
    predictions: Annotated[Path, In("folder of predicted label maps of the target images")],
    truth: Annotated[Path, In("folder of target labels with their index.csv, for the diagnosis only")],
    pseudo_labels: Annotated[Path, In("folder of the easy images' pseudo-labels")],
    losses_source: Annotated[Path, In("losses.csv of the source-only model")],
    losses_inter: Annotated[Path, In("losses.csv of step 1")],
    losses_intra: Annotated[Path, In("losses.csv of step 3; without rows if lambda = 0")],
    model_source: Annotated[Path, In("the source-only model, for its fingerprint")],
    model_inter: Annotated[Path, In("the model of step 1, for its fingerprint")],
    model_intra: Annotated[Path, In("the model of step 3, for its fingerprint")],
    evaluate: Annotated[Path, In("folder of the evaluations, with one subfolder per model")],
    snapshots: Annotated[Path, In("folder of the selected snapshots, with one subfolder per model")],
    found: Annotated[Path, In("found.json of the check stage: the number of source images")],
    joined: Annotated[Path, In("folder of the tables of the further labelled data sets (join)")],
    kept: Annotated[Path, In("classes.csv of the pseudo_label stage")],
    findings: Annotated[Path, In("findings.json of the analyse stage")],
    analysis: Annotated[Path, In("folder of the analyse stage's tables")],
    source: Annotated[Path, In("index.csv of the source images, to show what trainings see", index=True)],
    target: Annotated[Path, In("index.csv of the target images, likewise", index=True)],
    page: Annotated[Path, Out("the report as one HTML page with its figures")],
    samples: Annotated[Path, Out("figure of the easiest and hardest evaluation images (PNG)")],
    class_iou: Annotated[Path, Out("figure of each class's IoU (PNG)")],
    histogram: Annotated[Path, Out("histogram of the target images' scores with the cut (PNG)")],
    curves: Annotated[Path, Out("figure of the losses (PNG)")],
    table: Annotated[Path, Out("mIoU and pixel accuracy of the models (Markdown)")],
    diagnosis: Annotated[Path, Out("quality of the labels predicted on the target (JSON)")],
    run_params: Annotated[Path, Out("the params of the runs that made the numbers (JSON)")],
    context: Context,
) -> None:
    """Write the report of a run. No other stage reads it; the diagnosis alone reads target labels."""
    classes = params.class_set
    folders = {name: evaluate / name for name in ("source", "inter", "intra", *params.rounds)}
    analysed = (found, joined, kept, findings, analysis)
    used = [scores, split, predictions, truth, pseudo_labels, losses_source, losses_inter, losses_intra]
    used += [model_source, model_inter, model_intra, *analysed, *folders.values()]
    recorded, runs = _runs(params, [*used, *(snapshots / name for name in folders)])
    losses = {"source": losses_source, "inter": losses_inter, "intra": losses_intra}
    measured = _measured(folders, snapshots, losses, split, analysed, params)
    measured = replace(measured, views=views.read(params, {"source": source, "target": target}))
    diagnosed = _labelled(truth, measured.ranked, tables.read(scores, tables.SCORES))
    if len(diagnosed):
        comparisons = _compare(diagnosed, predictions, pseudo_labels, len(classes), context)
        measured = replace(measured, diagnosis=diagnoses.diagnose(comparisons, len(classes)))

    extremes = sample_images.easiest_and_hardest([*measured.shown], params.evaluate.samples)
    pngs = {
        samples: partial(figures.samples, extremes, classes),
        class_iou: partial(figures.class_iou, measured.models, classes),
        histogram: partial(figures.entropy_histogram, measured.ranked, easy_hard.QUANTITIES[runs.rank.rule]),
        curves: partial(figures.training_curves, measured.losses),
    }
    for path, figure in pngs.items():
        drawing.write_png(path, figure)
    _write(diagnosis, json.dumps(measured.diagnosis, indent=2, ensure_ascii=False) + "\n")
    _write(table, results.markdown(measured.models))
    files.write_json(run_params, asdict(recorded))
    _write(page, render.render(contents.build(params.report.title, measured, classes, runs)))


def _measured(
    folders: Mapping[str, Path],
    snapshots: Path,
    losses: Mapping[str, Path],
    split: Path,
    analysed: tuple[Path, Path, Path, Path, Path],
    params: Params,
) -> contents.Measured:
    """Read what the stages measured, without a diagnosis.

    analysed: found, joined, kept, findings, analysis.
    """
    classes, ranked = params.class_set, tables.read(split, tables.SPLIT)
    found, joined, kept, findings, analysis = analysed
    images = {name: tables.read(folder / "images.csv", tables.IMAGES) for name, folder in folders.items()}
    evaluation = images["inter"]
    source = _json(found)["source"]["images"]
    return contents.Measured(
        [results.read(name, folder, classes) for name, folder in folders.items()],
        {name: evaluated.read(folder, classes.names) for name, folder in folders.items()},
        folders,
        {name: tables.read(snapshots / name / "snapshots.csv", tables.SNAPSHOTS) for name in folders},
        params.select,
        {name: files.read_csv(path, ["iteration"]) for name, path in losses.items()},
        sample_images.read(folders, gallery.SIDES[0]),
        ranked,
        images,
        tables.read(kept, tables.KEPT),
        _json(findings),
        files.read_csv(analysis / "shares.csv", ["class", "labels", "source_labels", "pseudo_labels"]),
        tables.read(analysis / "label_next.csv", tables.LABEL_NEXT),
        diagnoses.without_labels(),
        summary.Images(
            source,
            len(ranked),
            len(evaluation),
            int((evaluation["label"] != "").sum()),
            *(_joined(joined / f"{block}.csv") for block in ("sources", "target_labelled")),
        ),
    )


def _joined(table: Path) -> dict[str, int]:
    """Return the number of images of each data set in a table of data sets."""
    frame = tables.read(table, tables.SETS)
    return dict(zip(frame["dataset"], map(int, frame["images"]), strict=True))


def _runs(params: Params, used: Sequence[Path]) -> tuple[RunParams, contents.Runs]:
    """Find the runs that made the files and folders `used`."""
    recorded, _ = records.scan()  # what a damaged record made counts as not recorded
    with hash_cache.opened() as file_hash:

        @cache
        def fingerprint(name: str) -> str | None:
            return hashing.fingerprint(Path(name), file_hash) if Path(name).exists() else None

        names = [path.as_posix() for path in used]
        own, present = provenance.values(params, run_values.OWN), params.model_dump(mode="json")
        found = run_values.collect(names, own, present, recorded, fingerprint)
        made, _ = run_values.trace(names, present, recorded, fingerprint)
        fingerprints = {name: fingerprint(name) or "" for name in names}

    def value(key: str, job: str) -> Any:
        """Return a param of the run of `job`; the present one if it is not recorded."""
        known = found.value(key, job)
        return provenance.values(params, [key])[key] if known is None else known

    different = {
        key: {job: json.dumps(value, ensure_ascii=False) for job, value in values.items()}
        for key, values in found.different.items()
    }
    origin = contents.Provenance(
        plain_yaml.dump(found.params), different, found.not_recorded, found.files, fingerprints
    )
    rank = {name: found.value(f"rank.{name}", "rank") for name in Rank.model_fields}
    required = [name for name, field in Rank.model_fields.items() if field.is_required()]
    is_recorded = None not in (rank[name] for name in required)
    chosen = Rank.model_validate(rank) if is_recorded else params.rank
    precision = found.value("compute.precision", "score")
    history = run_history.history(made)
    return found, contents.Runs(value, history, chosen, is_recorded, precision, origin)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise files.unreadable(path, error, "the JSON that its stage wrote") from error


def _write(path: Path, text: str) -> None:
    with files.atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _labelled(truth: Path, ranked: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Return image, subset, entropy and label of the labelled target images, in the order of the ranking."""
    path = truth / "index.csv"
    if not path.exists():
        return ranked.head(0)
    index = tables.read(path, tables.INDEX)
    labelled = index[index["label"] != ""][["id", "label"]].rename(columns={"id": "image"})
    scored = ranked[["image", "subset"]].merge(scores[["image", "entropy"]], on="image")
    if unknown_ids := sorted(set(labelled["image"]) - set(scored["image"])):
        raise UserError(
            path, f"{len(unknown_ids)} images that were not scored and ranked, {unknown_ids[0]} first",
            "labels of the scored target images only",
            "run score and rank again: they belong to other target images",
        )  # fmt: skip
    return scored.merge(labelled, on="image")


def _compare(
    target: pd.DataFrame, predictions: Path, pseudo_labels: Path, num_classes: int, context: Context
) -> Iterator[diagnoses.Comparison]:
    """Yield the comparison of each labelled image; a hard image has no pseudo-label."""

    def compare(row: Mapping[Any, Any]) -> diagnoses.Comparison:
        label = files.read_label(Path(row["label"]))

        def confusion(folder: Path) -> Confusion:
            path = folder / f"{row['image']}.png"
            return diagnoses.compare(path, label, files.read_label(path), num_classes)

        pseudo = confusion(pseudo_labels) if row["subset"] == EASY else None
        return diagnoses.Comparison(row["subset"], row["entropy"], confusion(predictions), pseudo)

    rows = target.to_dict("records")
    with ThreadPoolExecutor(context.workers) as pool:
        yield from context.progress(pool.map(compare, rows), len(rows), "image")
