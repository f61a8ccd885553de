"""Everything that the page shows, from what the stages wrote and from the records of their runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup

from intrada.core.config.classes import ClassSet
from intrada.core.config.schema import Rank
from intrada.evaluation.metrics import Confusion
from intrada.evaluation.reporting import advice, classes, easy_hard, gallery, results, summary, training
from intrada.evaluation.reporting.advice import Advice
from intrada.evaluation.reporting.classes import Row
from intrada.evaluation.reporting.easy_hard import Cut
from intrada.evaluation.reporting.gallery import Gallery
from intrada.evaluation.reporting.results import Result, SelectedSnapshots
from intrada.evaluation.reporting.samples import Sample
from intrada.evaluation.reporting.summary import History, Images, Summary, Value
from intrada.evaluation.reporting.training import Losses


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

    models: source, inter, intra and later rounds; confusions, snapshots, losses: by model; select: the rule
    that chose the models; shown: sample images; ranked: split.csv; diagnosis: of diagnosis.diagnose.
    """

    models: list[Result]
    confusions: Mapping[str, Confusion]
    snapshots: Mapping[str, pd.DataFrame]
    select: str
    losses: Mapping[str, pd.DataFrame]
    shown: Sequence[Sample]
    ranked: pd.DataFrame
    diagnosis: dict[str, Any]
    images: Images


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
    ranking: Cut
    diagnosis: dict[str, Any]
    snapshots: dict[str, Markup]
    losses: Losses
    chosen: list[SelectedSnapshots]
    history: History
    provenance: Provenance


def build(title: str, measured: Measured, class_set: ClassSet, runs: Runs) -> Content:
    """Return the content of the page."""
    models, origin = measured.models, runs.provenance
    chosen = results.selected_snapshots(measured.snapshots, measured.select)
    findings = advice.advise(models, class_set, chosen, measured.diagnosis)
    return Content(
        title,
        summary.build(models, measured.images, runs.value, runs.history),
        findings + advice.runs(origin.different, origin.files),
        gallery.build(measured.shown, class_set.palette()),
        models,
        classes.rows(models, class_set),
        _confusions(measured, class_set),
        easy_hard.build(measured.ranked, runs.rank, len(class_set), runs.precision, runs.is_ranking_recorded),
        measured.diagnosis,
        training.snapshots(measured.snapshots, chosen),
        training.losses(measured.losses),
        chosen,
        runs.history,
        origin,
    )


def _confusions(measured: Measured, class_set: ClassSet) -> dict[str, Markup]:
    """Return the confusion matrices of the first and of the last model; none without labels."""
    ends = (measured.models[0].name, measured.models[-1].name)
    found = {name: measured.confusions[name] for name in ends}
    return {
        name: classes.confusion_matrix(matrix, class_set, name)
        for name, matrix in found.items()
        if matrix.any()
    }
