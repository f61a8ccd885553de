"""The examples of docs/adding.md are run as they stand there."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from intrada import methods, models
from intrada.core import files
from intrada.core.config import plain_yaml
from intrada.core.config.classes import class_set
from intrada.core.config.data_blocks import Domain
from intrada.core.config.training_blocks import Heads, LossWeights
from intrada.data.batch import Batch
from intrada.data.datasets import DATASETS, open_dataset
from intrada.data.datasets.validation import validate
from intrada.methods.backward import training_step
from intrada.methods.base import AdversarialNetworks

PAGE = (Path(__file__).resolve().parents[1] / "docs/adding.md").read_text(encoding="utf-8")
CLASSES = class_set(["sky", "road"])


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Registers the module of the page called `name` in a registry, under that name."""
    monkeypatch.syspath_prepend(tmp_path)

    def register(registry: Mapping[str, str], folder: str, name: str) -> None:
        blocks = dict(re.findall(r"```python\n# python: (\S+)\n(.*?)```", PAGE, re.S))
        (tmp_path / f"{name}.py").write_text(blocks[f"intrada/{folder}/{name}.py"])
        assert f'`"{name}": "intrada.{folder.replace("/", ".")}.{name}",`' in PAGE
        monkeypatch.setitem(registry, name, name)  # type: ignore[arg-type]
        monkeypatch.delitem(sys.modules, name, raising=False)

    return register


def test_the_dataset_of_the_page_reads_its_labels(example: Any, tmp_path: Path) -> None:
    example(DATASETS, "data/datasets", "paintings")
    _write_pair(tmp_path / "art/a.png", tmp_path / "masks/a.png")
    report = validate(open_dataset("paintings", tmp_path, "all", {}, CLASSES), labelled=True)
    assert report.pixels == {"sky": 8, "road": 8}


def test_the_folders_of_the_page_are_a_valid_block_and_read_their_labels(tmp_path: Path) -> None:
    text = re.search(r"```yaml\n# yaml: preprocess.source\n(.*?)```", PAGE, re.S)
    assert text
    block = Domain.model_validate(plain_yaml.parse(text[1]))
    _write_pair(tmp_path / "photos/a.jpg", tmp_path / "masks/a.png", ids=(1, 4))
    classes = class_set(["road", "building", {"name": "tree", "color": [0, 200, 0]}])
    dataset = open_dataset(block.dataset, tmp_path, block.split, block.options, classes)
    assert validate(dataset, labelled=True, absent=["building"]).pixels == {
        "road": 8,
        "building": 0,
        "tree": 8,
    }


def test_the_model_of_the_page_predicts(example: Any) -> None:
    example(models.MODELS, "models", "pocket")
    model = models.build_model("pocket", 2, {"width": 4})
    heads = model(model.normalise(torch.zeros(1, 3, 8, 16, dtype=torch.uint8)))
    assert {name: tuple(logits.shape) for name, logits in heads.items()} == {
        "main": (1, 2, 4, 8),
        "aux": (1, 2, 4, 8),
    }


def test_the_method_of_the_page_moves_the_network(example: Any) -> None:
    example(methods.METHODS, "methods", "max_squares")
    example(models.MODELS, "models", "pocket")
    torch.manual_seed(0)
    networks = AdversarialNetworks(models.build_model("pocket", 2, {}), nn.ModuleDict())
    image = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    batch = Batch(["a"], image, torch.zeros(1, 32, 32, dtype=torch.int64))
    weights = LossWeights(seg=Heads(main=1.0, aux=0.1), target=Heads(main=0.1, aux=0.0))
    record = training_step(methods.method("max_squares"), networks, batch, batch, weights)
    assert -0.5 <= float(record["squares_main"]) <= -0.25  # between one-hot and uniform, of two classes
    assert all(parameter.grad is not None for parameter in networks.segmenter.parameters())


def _write_pair(image: Path, label: Path, ids: tuple[int, int] = (0, 1)) -> None:
    for path in (image, label):
        path.parent.mkdir(parents=True, exist_ok=True)
    files.write_image(image.with_suffix(".png"), np.zeros((4, 4, 3), np.uint8))
    if image.suffix == ".jpg":
        from PIL import Image

        Image.open(image.with_suffix(".png")).save(image)
        image.with_suffix(".png").unlink()
    files.write_label(
        label, np.repeat(np.array([[ids[0]], [ids[1]]], np.uint8), [2, 2], 0).repeat(4, 1), [0] * 9
    )
