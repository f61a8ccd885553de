"""A mapping in the form of earlier versions is refused, and the error shows the new form."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from intrada.core.config import plain_yaml
from intrada.core.config.classes import class_set
from intrada.core.config.load import validate
from intrada.core.errors import UserError
from tests.support import bad_inputs_tree
from tests.support.trees import ids, opened

FILE = Path("params.yaml")
IDS: dict[str, Any] = {
    "images": "*.png",
    "labels": "masks/{stem}.png",
    "encoding": "ids",
    "mapping": {0: "sky", 5: "vegetation", 1: "traffic sign", 6: "vegetation", 7: "no"},
    "ignore": [11, 255],
}
RGB: dict[str, Any] = IDS | {
    "encoding": "rgb",
    "mapping": [
        {"color": [128, 128, 128], "class": "sky"},
        {"color": [0, 9, 255], "class": "road"},
        {"color": [1, 2, 3], "class": "sky"},
    ],
    "ignore": [[0, 0, 0]],
}


def tree(**options: dict[str, Any]) -> dict[str, Any]:
    """Return the params of a small project, with the options of some domains replaced."""
    params = copy.deepcopy(bad_inputs_tree.params())
    for domain, chosen in options.items():
        params["preprocess"][domain]["options"] = chosen
    return params


def refusal(**options: dict[str, Any]) -> UserError:
    with pytest.raises(UserError) as caught:
        validate(FILE, tree(**options))
    return caught.value


def pasted(error: UserError) -> dict[str, Any]:
    """Return the most indented lines of the message, parsed as YAML."""
    return plain_yaml.parse("\n".join(line for line in str(error).splitlines() if line.startswith("    ")))


def test_ids_are_printed_by_class_ready_to_paste() -> None:
    error = refusal(source=IDS)
    assert error.where == "params.yaml, mapping" and "  options of preprocess.source:" in error.details
    assert "\n    mapping: {sky: [0], vegetation: [5, 6], traffic sign: [1], no: [7]}\n" in str(error)
    assert error.details[-1] == "    ignore: [11, 255]"


def test_colours_are_printed_by_class_in_quotes() -> None:
    error = refusal(target=RGB)
    assert "\n    mapping: {sky: ['#808080', '#010203'], road: ['#0009ff']}\n" in str(error)
    assert error.details[-1] == "    ignore: ['#000000']"


@pytest.mark.parametrize("old", [IDS, RGB])
def test_the_printed_mapping_is_valid(old: dict[str, Any]) -> None:
    assert validate(FILE, tree(source=old | pasted(refusal(source=old)))).preprocess.source.options


@pytest.mark.parametrize("old", [IDS, RGB])
def test_the_printed_mapping_gives_the_same_labels(tmp_path: Path, old: dict[str, Any]) -> None:
    new = old | pasted(refusal(source=old))
    classes = plain_yaml.parse("[sky, road, vegetation, traffic sign, {name: no, color: [9, 9, 9]}]")
    dataset = opened("folders", tmp_path, classes=class_set(classes), **new)
    if old is IDS:
        path = ids(tmp_path / "1.png", [[*old["mapping"], 11, 255]])
        expected = ["sky", "vegetation", "traffic sign", "vegetation", "no", None, None]
    else:
        pixels = [[entry["color"] for entry in old["mapping"]] + old["ignore"]]
        path = tmp_path / "1.png"
        Image.fromarray(np.array(pixels, np.uint8)).save(path)
        expected = ["sky", "road", "sky", None]
    names = dict(enumerate(dataset.classes.names))
    assert [names.get(index) for index in dataset.read_label(path)[0].tolist()] == expected


def test_domains_with_equal_mappings_are_printed_together() -> None:
    error = refusal(source=IDS, target=RGB, val=IDS)
    assert "  options of preprocess.source, preprocess.val:" in error.details
    assert sum("mapping:" in line for line in error.details) == 2


@pytest.mark.parametrize("mapping", [{0: ["sky"]}, {"sky": {0: 1}}])
def test_other_integer_keys_are_refused(mapping: object) -> None:
    error = refusal(val=IDS | {"mapping": mapping})
    assert "preprocess.val.options" in error.found
    assert "the key 0 must be text: write it in quotes" in error.found


@pytest.mark.parametrize("mapping", [[], {}, [1], [{"color": [0, 0, 0]}], "sky", None, {"sky": [0]}])
def test_other_forms_are_validated_by_the_dataset(mapping: object) -> None:
    assert validate(FILE, tree(val=IDS | {"mapping": mapping}))


@pytest.mark.parametrize("block", [None, [], {}, {"source": 1}, {"source": {"options": 3}}])
def test_invalid_blocks_are_validated_by_the_schema(block: object) -> None:
    with pytest.raises(UserError, match=r"^params\.yaml: "):
        validate(FILE, tree() | {"preprocess": block})
