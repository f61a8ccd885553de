"""The command predict with models, params and numbers that do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intrada.__main__ import main
from intrada.core import files
from intrada.models import weights
from tests.support import trained_model
from tests.support.predicting import OUT, label, logits, predict, put, written_bytes
from tests.support.predicting import model as model  # a fixture
from tests.support.tiny_project import change, tree, write_params
from tests.support.trained_model import MODEL, NAMES

SWAPPED = [NAMES[1], NAMES[0], *NAMES[2:]]
OTHER_COLOUR = [{"name": NAMES[0], "color": [1, 2, 3]}, *NAMES[1:]]
RESNET = {"name": "deeplabv2", "options": {"backbone": "resnet18"}}


@pytest.mark.parametrize(
    "changes, found, allowed",
    [
        ({"model": RESNET}, "model: small", "model: deeplabv2, as in params.yaml"),
        ({"classes": SWAPPED}, f"classes: {', '.join(NAMES)}", f"classes: {', '.join(SWAPPED)}, as in"),
        ({"classes": OTHER_COLOUR}, "colours: sky (70, 130, 180), ", "colours: sky (1, 2, 3), "),
    ],
)
def test_params_that_contradict_the_file_are_refused(
    model: Path, changes: dict[str, Any], found: str, allowed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    put("photo.png")
    write_params(change(tree(), **changes))
    assert predict("photo.png", "--params", "params.yaml") == 1
    err = capsys.readouterr().err
    assert f"error: model.safetensors: {found}" in err and f"\n  allowed: {allowed}" in err
    assert "leave --params out" in err and not OUT.exists()


def test_without_a_params_file_the_metadata_of_the_model_is_used(model: Path) -> None:
    put("photo.png", size=(101, 67))
    assert predict("photo.png", "--params", "params.yaml") == 0
    with_params = written_bytes()
    Path("params.yaml").unlink()
    assert predict("photo.png") == 0
    assert written_bytes() == with_params


def test_a_model_of_an_older_version_needs_the_params_of_its_training(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = put("photo.png", size=(101, 67))
    trained_model.make_old()
    assert predict("photo.png") == 1
    err = capsys.readouterr().err
    assert "error: model.safetensors: the metadata of an older version: no options of the network" in err
    assert "do next: name the params file that it was trained with: --params presets/NAME.yaml" in err
    assert predict("photo.png", "--params", "params.yaml") == 0
    assert np.array_equal(label("photo"), logits(image, (64, 32))[0].argmax(0).numpy())  # preprocess.target
    write_params(change(tree(), classes=SWAPPED))
    assert predict("photo.png", "--params", "params.yaml") == 1
    assert f"classes: {','.join(NAMES)}\n  allowed: classes: {','.join(SWAPPED)}" in capsys.readouterr().err


def test_two_size_options_are_refused(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put("photo.png")
    assert predict("photo.png", "--own-size", "--size", "64x32") == 1
    assert "error: --own-size: --size 64x32 too" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name, content, found",
    [
        ("model.pth", b"", "a name that ends in .pth"),
        ("text.safetensors", b"no tensors at all", "deserializing header"),
        ("gone.safetensors", None, "no such file or folder"),
    ],
)
def test_a_file_that_is_not_a_trained_model_is_refused(
    model: Path, name: str, content: bytes | None, found: str, capsys: pytest.CaptureFixture[str]
) -> None:
    put("photo.png")
    if content is not None:
        Path(name).write_bytes(content)
    assert main(["predict", name, "photo.png", "--out", "out"]) == 1
    err = capsys.readouterr().err
    assert f"error: {name}: " in err and found in err


def test_a_name_that_a_spreadsheet_would_compute_is_quoted_in_the_table(model: Path) -> None:
    put("photos/=1+1.png")
    put("photos/-a;@b.png")
    assert predict("photos") == 0
    rows = (OUT / "predictions.csv").read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == ["'-a;'@b", "'=1+1"]
    assert files.read_csv(OUT / "predictions.csv")["image"].tolist() == ["-a;@b", "=1+1"]


def test_metadata_cannot_write_to_the_terminal(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put("photo.png")
    network = trained_model.predictor().members[0]
    info = trained_model.info(network).model_dump(mode="json") | {"model": "\x1b[2J\u202ea\nb"}
    weights.save_model(MODEL, network, info)
    assert predict("photo.png") == 1
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 3 and err.replace("\n", "").isprintable()


def test_a_model_without_its_classes_is_refused(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put("photo.png")
    network = trained_model.predictor().members[0]
    weights.save_model(MODEL, network, {"model": "small"})
    assert predict("photo.png") == 1
    assert "no classes in its metadata" in capsys.readouterr().err


@pytest.mark.parametrize(
    "option, value",
    [
        ("--alpha", "1.5"),
        ("--alpha", "nan"),
        ("--every", "0"),
        ("--batch-size", "-1"),
        ("--workers", "0"),
        ("--tta", "rotate"),
    ],
)
def test_a_wrong_number_is_refused(
    model: Path, option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict("photo.png", f"{option}={value}") == 1
    assert f"error: {option}: '{value}'\n  allowed: " in capsys.readouterr().err
