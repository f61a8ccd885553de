"""Resize the images of one domain, map its labels to class indices, and write its index.csv.

The later stages do not depend on the dataset.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd

from intrada.core import files, locks
from intrada.core.config.classes import ClassSet
from intrada.core.config.data_blocks import Domain, SourceDomain
from intrada.core.config.schema import Params
from intrada.core.stage import Choice, Context, In, Out, SetOption
from intrada.data import tables
from intrada.data.datasets import faults, open_dataset, validation
from intrada.data.datasets.base import Dataset, Item
from intrada.data.resize import resize_image, resize_label

READS = ("classes", "preprocess.{domain}", "sources.{sources}", "target_labelled.{target_labelled}")
SOURCE, TARGET, VAL = "source", "target", "val"


def run(
    params: Params,
    *,
    domain: Annotated[str, Choice("the domain to preprocess", (SOURCE, TARGET, VAL), optional=True)] = "",
    sources: Annotated[str, SetOption("instead of a domain: a data set of `sources`")] = "",
    target_labelled: Annotated[str, SetOption("instead of a domain: a data set of `target_labelled`")] = "",
    root: Annotated[Path, In("folder of the raw dataset", raw=True)],
    index: Annotated[Path, Out("index.csv: id, image, label, width, height")],
    images: Annotated[Path, Out("folder of the resized images (PNG or JPEG)", inside=True)],
    label_folder: Annotated[
        Path, Out("folder of the label maps (PNG, class indices, 255 ignored)", inside=True)
    ],
    context: Context,
) -> None:
    """Resize the images to `size` (bicubic, antialiased) and the source and target labels (nearest).

    Evaluation labels keep their size. The index of the target names no labels. The labels that it has are
    listed in label_folder/index.csv, which only the report reads. A data set of `sources` or of
    `target_labelled` is treated as the source is.

    Images are processed by several threads. An interrupted run keeps its finished images in hidden folders
    beside the outputs, named by the fingerprint of the run. DVC does not remove these folders, and the next
    run with the same fingerprint resumes from them.
    """
    block = _block(params, domain or "", sources, target_labelled)
    classes = params.class_set
    dataset = open_dataset(block.dataset, root, block.split, block.options, classes)
    size = (block.size[0], block.size[1])
    items = _items(dataset, domain)
    palette, key = classes.palette(), context.fingerprint[:16]
    suffix, _ = files.STORAGE[block.storage]
    lock = locks.acquire(context.checkpoints / "run.lock", "this run")
    with (
        lock,
        files.resumed_folder(images, key) as image_out,
        files.resumed_folder(label_folder, key) as label_out,
    ):

        def prepare(item: Item) -> None:
            image_file, label_file = image_out / f"{item.id}{suffix}", label_out / f"{item.id}.png"
            if not image_file.exists():
                files.write_image(image_file, resize_image(files.read_image(item.image), size), block.storage)
            if item.label is not None and not label_file.exists():
                label = _label(dataset, item.label, None if domain == VAL else size)
                files.write_label(label_file, label, palette)

        with ThreadPoolExecutor(context.workers) as pool:
            try:
                for _ in context.progress(pool.map(prepare, items), len(items), "image"):
                    pass
            except BaseException:
                pool.shutdown(cancel_futures=True)  # those that have not started
                raise
        table = _index(items, images, label_folder, block)
        if isinstance(block, SourceDomain) and block.class_pixels:
            table = _with_pixels(table, label_out, classes, context)
        if domain == TARGET:
            tables.write(label_out / "index.csv", table[table["label"] != ""], tables.INDEX)
            table["label"] = ""
    tables.write(index, table, tables.INDEX)


def _with_pixels(table: pd.DataFrame, labels: Path, classes: ClassSet, context: Context) -> pd.DataFrame:
    """Return the index with a column for each class: how many pixels of an image's label are of it."""

    def counts(name: str) -> np.ndarray:
        return np.bincount(files.read_label(labels / f"{name}.png").ravel(), minlength=256)[: len(classes)]

    with ThreadPoolExecutor(context.workers) as pool:
        pixels = np.stack(list(pool.map(counts, table["id"])))
    columns = [tables.PIXELS + name for name in classes.names]
    return pd.concat([table, pd.DataFrame(pixels, columns=columns)], axis=1)


def _block(params: Params, domain: str, sources: str, target_labelled: str) -> Domain:
    """Return the block that the one given name selects."""
    if domain:
        block: Domain = getattr(params.preprocess, domain)
        return block
    return params.sources[sources] if sources else params.target_labelled[target_labelled]


def _items(dataset: Dataset, domain: str) -> list[Item]:
    """Return the images. UserError for one without label, except in a target and where no labels are set."""
    survey = dataset.survey()
    is_labelled = domain not in (TARGET, VAL) or (domain == VAL and dataset.layout.labels is not None)
    missing = validation.missing_labels(dataset, survey) if is_labelled else []
    faults.raise_joined(dataset.layout.root, [*survey.faults, *missing])
    return survey.items


def _label(dataset: Dataset, path: Path, size: tuple[int, int] | None) -> np.ndarray:
    label = dataset.read_label(path)
    return label if size is None else resize_label(label, size)


def _index(items: list[Item], images: Path, label_folder: Path, block: Domain) -> pd.DataFrame:
    suffix, _ = files.STORAGE[block.storage]
    rows = [
        (
            item.id,
            (images / f"{item.id}{suffix}").as_posix(),
            (label_folder / f"{item.id}.png").as_posix() if item.label else "",
            *block.size,
        )
        for item in items
    ]
    return pd.DataFrame(rows, columns=tables.INDEX_COLUMNS)
