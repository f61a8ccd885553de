"""What a network sees in training: images with the random changes of `augment`, and as they were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from PIL import Image

from intrada.core import seeding
from intrada.core.config.augment_blocks import Augment
from intrada.core.config.schema import Params
from intrada.data import tables
from intrada.evaluation.reporting import pictures
from intrada.evaluation.reporting.samples import Pixels, shrunk

COUNT = 4  # images of each domain
SIDE = 320  # longest side on the page, pixels


@dataclass(frozen=True)
class View:
    """One image. before, seen: (H, W, 3) uint8, red green blue, of the index and as the network sees it.

    domain: source or target. label: of `seen`, (H, W) uint8 class indices or 255; None for a target image.
    """

    name: str
    domain: str
    before: Pixels
    seen: Pixels
    label: Pixels | None


@dataclass(frozen=True)
class Views:
    """The pictures of the page. stage: of the training; domains: domain -> (name, layer -> data URL)."""

    stage: str
    domains: dict[str, list[tuple[str, dict[str, str]]]]


def read(params: Params, indexes: Mapping[str, Path]) -> tuple[str, list[View]]:
    """Return a training whose augmentation is more than a flip and a jitter, and images that it sees.

    It is train_inter or, if that has no such augmentation, train_source; without one, "" and no image. COUNT
    images of each domain with such an augmentation are returned, with the changes at the first positions of
    the training's streams. indexes: the paths of index.csv of the domains, source and target.
    """
    for stage, block in (("train_inter", params.train_inter), ("train_source", params.train_source)):
        streams = {"source": ("labelled", block.augment)}
        if block.method != "source_only":
            streams["target"] = ("target", block.augment_for_target)
        seed = seeding.derive(params.seed, stage)
        views = [
            view
            for domain, (stream, augment) in streams.items()
            if not augment.is_simple
            for view in _read(domain, tables.read(indexes[domain], tables.INDEX), seed, stream, augment)
        ]
        if views:
            return stage, views
    return "", []


def _read(domain: str, index: pd.DataFrame, seed: int, stream: str, augment: Augment) -> list[View]:
    from intrada.data.loader import InfiniteShuffledDataset, read_pair  # imports torch, so only on use

    rows, views = {str(row.id): row for _, row in index.iterrows()}, []
    samples = InfiniteShuffledDataset(index, seed, stream, augment, COUNT)
    for position in range(COUNT):
        sample = samples[position]
        before, _ = read_pair(rows[sample.id])
        seen = sample.image.permute(1, 2, 0).numpy()[..., ::-1]
        label = sample.label.numpy() if domain == "source" else None
        views.append(View(sample.id, domain, before[..., ::-1], seen, label))
    return views


def build(stage: str, views: Sequence[View], palette: list[int]) -> Views | None:
    """Return the pictures of the views, None if there is none. palette: 768 ints."""
    domains: dict[str, list[tuple[str, dict[str, str]]]] = {}
    for view in views:
        domains.setdefault(view.domain, []).append((view.name, _layers(view, palette)))
    return Views(stage, domains) if domains else None


def _layers(view: View, palette: list[int]) -> dict[str, str]:
    images = {"before": view.before, "seen": view.seen}
    lanczos = Image.Resampling.LANCZOS
    layers = {name: pictures.photograph(shrunk(image, SIDE, lanczos)) for name, image in images.items()}
    if view.label is not None:
        layers["label"] = pictures.class_map(shrunk(view.label, SIDE, Image.Resampling.NEAREST), palette)
    return layers
