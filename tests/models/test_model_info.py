"""The metadata of model files: written, read, and refused if wrong or of another model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

import intrada
from intrada.core.config.classes import class_set
from intrada.core.errors import UserError
from intrada.models import MODELS, all_options, build_model, model_info, weights
from intrada.models.model_info import ModelInfo, ModelSpec, describe
from tests.support.tiny_segmenter import TinySegmenter, build

CLASSES = class_set(["sky", {"name": "snow, wet", "color": [1, 2, 3]}])
SPEC = ModelSpec("tiny", {"dropout": 0.5}, CLASSES)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory; the network `tiny` is registered."""
    monkeypatch.setitem(MODELS, "tiny", "tests.support.tiny_segmenter")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def network(classes: int = 2) -> TinySegmenter:
    torch.manual_seed(1)
    return build(classes)


def info(spec: ModelSpec = SPEC) -> ModelInfo:
    return describe(spec, network(len(spec.classes)), (64, 32), "advent").model_copy(update={"iteration": 7})


def write(changes: Mapping[str, Any], without: str = "", path: Path = Path("model.safetensors")) -> Path:
    """Write a model file with some of its metadata changed; return its path."""
    tree = info().model_dump(mode="json") | dict(changes)
    weights.save_model(path, network(), {key: value for key, value in tree.items() if key != without})
    return path


def test_metadata_are_read_as_written_with_all_options() -> None:
    path = Path("model.safetensors")
    info(ModelSpec("tiny", {}, CLASSES)).save(path, network())
    actual = model_info.read(path)
    assert actual == info(ModelSpec("tiny", {"dropout": 0.0}, CLASSES))
    assert actual and actual.spec == ModelSpec("tiny", {"dropout": 0.0}, CLASSES)
    assert model_info.iteration(path) == 7


def test_the_metadata_are_one_sorted_json_text_without_time_or_machine() -> None:
    path = write({})
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    assert metadata == {
        "intrada": '{"classes": [{"color": [70, 130, 180], "name": "sky"}, '
        '{"color": [1, 2, 3], "name": "snow, wet"}], '
        f'"intrada": "{intrada.__version__}", "iteration": 7, "method": "advent", "model": "tiny", '
        '"normalisation": {"channel_order": "bgr", "mean": [0.0, 0.0, 0.0], "range": [0, 255], '
        '"std": [255.0, 255.0, 255.0]}, "options": {"dropout": 0.5}, "size": [64, 32]}'
    }


@pytest.mark.parametrize("name", [*MODELS, "tiny"])
def test_the_normalisation_in_a_file_is_that_of_the_network(name: str) -> None:
    if name == "efficientnet_lite0":
        pytest.importorskip("timm")
    options = {"backbone": "resnet18"} if name == "deeplabv2" else {}
    model = build_model(name, 2, options)
    stated = model.normalisation
    pixels = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8)  # blue, green, red
    ordered = pixels if stated.channel_order == "bgr" else pixels.flip(1)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (stated.mean, stated.std))
    torch.testing.assert_close(model.normalise(pixels), (ordered - mean) / std, rtol=0, atol=1e-4)
    assert stated.range == (0, 255)


def test_options_are_completed_with_the_defaults() -> None:
    assert all_options("deeplabv2", {"heads": "two"}) == {"backbone": "resnet101", "heads": "two"}
    with pytest.raises(UserError, match="unknown: 'head'"):
        all_options("deeplabv2", {"head": "two"})


def test_keys_of_later_versions_are_ignored() -> None:
    assert model_info.read(write({"licence": "MIT", "intrada": "99.0"})) == info().model_copy(
        update={"intrada": "99.0"}
    )


def test_a_file_of_an_older_version_has_no_info_but_an_iteration() -> None:
    metadata = {"model": "tiny", "classes": "sky,road", "method": "advent", "iteration": "4"}
    weights.save_model(Path("old.safetensors"), network(), metadata)
    assert model_info.read(Path("old.safetensors")) is None
    assert model_info.iteration(Path("old.safetensors")) == 4


