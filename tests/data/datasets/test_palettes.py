"""Palettes that give one id several colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from intrada.core.config.classes import class_set
from intrada.core.errors import UserError
from intrada.data.datasets.base import Dataset
from intrada.data.datasets.validation import validate
from tests.support.trees import ids, image, opened

CLASSES = class_set(["sky", "road"])
RED, BLUE, BLACK = (255, 0, 0), (0, 0, 255), (0, 0, 0)


def label(
    root: Path, name: str, palette: list[tuple[int, int, int]], rows: Any = ((0, 1, 1, 0),) * 2
) -> None:
    picture = Image.fromarray(np.array(rows, np.uint8), "L").convert("P")
    picture.putpalette([value for color in palette for value in color])
    picture.info.clear()
    path = root / "masks" / f"{name}.png"
    path.parent.mkdir(exist_ok=True)
    picture.save(path)
    image(root / "images" / f"{name}.png")


def folders(root: Path, encoding: str = "ids") -> Dataset:
    mapping = {"sky": [0], "road": [1]} if encoding == "ids" else {"sky": ["#ff0000"], "road": ["#0000ff"]}
    options = {"images": "images/*.png", "labels": "masks/{stem}.png", "mapping": mapping}
    return opened("folders", root, classes=CLASSES, encoding=encoding, **options)


def test_palettes_of_another_order_are_refused_with_two_files(tmp_path: Path) -> None:
    label(tmp_path, "a", [RED, BLUE])
    label(tmp_path, "b", [RED, BLUE])
    label(tmp_path, "c", [BLUE, RED])
    with pytest.raises(
        UserError, match=r"c\.png: a palette in which id 0 is #0000ff; in .*a\.png it is #ff0000"
    ):
        validate(folders(tmp_path), labelled=True)
    assert validate(folders(tmp_path, "rgb"), labelled=True).pixels == {"sky": 12, "road": 12}


def test_colours_of_ids_that_do_not_occur_and_grey_labels_do_not_matter(tmp_path: Path) -> None:
    label(tmp_path, "a", [RED, BLUE, BLACK, RED])
    label(tmp_path, "b", [RED, BLUE, RED])
    label(tmp_path, "c", [RED, BLACK], [(0, 0, 0, 0)] * 2)
    image(tmp_path / "images/d.png")
    ids(tmp_path / "masks/d.png", [[0, 1, 1, 1]] * 2)
    assert validate(folders(tmp_path), labelled=True).labelled == 4


def test_the_recipe_saves_the_ids_without_the_palette(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    label(tmp_path, "a", [RED, BLUE])
    label(tmp_path, "b", [BLUE, RED])
    with pytest.raises(UserError) as caught:
        validate(folders(tmp_path), labelled=True)
    for name in "ab":
        monkeypatch.chdir(tmp_path / "masks")
        code = caught.value.fix.split('"')[1].replace("IN", f"{name}.png").replace("OUT.png", f"{name}.png")
        exec(code)  # noqa: S102, this is our own text
    assert validate(folders(tmp_path), labelled=True).pixels == {"sky": 8, "road": 8}
