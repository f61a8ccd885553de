"""The first screen of the page: the result in one sentence, the models as bars, and the facts of the run."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from intrada.evaluation.reporting.advice import SEED_NOISE
from intrada.evaluation.reporting.results import Result, decimal
from intrada.evaluation.reporting.step3 import Value, of_run
from intrada.evaluation.validators import ORACLE

ROLES = {
    "source": "source-only, the baseline: trained on the labelled source images, never on the target",
    "inter": "after step 1, which adapts the network from the source to the target",
    "intra": "after step 3, which adapts it from the easy to the hard target images",
}
TAUGHT = "after step 3, in which a teacher labels the easy and the hard target images"
LATER_ROUND = "after one more round of steps 2 and 3"
MIOU = (
    "mIoU, the mean intersection over union: the area where prediction and label agree on a class, divided "
    "by the area where at least one of them has the class, averaged over the classes. 100 % is perfect."
)
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
NOT_RIGHT = "The images have no labels, and surer is not the same as correct: compare the pictures."
NOT_RECORDED = "not recorded"
ENTROPY = (
    "Mean entropy: how unsure a model is of the class of a pixel, on average. 0: always sure; 1: all classes "
    "are equally likely. It needs no labels."
)


@dataclass(frozen=True)
class History:
    """When, where and from which code the runs were made, from their records.

    start, end: ISO 8601 of the first start and the last end; seconds: job -> duration of its run; devices:
    names; commits: git revisions; is_dirty: files differed from the commit. Empty without records.
    """

    start: str = ""
    end: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    devices: Sequence[str] = ()
    commits: Sequence[str] = ()
    is_dirty: bool = False


@dataclass(frozen=True)
class Images:
    """Numbers of images: of the source, of the target's training images, of its evaluation images.

    sources, target_labelled: those of each further labelled data set, by its name.
    """

    source: int
    target: int
    evaluation: int
    labelled: int  # of the evaluation images
    sources: Mapping[str, int] = field(default_factory=dict)
    target_labelled: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Rung:
    """A model on the first screen. text: its number; width: the length of its bar in percent."""

    name: str
    role: str
    text: str
    width: float


@dataclass(frozen=True)
class Fact:
    """A term, its value, and a sentence that explains it, or ""."""

    term: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Summary:
    """The first screen.

    sentence: the result; caution: what it does not say; explained: the quantity of the rungs.
    """

    sentence: str
    caution: str
    explained: str
    rungs: list[Rung]
    facts: list[Fact]


def build(
    models: Sequence[Result], images: Images, value: Value, history: History, found: Mapping[str, Any]
) -> Summary:
    """Return the first screen.

    models: source, inter, intra and later rounds; found: findings.json of analyse.
    """
    seed, step3 = value("seed", "train_source"), of_run(value)
    roles = ROLES | ({"intra": TAUGHT} if step3.is_taught else {})
    one_run = f"It is one run, with seed {seed}; other seeds give other numbers."
    if value("select", "report") == ORACLE:
        one_run += " Its models were chosen by the evaluation labels, so its numbers are for comparison only."
    facts = _facts(models, images, value, history)
    if any(not math.isnan(model.metrics["mIoU"]) for model in models):
        sentence, caution = _result(models, images)
        rungs = [
            Rung(model.name, roles.get(model.name, LATER_ROUND), f"{decimal(miou)} % mIoU", miou)
            for model in models
            if not math.isnan(miou := model.metrics["mIoU"])
        ]
        return Summary(sentence, f"{caution} {one_run}", MIOU, rungs, facts)
    entropies = {name: float(numbers["mean_entropy"]) for name, numbers in found["models"].items()}
    widest = max([*entropies.values(), 1e-9])
    rungs = [
        Rung(
            name, roles.get(name, LATER_ROUND), f"{decimal(entropy, 3)} mean entropy", 100 * entropy / widest
        )
        for name, entropy in entropies.items()
    ]
    sentence, caution = _without_labels(images, entropies, found["pairs"])
    return Summary(sentence, f"{caution} {one_run}", ENTROPY, rungs, facts)


def _result(models: Sequence[Result], images: Images) -> tuple[str, str]:
    before, after = models[0].metrics["mIoU"], models[-1].metrics["mIoU"]
    gain = after - before
    shown = "1 evaluation image" if images.labelled == 1 else f"{images.labelled} evaluation images"
    sentence = (
        f"On {shown} of the target, the adapted model ({models[-1].name}) gets {decimal(after)} % mIoU, "
        f"source-only {decimal(before)} %: {gain:+z.1f} points."
    )
    if gain <= -SEED_NOISE:
        return sentence, "Adaptation made the result worse."
    if gain < SEED_NOISE:
        return sentence, "That is too close to call: the seed alone can change the mIoU by as much."
    return sentence, "Adaptation helped."


def _without_labels(
    images: Images, entropies: Mapping[str, float], pairs: Mapping[str, Any]
) -> tuple[str, str]:
    first, *_, last = entropies
    before, after = entropies[first], entropies[last]
    compared = "surer" if after < before else "less sure"
    agreement = pairs[f"{first}_{last}"]["agreement"]
    agreed = "" if agreement is None else f"They agree on {decimal(agreement)} % of the pixels. "
    sentence = (
        f"On {images.evaluation} images of the target, the adapted model ({last}) is {compared} than "
        f"source-only: mean entropy {decimal(after, 3)} against {decimal(before, 3)}."
    )
    return sentence, f"{agreed}{NOT_RIGHT}"


def _facts(models: Sequence[Result], images: Images, value: Value, history: History) -> list[Fact]:
    source, target = (domain_name(value, domain) for domain in ("source", "target"))
    facts = [
        Fact("adapted", f"from {source} to {target}", _supervision(images)),
        *_further(images),
        Fact("network", *_network(value)),
        Fact("classes", str(len(value("classes", "train_source")))),
        Fact("method", _method(value)),
        Fact("iterations", _iterations(models, value)),
        Fact("images", _images(images)),
        Fact(
            "lambda",
            str(value("rank.easy_fraction", "rank")),
            "the share of target images called easy: those the model is surest of"
            + ("; their predictions are the labels of step 3" if of_run(value).uses_pseudo_labels else ""),
        ),
        Fact("seed", str(value("seed", "train_source")), "one run"),
        Fact("device", ", ".join(history.devices) or NOT_RECORDED),
    ]
    if not history.start:
        return [*facts, Fact("computed", NOT_RECORDED), Fact("commit", NOT_RECORDED)]
    commits = ", ".join(commit[:10] for commit in history.commits) or "none, outside of Git"
    dirty = "with changes that were not committed" if history.is_dirty else ""
    total = sum(history.seconds.values())
    return [
        *facts,
        Fact("computed", _period(history.start, history.end)),
        Fact("computing time", duration(total), "of all stages, added up"),
        Fact("commit", commits, dirty),
    ]


def _supervision(images: Images) -> str:
    few = sum(images.target_labelled.values())
    return "source: has labels; target: trained on " + (
        f"with {few} labels, in step 3" if few else "without any"
    )


def _further(images: Images) -> list[Fact]:
    """Return a fact for the further sources, and one for the labelled target images, if there are any."""
    kinds = (
        ("further sources", images.sources, "mixed with the source by their weights"),
        ("labelled target images", images.target_labelled, "used by step 3 only"),
    )
    return [
        Fact(term, ", ".join(f"{name} ({count} images)" for name, count in sets.items()), note)
        for term, sets, note in kinds
        if sets
    ]


def domain_name(value: Value, domain: str) -> str:
    """Return the folder of a domain's raw data without the folders above that say nothing about it."""
    root = str(value(f"preprocess.{domain}.root", f"preprocess@{domain}"))
    return re.sub(r"^(data/raw|\.\.)(/\.\.)*/", "", root).strip("/") or root