DEEP = json.loads("[" * 500 + "]" * 500)
HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "a version that is a number": ({"intrada": 1}, "intrada: "),
    "another network's name": ({"model": "huge"}, "unknown: 'huge'"),
    "a path for a name": ({"model": "../../etc/passwd"}, "unknown: '../../etc/passwd'"),
    "a module for a name": ({"model": "os"}, "unknown: 'os'"),
    "a list for a name": ({"model": ["tiny"]}, "model: "),
    "an unknown option": ({"options": {"width": 3}}, "unknown: 'width'"),
    "options that are text": ({"options": "dropout"}, "options: "),
    "options in depth": ({"options": {"dropout": DEEP}}, "recursion"),
    "one class": ({"classes": [{"name": "sky", "color": [0, 0, 0]}]}, "1 entries"),
    "a class without a colour": ({"classes": [{"name": "sky"}, {"name": "road"}]}, "classes.0.color"),
    "a colour of floats": ({"classes": [{"name": "sky", "color": [0.5, 0, 0]}] * 2}, "classes.0.color.0"),
    "a colour above 255": (
        {"classes": [{"name": "a", "color": [0, 0, 0]}, {"name": "b", "color": [256, 0, 0]}]},
        "the colour [256, 0, 0]",
    ),
    "a class twice": ({"classes": [{"name": "sky", "color": [0, 0, 0]}] * 2}, "the name sky twice"),
    "a size of nothing": ({"size": [0, 32]}, "size.0"),
    "a size of a million": ({"size": [10**6, 32]}, "size.0"),
    "half of a surrogate pair": ({"method": "\ud800"}, "metadata that are no JSON"),
    "a size of three": ({"size": [64, 32, 3]}, "size"),
    "a size of text": ({"size": ["64", "32"]}, "size.0"),
    "a mean of two": ({"normalisation": {"channel_order": "bgr", "mean": [0, 0], "std": [1, 1, 1]}}, "mean"),
    "yet another order": (
        {"normalisation": {"channel_order": "grb", "mean": [0, 0, 0], "std": [1, 1, 1]}},
        "normalisation.channel_order",
    ),
    "an iteration below zero": ({"iteration": -1}, "iteration: "),
    "an iteration of text": ({"iteration": "7"}, "iteration: "),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_the_error_for_wrong_metadata_has_the_file_and_the_key(name: str) -> None:
    changes, message = HOSTILE[name]
    path = write(changes)
    with pytest.raises(UserError) as caught:
        model_info.read(path)
    assert caught.value.where.startswith("model.safetensors") and message in f"{caught.value.found}"
    assert caught.value.allowed and caught.value.fix


@pytest.mark.parametrize(
    "key", ["model", "options", "classes", "size", "normalisation", "method", "iteration"]
)
def test_a_missing_key_is_refused(key: str) -> None:
    with pytest.raises(UserError, match=f"{key}: Field required"):
        model_info.read(write({}, without=key))


@pytest.mark.parametrize("text", ["[]", "3", '"text"', "null", "[" * 100_000])
def test_metadata_that_are_not_a_mapping_are_refused(text: str) -> None:
    header = json.dumps({"__metadata__": {"intrada": text}}).encode()
    Path("odd.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    for read in (model_info.read, model_info.iteration, weights.read_metadata):
        with pytest.raises(UserError, match="odd.safetensors: metadata that are"):
            read(Path("odd.safetensors"))


OTHER: dict[str, tuple[ModelSpec, str, str]] = {
    "another network": (ModelSpec("small", {}, CLASSES), "model: tiny", "model: small"),
    "other options": (
        ModelSpec("tiny", {}, CLASSES),
        "options: {'dropout': 0.5}",
        "options: {'dropout': 0.0}",
    ),
    "other classes": (
        ModelSpec("tiny", SPEC.options, class_set(["sky", "road"])),
        "classes: sky, snow, wet",
        "classes: sky, road",
    ),
    "another order": (
        ModelSpec("tiny", SPEC.options, class_set([{"name": "snow, wet", "color": [1, 2, 3]}, "sky"])),
        "classes: sky, snow, wet",
        "classes: snow, wet, sky",
    ),
}


@pytest.mark.parametrize("name", OTHER)
def test_a_model_whose_metadata_differ_from_the_params_is_refused(name: str) -> None:
    spec, found, allowed = OTHER[name]
    path = write({})
    with pytest.raises(UserError) as caught:
        model_info.load(path, spec, spec.build())
    error = caught.value
    assert error.where == str(path)
    assert error.found.startswith(found) and f"(written by intrada {intrada.__version__})" in error.found
    assert error.allowed.startswith(allowed) and "as in the params" in error.allowed
    assert "set `model` and `classes` in the params" in error.fix


def test_a_model_of_another_normalisation_is_refused() -> None:
    stated = info().model_dump(mode="json")["normalisation"] | {"channel_order": "rgb"}
    with pytest.raises(UserError, match=r"normalisation: {'channel_order': 'rgb'"):
        model_info.load(write({"normalisation": stated}), SPEC, network())


def test_a_model_with_other_colours_is_loaded() -> None:
    classes = class_set([{"name": "sky", "color": [9, 9, 9]}, {"name": "snow, wet", "color": [1, 2, 3]}])
    model = network()
    model_info.load(write({}), ModelSpec("tiny", SPEC.options, classes), model)


@pytest.mark.parametrize(
    "metadata, missing",
    [({}, "model and no classes"), ({"model": "tiny"}, "classes"), ({"model": 3, "classes": "a"}, "model")],
)
def test_a_file_without_the_names_of_network_and_classes_is_refused_by_each_reader(
    metadata: dict[str, object], missing: str
) -> None:
    weights.save_model(Path("model.safetensors"), network(), metadata)
    for read in (model_info.read, lambda path: model_info.load(path, SPEC, network())):
        with pytest.raises(UserError, match=f"no {missing} in its metadata"):
            read(Path("model.safetensors"))


def test_a_published_checkpoint_is_loaded_without_metadata() -> None:
    model = network()
    weights.export_published(Path("model.pth"), model)
    model_info.load(Path("model.pth"), SPEC, network())
    with pytest.raises(UserError, match=r"a name that ends in \.pth"):
        model_info.read(Path("model.pth"))
