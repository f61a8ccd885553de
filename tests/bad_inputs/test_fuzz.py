"""Fuzz params, tables and label images: each input is accepted or refused with a UserError."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import BaseModel

from intrada.commands import validate
from intrada.core import files, hashing
from intrada.core.config import plain_yaml
from intrada.core.config.classes import class_set
from intrada.core.config.load import validate as validate_tree
from intrada.core.config.select import digest
from intrada.data import tables
from intrada.data.datasets import open_dataset
from intrada.methods import ranking
from tests.support import bad_inputs_tree
from tests.support.fuzzing import LEAVES, damaged, fuzz, mutated, user_error

CLASSES = class_set(["sky", "road", "car"])
REFUSED = [  # keys that are refused in these places, where they are not used
    "params.target_labelled.few.class_pixels",
    "params.train_source.augment_target",
    "params.train_source.self_training",
]


# --- params


def use_params(path: Path) -> None:
    """Load a params file as all stages do, and list the images of its datasets."""
    params = validate.load(path)
    classes = class_set(params.classes)
    digest(params, ["classes", "preprocess.source", "model", "train_inter", "rank", "report"])
    for name in ("source", "target", "val"):
        block = getattr(params.preprocess, name)
        open_dataset(block.dataset, Path(f"raw/{name}"), block.split, block.options, classes).items()


@fuzz
@given(st.data())
def test_a_mutated_params_tree_is_valid_or_refused(data: st.DataObject) -> None:
    model = data.draw(st.sampled_from(bad_inputs_tree.NETWORKS))
    tree = data.draw(mutated(bad_inputs_tree.with_optional_blocks(model)))
    path = Path("mutated.yaml")
    path.write_text(plain_yaml.dump(tree), encoding="utf-8")
    user_error(lambda: use_params(path))


def test_the_tree_that_is_mutated_is_valid_and_has_every_key_of_the_schema() -> None:
    tree = bad_inputs_tree.with_optional_blocks(bad_inputs_tree.NETWORKS[0])
    assert missing_keys(validate_tree("params.yaml", tree), tree) == REFUSED


def missing_keys(value: Any, tree: Any, at: str = "params") -> list[str]:
    """Return the dotted names of the fields of a block, and of the blocks in it, that its tree lacks."""
    if isinstance(value, BaseModel):
        fields = {name: getattr(value, name) for name in type(value).model_fields}
        lacking = [f"{at}.{name}" for name in fields if name not in tree]
    else:
        fields, lacking = value if isinstance(value, dict) else {}, []
    inner = ((name, field) for name, field in fields.items() if name in tree)
    return lacking + [key for name, field in inner for key in missing_keys(field, tree[name], f"{at}.{name}")]


@fuzz
@given(st.data())
def test_a_params_file_of_damaged_text_is_valid_or_refused(data: st.DataObject) -> None:
    path = Path("mutated.yaml")
    path.write_bytes(data.draw(damaged(Path("params.yaml").read_bytes())))
    user_error(lambda: use_params(path))


# --- tables


@fuzz
@given(st.data())
@pytest.mark.parametrize(
    "path, schema",
    [
        ("data/preprocess/source/index.csv", tables.INDEX),
        ("results/score/scores.csv", tables.SCORES),
        ("results/rank/split.csv", tables.SPLIT),
    ],
)
def test_a_damaged_table_is_read_or_refused(path: str, schema: Any, data: st.DataObject) -> None:
    text = Path(path).read_bytes()
    cells = text.split(b",")
    cell = st.tuples(st.integers(0, len(cells) - 1), LEAVES.map(lambda value: str(value).encode()))
    change = cell.map(lambda pair: b",".join([*cells[: pair[0]], pair[1], *cells[pair[0] + 1 :]]))
    Path("mutated.csv").write_bytes(data.draw(damaged(text) | change))

    def use() -> None:
        table = tables.read(Path("mutated.csv"), schema)
        if schema is tables.INDEX:
            for file in tables.files_of(Path("mutated.csv")):
                hashing.fingerprint(file)
        if schema is tables.SCORES:
            tables.write(
                Path("split.csv"), ranking.rank(table, "published_normalized", 0.5, ["car"]), tables.SPLIT
            )

    user_error(use)


# --- label images


@st.composite
def images(draw: st.DrawFn) -> bytes:
    """Draw a small image of any mode in any format, possibly damaged."""
    mode = draw(st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I", "F", "CMYK"]))
    kind = draw(st.sampled_from(["PNG", "PNG", "PNG", "JPEG", "BMP", "TIFF"]))
    size = (draw(st.integers(1, 20)), draw(st.integers(1, 20)))
    levels = draw(st.sampled_from([3, 34, 256]))
    grey = np.random.default_rng(draw(st.integers(0, 99))).integers(0, levels, size[::-1], np.uint8)
    image = Image.fromarray(grey)
    with io.BytesIO() as out:
        try:
            image = Image.fromarray(grey.astype(np.uint16) * 257) if mode == "I;16" else image.convert(mode)
            image.save(out, format=kind)
        except OSError:  # the format does not support the mode
            Image.fromarray(grey).save(out, format="PNG")
        content = out.getvalue()
    return draw(st.just(content) | damaged(content))


@fuzz
@given(images(), st.sampled_from(["folders", "gta5", "cityscapes"]))
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")  # of Pillow, about data that it ignores
def test_a_label_image_of_any_kind_is_read_or_refused(content: bytes, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "leftImg8bit/train").mkdir(parents=True)
        path = Path(folder) / "label.png"
        path.write_bytes(content)
        options = bad_inputs_tree.OPTIONS if name == "folders" else {}
        dataset = open_dataset(
            name, Path(folder), "train" if name == "cityscapes" else "all", options, CLASSES
        )
        for read in (dataset.read_label, files.read_label, files.read_image, files.image_size):
            user_error(lambda read=read: read(path))  # type: ignore[misc]
        if not user_error(lambda: dataset.read_label(path)):
            label = dataset.read_label(path)
            assert label.dtype == np.uint8 and set(np.unique(label)) <= {0, 1, 2, 255}