def _network(value: Value) -> tuple[str, str]:
    width, height = value("preprocess.target.size", "preprocess@target")
    return str(value("model.name", "train_source")), f"for images of {width} × {height} pixels"


def _method(value: Value) -> str:
    first, second = (value(f"{job}.method", job) for job in ("train_inter", "train_intra"))
    return f"{first}" if first == second else f"{first} (step 1), {second} (step 3)"


def _iterations(models: Sequence[Result], value: Value) -> str:
    names = ("source-only", "step 1", "step 3")
    jobs = ("train_source", "train_inter", "train_intra")
    counts = [f"{value(f'{job}.iterations', job)} {name}" for job, name in zip(jobs, names, strict=True)]
    later = [f"the same again for {model.name}" for model in models[3:]]
    return ", ".join([*counts, *later])


def _images(images: Images) -> str:
    known = {images.evaluation: "", 0: ", without labels"}
    labelled = known.get(images.labelled, f", {images.labelled} of them with labels")
    return (
        f"{images.source} labelled of the source, {images.target} of the target, "
        f"{images.evaluation} for evaluation{labelled}"
    )


def _period(start: str, end: str) -> str:
    first, last = (datetime.fromisoformat(moment) for moment in (start, end))
    if first.date() == last.date():
        return f"{_day(first)}, {first:%H:%M} to {last:%H:%M} UTC"
    return f"{_day(first)}, {first:%H:%M} to {_day(last)}, {last:%H:%M} UTC"


def _day(moment: datetime) -> str:
    return f"{moment.day} {MONTHS[moment.month - 1]} {moment.year}"  # strftime would follow the locale


def duration(seconds: float) -> str:
    """Return a duration in its two largest units: "2 h 5 min", "3 min 20 s", "8 s"."""
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, seconds = divmod(rest, 60)
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
