"""A recipe: a chain of trainings from a shared model, and its evaluation."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from intrada.core import files
from intrada.data import tables
from intrada.pipeline.ablation.definition import How
from intrada.pipeline.ablation.places import Places
from intrada.pipeline.ablation.settings import round_name
from intrada.pipeline.ablation.steps import (
    INDEX,
    LABELLED,
    evaluated,
    initial,
    joined,
    labelled,
    scored,
    trained,
)
from intrada.pipeline.ablation.workplace import opened, run, turn


def recipe(places: Places, name: str, how: How, tree: dict[str, Any]) -> None:
    """Run the trainings of `how`, evaluate the result, and write three files of the recipe.

    classes.csv and counts.csv are as `evaluate` writes them. metrics.json has its metrics, and `iterations`,
    the sum over all trainings of the model.
    """
    metrics, classes, counts = (
        path.absolute() for path in (places.metrics(name), places.classes(name), places.counts(name))
    )
    images = places.images.absolute()
    chain = Chain(places, how, tree)
    with opened(places.step(name), places, tree):
        for step in how.steps:
            chain.training_step(step)
        outputs = evaluated(class_iou=classes, counts=counts)
        run("evaluate", name=name, images=images, model=[chain.model], **outputs)
        values = json.loads(Path("metrics.json").read_text(encoding="utf-8"))
    files.write_json(metrics, values | {"iterations": chain.iterations})


class Chain:
    """The trainings of a recipe. model: the latest model; iterations: the sum over its trainings."""

    def __init__(self, places: Places, how: How, tree: dict[str, Any]) -> None:
        self.tree, self.number, self.rounds = tree, 0, 0
        self.model, self.turns = places.model(how.start).absolute(), places.runs.absolute()
        self.scores = places.scores.absolute() if how.start == "inter" else None
        self.iterations = tree["train_source"]["iterations"]
        if how.start == "inter":
            self.iterations += tree["train_inter"]["iterations"]

    def training_step(self, step: str) -> None:
        """Run one step: `inter`: step 1; `intra`: steps 2, 3; `continue`: step 3 on the domains of step 1;
        `supervised`: step 1 with the target's images and labels in place of the source's; `source`: source
        labels only, from the initial weights of that training and not from the latest model.
        """
        self.number += 1
        folder = Path(f"{self.number}_{step}")
        model, before = (folder / "last.safetensors").absolute(), self.model
        source, target = INDEX["source"], INDEX["target"]
        if step == "source":
            block, init = self.tree["train_source"], initial(self.tree["train_source"], None)
            with self._turn(block, source):
                run("train_source", **labelled(), init=init, **trained(model, folder))
            self.iterations = block["iterations"]
        elif step in ("inter", "supervised"):
            block = self.tree["train_inter"]
            domains = labelled() if step == "inter" else {"source": LABELLED, "sources": joined("sources")}
            init = initial(block, before)
            with self._turn(block, before, domains["source"], target):
                run("train_inter", **domains, target=target, init=init, **trained(model, folder))
            self.iterations += block["iterations"]
        else:
            name = round_name(self.rounds)
            again = {"round": name} if name else {}
            easy, hard = (source, target) if step == "continue" else self._split(folder, again)
            block = self.tree["train_intra"]
            domains = {"easy": easy, "hard": hard, **labelled(), "before": before}
            domains["target_labelled"] = joined("target_labelled")
            with self._turn(block, before, easy, hard):
                run("train_intra", **domains, init=initial(block, before), **trained(model, folder), **again)
            # without an easy image the stage trains nothing
            self.iterations += 0 if tables.read(easy, tables.INDEX).empty else block["iterations"]
            self.rounds += 1
        self.model, self.scores = model, None

    def _turn(self, block: dict[str, Any], before: Path, *indexes: Path) -> AbstractContextManager[None]:
        """Wait for another recipe that runs this training now; its result is then this one's too."""
        return turn(self.turns, block, (before, *indexes))

    def _split(self, folder: Path, again: dict[str, str]) -> tuple[Path, Path]:
        """Return the indexes of the easy images, with pseudo-labels of the latest model, and of the hard."""
        if self.scores is None:
            self.scores = folder / "score"
            run("score", target=INDEX["target"], model=self.model, **scored(self.scores), **again)
        scores = scored(self.scores)
        split, easy, hard = folder / "split.csv", folder / "easy.csv", folder / "hard.csv"
        run("rank", scores=scores.pop("out"), out=split, **again)
        outputs = {"easy": easy, "hard": hard, "out": folder / "labels", "kept": folder / "kept.csv"}
        run("pseudo_label", split=split, target=INDEX["target"], **scores, **outputs, **again)
        return easy, hard
