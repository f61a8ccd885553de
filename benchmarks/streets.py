"""Draw and preprocess synthetic data in a temporary folder.

The large images are streets of the toy city, drawn at half their size and upsampled. The time to decode a
PNG depends on its content: noise takes longer than flat colour. These PNGs have 2.3 MB (GTA5) and 2.6 MB
(Cityscapes), as the real ones have.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from PIL import Image

from intrada.core import files, seeding
from intrada.core.config.schema import Params
from intrada.core.stage import Context
from intrada.data import tables
from intrada.data.datasets import toycity
from intrada.data.datasets.toycity_look import SOURCE, TARGET, Domain, Weather
from intrada.data.datasets.toycity_scene import draw
from intrada.stages import preprocess

GTA5_SIZE, CITYSCAPES_SIZE = (1914, 1052), (2048, 1024)
SEED = 1


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Enter an empty working directory and yield its path `.`; indexes hold relative paths."""
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        yield Path()


def context(folder: Path) -> Context:
    """Return the context of a stage that runs in `folder`."""
    return Context("benchmark", "0" * 32, folder / "runs")


def resized(params: Params, size: tuple[int, int]) -> Params:
    """Return the params with a network input of `size` (width, height)."""
    blocks = {
        name: getattr(params.preprocess, name).model_copy(update={"size": list(size)})
        for name in ("source", "target", "val")
    }
    return params.model_copy(update={"preprocess": params.preprocess.model_copy(update=blocks)})


def write_gta5(root: Path, images: int) -> list[tuple[Path, Path]]:
    """Draw `images` pairs of image and label (PNG, ids) in GTA5's layout; return their paths."""
    names = [f"{number + 1:05d}.png" for number in range(images)]
    pairs = [(root / "images" / name, root / "labels" / name) for name in names]
    return _write(pairs, SOURCE, GTA5_SIZE)


def write_cityscapes(root: Path, images: int, split: str) -> list[tuple[Path, Path]]:
    """Draw the same in the layout of Cityscapes; split: train or val."""
    stems = [f"bonn_{number:06d}_000019" for number in range(images)]
    pictures = [root / f"leftImg8bit/{split}/bonn/{stem}_leftImg8bit.png" for stem in stems]
    labels = [root / f"gtFine/{split}/bonn/{stem}_gtFine_labelIds.png" for stem in stems]
    return _write(list(zip(pictures, labels, strict=True)), TARGET, CITYSCAPES_SIZE)


def write_toycity(params: Params, folder: Path, images: int) -> dict[str, Path]:
    """Draw the toy city, `images` images of each domain; return the roots of "source" and "target"."""
    block = params.toycity
    assert block.source and block.target
    roots = {"source": folder / "raw_source", "target": folder / "raw_target"}
    toycity.write_source(roots["source"], SEED, images, block.source.size)
    toycity.write_target(roots["target"], SEED, images, images, block.target.size)
    return roots


def preprocessed(params: Params, domain: str, root: Path, folder: Path) -> pd.DataFrame:
    """Run the preprocess stage on `root` and return its index."""
    index = folder / domain / "index.csv"
    images, labels = folder / domain / "images", folder / f"{domain}_labels"
    preprocess.run(
        params,
        domain=domain,
        root=root,
        index=index,
        images=images,
        label_folder=labels,
        context=context(folder),
    )
    return files.read_csv(index, tables.INDEX_COLUMNS)


def _write(pairs: list[tuple[Path, Path]], domain: Domain, size: tuple[int, int]) -> list[tuple[Path, Path]]:
    for number, (image, label) in enumerate(pairs):
        half = (size[0] // 2, size[1] // 2)
        colours, ids = draw(seeding.stream(SEED, "benchmark", number), domain, Weather(), half)
        for path, pixels in (
            (image, cv2.resize(colours, size, interpolation=cv2.INTER_CUBIC)[:, :, ::-1]),
            (label, cv2.resize(ids, size, interpolation=cv2.INTER_NEAREST)),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.ascontiguousarray(pixels)).save(path)
    return pairs
