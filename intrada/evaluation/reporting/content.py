"""Everything that the page shows, from what the stages wrote and from the records of their runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from intrada.core.config.classes import ClassSet
from intrada.core.config.schema import Rank
from intrada.evaluation.findings import Evaluation
from intrada.evaluation.reporting import (
    advice,
    classes,
    confidence,
    disagreement,
    easy_hard,
    gallery,
    label_free_advice,
    results,
    shares,
    summary,
    training,
    views,
)
from intrada.evaluation.reporting.advice import Advice
from intrada.evaluation.reporting.classes import Row
from intrada.evaluation.reporting.confidence import Confidence
from intrada.evaluation.reporting.disagreement import Disagreement, Suggested
from intrada.evaluation.reporting.easy_hard import Cut
from intrada.evaluation.reporting.gallery import Gallery
from intrada.evaluation.reporting.results import Result, SelectedSnapshots
from intrada.evaluation.reporting.samples import Sample
from intrada.evaluation.reporting.shares import Pseudo, Shares
from intrada.evaluation.reporting.step3 import Step3, Value, of_run
from intrada.evaluation.reporting.summary import History, Images, Summary
from intrada.evaluation.reporting.training import Criteria, Losses
from intrada.evaluation.reporting.views import View, Views


@dataclass(frozen=True)
class Provenance:
    """The origin of the results.

    params: YAML of the values in which all runs agree; different: key -> job -> its value, for the others.
    not_recorded, files: keys, and files, of which no run is recorded. fingerprints: path -> fingerprint of
    the file or folder.
    """

    params: str
    different: dict[str, dict[str, str]]
    not_recorded: list[str]
    files: list[str]
    fingerprints: dict[str, str]


@dataclass(frozen=True)
class Runs:
    """The runs that made the numbers.

    value: a param as the run of a job used it. rank: of the run of rank; is_ranking_recorded: it is from its
    record, not from params.yaml. precision: of the run of score, None if it is not recorded.
    """

    value: Value
    history: History
    rank: Rank
    is_ranking_recorded: bool
    precision: str | None
    provenance: Provenance


@dataclass(frozen=True)
class Measured:
    """What the stages measured.

    models: source, inter, intra and later rounds; evaluations, folders and images.csv (of the evaluations),
    snapshots, losses: by model; select: the rule that chose the models; shown: sample images; ranked:
    split.csv; kept: classes.csv of pseudo_label; found, shares, label_next: findings.json,
    shares.csv and label_next.csv of analyse; diagnosis: of diagnosis.diagnose; counts: numbers of images;
    views: of views.read.
    """

    models: list[Result]
    evaluations: Mapping[str, Evaluation]
    folders: Mapping[str, Path]
    snapshots: Mapping[str, pd.DataFrame]
    select: str
    losses: Mapping[str, pd.DataFrame]
    shown: Sequence[Sample]
    ranked: pd.DataFrame
    images: Mapping[str, pd.DataFrame]
    kept: pd.DataFrame
    found: dict[str, Any]
    shares: pd.DataFrame
    label_next: pd.DataFrame
    diagnosis: dict[str, Any]
    counts: Images
    views: tuple[str, Sequence[View]] = ("", ())


@dataclass(frozen=True)
class Content:
    """The content of the page, one field or more for each section.

    confusions, snapshots: model -> chart; diagnosis: of diagnosis.diagnose.
    """

    title: str
    summary: Summary
    advice: list[Advice]
    gallery: Gallery
    models: list[Result]
    classes: list[Row]
    confusions: dict[str, Markup]
    shares: Shares
    pseudo_labels: list[Pseudo]
    confidence: Confidence
    disagreement: Disagreement
    label_next: list[Suggested]
    ranking: Cut
    diagnosis: dict[str, Any]
    snapshots: dict[str, Markup]
    criteria: Criteria
    losses: Losses
    chosen: list[SelectedSnapshots]
    history: History
    provenance: Provenance
    views: Views | None
    step3: Step3


def build(title: str, measured: Measured, class_set: ClassSet, runs: Runs) -> Content:
    """Return the content of the page."""
    models, origin, found = measured.models, runs.provenance, measured.found
    names, palette = [model.name for model in models], class_set.palette()
    chosen = results.selected_snapshots(measured.snapshots, measured.select)
    by_class = (measured.diagnosis["pseudo_labels"] or {}).get("by_class")
    starved = [row["class"] for row in found["starved_by_pseudo_labels"]]
    reliability = {name: evaluation.reliability for name, evaluation in measured.evaluations.items()}
    return Content(
        title,
        summary.build(models, measured.counts, runs.value, runs.history, found),
        _advice(measured, class_set, chosen, runs),
        gallery.build(measured.shown, palette),
        models,
        classes.rows(models, class_set),
        _confusions(measured, class_set),
        shares.build(measured.shares, names, class_set, found["models"][names[-1]]["vanished_classes"]),
        shares.pseudo_labels(measured.shares, measured.kept, class_set, starved, by_class),
        confidence.build(found["models"], reliability, measured.images),
        disagreement.build(found["pairs"], measured.folders, measured.images[names[-1]], palette),
        disagreement.label_next(measured.label_next, measured.counts.target),
        easy_hard.build(measured.ranked, runs.rank, len(class_set), runs.precision, runs.is_ranking_recorded),
        measured.diagnosis,
        training.snapshots(measured.snapshots, chosen),
        training.criteria(measured.snapshots),
        training.losses(measured.losses),
        chosen,
        runs.history,
        origin,
        views.build(*measured.views, palette),
        of_run(runs.value),
    )


def _advice(
    measured: Measured, class_set: ClassSet, chosen: list[SelectedSnapshots], runs: Runs
) -> list[Advice]:
    """Return all sentences, problems first."""
    labelled, trained_on = results.has_labels(measured.models), of_run(runs.value)
    found: list[Advice] = []
    if labelled:
        found += advice.advise(measured.models, class_set, chosen, measured.diagnosis, trained_on)
    else:
        found += label_free_advice.estimate(measured.snapshots, measured.select)
    found += label_free_advice.advise(measured.found, measured.counts.target, labelled, trained_on)
    found += advice.runs(runs.provenance.different, runs.provenance.files)
    return advice.in_order(found)


def _confusions(measured: Measured, class_set: ClassSet) -> dict[str, Markup]:
    """Return the confusion matrices of the first and of the last model; none without labels."""
    ends = (measured.models[0].name, measured.models[-1].name)
    found = {name: measured.evaluations[name].confusion for name in ends}
    return {
        name: classes.confusion_matrix(matrix, class_set, name)
        for name, matrix in found.items()
        if matrix.any()
    }
