"""The images of the page that a training sees: which there are, and that they are those of the training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from intrada.core import files, seeding
from intrada.core.config.schema import Params
from intrada.data import loader, tables
from intrada.evaluation.reporting import views
from tests.support.tiny_project import tree

INDEXES = {"source": Path("source.csv"), "target": Path("target.csv")}
BLUR = {"blur": {"sigma": [1.0, 2.0], "probability": 1.0}}
CROP = {"crop": {"size": [40, 32], "cat_max_ratio": 0.75, "tries": 10}}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six images of each domain, 64 x 32 pixels of noise; those of the source have labels."""
    monkeypatch.chdir(tmp_path)
    for domain, path in INDEXES.items():
        random, rows = np.random.default_rng(len(domain)), []
        for number in range(6):
            name = f"{domain}{number}"
            files.write_image(Path(f"{name}.png"), random.integers(0, 256, (32, 64, 3), np.uint8))
            files.write_label(Path(f"{name}_label.png"), random.integers(0, 3, (32, 64), np.uint8), [])
            rows.append((name, f"{name}.png", f"{name}_label.png" if domain == "source" else "", 64, 32))
        tables.write(path, pd.DataFrame(rows, columns=tables.INDEX_COLUMNS), tables.INDEX)


def params(**stages: Any) -> Params:
    """Return the tiny project with keys added to `augment`, or `augment_target` set, of trainings."""
    changed = tree()
    for stage, (block, values) in stages.items():
        changed[stage][block] = {"flip": True, "jitter": 0.1} | values
    return Params.model_validate(changed)


def test_a_flip_and_a_jitter_are_not_shown() -> None:
    assert views.read(params(), INDEXES) == ("", [])
    assert views.build("", [], [0] * 768) is None


@pytest.mark.parametrize(
    "stages, expected",
    [
        ({"train_inter": ("augment", BLUR)}, ("train_inter", {"source", "target"})),
        ({"train_inter": ("augment_target", BLUR)}, ("train_inter", {"target"})),
        ({"train_source": ("augment", BLUR)}, ("train_source", {"source"})),
        ({"train_source": ("augment", BLUR), "train_inter": ("augment", CROP)}, ("train_inter", {"source", "target"})),
    ],
)  # fmt: skip
def test_the_images_are_those_of_the_domains_that_are_changed(
    stages: dict[str, Any], expected: tuple[str, set[str]]
) -> None:
    stage, shown = views.read(params(**stages), INDEXES)
    assert (stage, {view.domain for view in shown}) == expected
    assert len(shown) == views.COUNT * len(expected[1])
    assert all((view.label is None) == (view.domain == "target") for view in shown)


def test_they_are_the_first_images_of_the_training_and_beside_them_those_of_the_index() -> None:
    chosen = params(train_inter=("augment", BLUR | CROP))
    _, shown = views.read(chosen, INDEXES)
    seed, index = seeding.derive(chosen.seed, "train_inter"), tables.read(INDEXES["source"], tables.INDEX)
    batch = next(
        loader.training_stream(index, seed, "labelled", chosen.train_inter.augment, views.COUNT, 0, 1)
    )
    assert [view.name for view in shown[: views.COUNT]] == batch.ids
    for view, image, label in zip(shown, batch.image, batch.label, strict=False):
        assert torch.equal(torch.from_numpy(view.seen[..., ::-1].copy()).permute(2, 0, 1), image)
        assert view.label is not None and np.array_equal(view.label, label.numpy())
        assert np.array_equal(view.before[..., ::-1], files.read_image(Path(f"{view.name}.png")))
