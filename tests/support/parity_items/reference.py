"""Read a folder of golden values, and rebuild the networks and images that they were computed with."""

from __future__ import annotations

import copy
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from intrada.core.config.classes import CITYSCAPES_19, ClassSet, class_set
from intrada.core.files import read_image, read_label
from intrada.data.datasets import open_dataset
from intrada.data.datasets.base import Dataset, Item
from intrada.data.resize import resize_image, resize_label
from intrada.models import build_model, discriminator
from intrada.models.base import SegmentationModel

# domain -> dataset, its root and list below tiny/, its split
DOMAINS = {
    "source": ("gta5", "GTA5", "gta5_all.txt", "all"),
    "target": ("cityscapes", "Cityscapes", "cityscapes_train.txt", "train"),
    "val": ("cityscapes", "Cityscapes", "cityscapes_val.txt", "val"),
}
PRECISIONS = {"f32": torch.float32, "f64": torch.float64}


@dataclass(frozen=True)
class Reference:
    """A folder of golden values, in the layout that its README describes.

    overrides: contents that replace stored files, by name, so that a test can change a value.
    """

    folder: Path
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        manifest: dict[str, Any] = json.loads((self.folder / "manifest.json").read_text())
        return manifest

    @property
    def setting(self) -> dict[str, Any]:
        setting: dict[str, Any] = self.manifest["setting"]
        return setting

    def tolerance(self, name: str) -> float:
        return float(self.manifest["tolerance"][name])

    def stored(self, name: str) -> Any:
        """Return a stored file: the tree of a .json, the arrays of a .npz by key, the indices of a .png."""
        if name in self.overrides:
            return self.overrides[name]
        path = self.folder / name
        if path.suffix == ".json":
            return json.loads(path.read_text())
        if path.suffix == ".png":
            return read_label(path)
        with np.load(path) as arrays:
            return dict(arrays)

    @cached_property
    def classes(self) -> ClassSet:
        return class_set(CITYSCAPES_19[: self.setting["num_classes"]])

    def size(self, name: str) -> tuple[int, int]:
        """Return a size of the manifest, (width, height)."""
        width, height = self.setting[name]
        return int(width), int(height)

    def fill(self, state: dict[str, Tensor], seed: str, overlay: bool = False) -> None:
        """Fill a state dict in place by the function of the folder's weights.py."""
        spec = importlib.util.spec_from_file_location("reference_weights", self.folder / "weights.py")
        assert spec and spec.loader
        recipe = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(recipe)
        overlay_file = self.folder / "overlay.npz" if overlay else None
        recipe.fill_deterministic(state, self.manifest["seeds"][seed], overlay_file)

    @cached_property
    def _generator(self) -> SegmentationModel:
        model = build_model("deeplabv2", self.setting["num_classes"], {})
        self.fill(model.state_dict(), "generator", overlay=True)
        return model

    def segmenter(self, dtype: torch.dtype) -> SegmentationModel:
        """Return the filled generator, cast from float32 to `dtype`, in eval mode."""
        return copy.deepcopy(self._generator).to(dtype).eval()

    def discriminators(self, dtype: torch.dtype) -> nn.ModuleDict:
        """Return the filled discriminators "main" and "aux"."""
        networks = nn.ModuleDict()
        for head in ("main", "aux"):
            networks[head] = discriminator.build(self.setting["num_classes"])
            self.fill(networks[head].state_dict(), f"d_{head}")
        return networks.to(dtype)

    def names(self, domain: str) -> list[str]:
        """Return the image names of "source", "target" or "val", in the order of the folder's list."""
        lines = (self.folder / "tiny" / "lists" / DOMAINS[domain][2]).read_text().splitlines()
        return [line.strip() for line in lines if line.strip()]

    def dataset(self, domain: str) -> Dataset:
        name, root, _, split = DOMAINS[domain]
        return open_dataset(name, self.folder / "tiny" / root, split, {}, self.classes)

    def _item(self, domain: str, index: int) -> Item:
        name = self.names(domain)[index]
        return next(i for i in self.dataset(domain).items() if i.image.as_posix().endswith(f"/{name}"))

    def image(self, domain: str, index: int, size: str) -> Tensor:
        """Return image number `index` as (3, H, W) uint8 BGR, resized to the size named `size`."""
        image = resize_image(read_image(self._item(domain, index).image), self.size(size))
        return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))

    def label(self, domain: str, index: int, size: tuple[int, int]) -> np.ndarray:
        """Return the label of image number `index` as (H, W) uint8 train ids, resized to (width, height)."""
        path = self._item(domain, index).label
        assert path is not None
        return resize_label(self.dataset(domain).read_label(path), size)
