"""Cityscapes (Cordts et al., CVPR 2016): leftImg8bit/<split>/<city>/ with gtFine/<split>/<city>/."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from intrada.core import files
from intrada.core.config.classes import CITYSCAPES_19, CITYSCAPES_IDS, IGNORE, ClassSet
from intrada.core.errors import UserError
from intrada.data.datasets.base import Dataset, Layout, exclude_of, options_of
from intrada.data.datasets.coding import Coding, id_coding

LABELS = ("labelIds", "labelTrainIds", "none")


def build(root: Path, split: str, options: Mapping[str, Any], classes: ClassSet) -> Dataset:
    """Return one folder of Cityscapes (train, val or test) below `root`.

    split: the name of the folder, alone or followed by `:list:FILE` or `:range:START:STOP`. options: labels,
    the kind of label images: labelIds (default), labelTrainIds, or none; exclude, patterns of files that are
    left out. Images without a label, as in `test` or in a download without gtFine, can be used as target.
    Raises UserError for a wrong option or split.
    """
    chosen = options_of("cityscapes", options, {"labels": LABELS[0], "exclude": []})
    kind = chosen["labels"]
    if kind not in LABELS:
        found = f"labels: {kind!r}"
        raise UserError("options of cityscapes", found, f"labels: {', '.join(LABELS)}", "choose one of these")
    folder, _, rest = split.partition(":")
    if not folder or not (root / "leftImg8bit" / folder).is_dir():
        there = sorted(path.name for path in root.glob("leftImg8bit/*/"))
        allowed = f"a folder of {root / 'leftImg8bit'}: {', '.join(there) or 'none is there'}"
        fix = "fix `split` (train, train:list:FILE, train:range:0:100) or `root`"
        raise UserError("split of cityscapes", repr(split), allowed, fix)
    images = f"leftImg8bit/{folder}/*/*_leftImg8bit.png"
    labels = None if kind == "none" else f"gtFine/{folder}/{{stem}}_gtFine_{kind}.png"
    coding = _train_ids(classes) if kind == "labelTrainIds" else _label_ids(classes)
    # The name of a file contains the city, so the id needs no folder.
    exclude = exclude_of("cityscapes", chosen["exclude"])
    layout = Layout(root, images, labels, lambda stem: PurePosixPath(stem).name, exclude, "labels: none")
    return Dataset(
        layout, rest or "all", classes, lambda path: coding.decode(files.read_label(path), path), True
    )


def _label_ids(classes: ClassSet) -> Coding:
    fix = f"if these are train ids ({IGNORE} is one), set the option `labels: labelTrainIds`"
    names = {raw: entry.name for raw, entry in CITYSCAPES_IDS.items()}
    return id_coding(classes, names, [], f"{fix} and name the files so; else fetch gtFine again")


def _train_ids(classes: ClassSet) -> Coding:
    fix = "if these are label ids (0..33), set the option `labels: labelIds` and name the files so"
    return id_coding(classes, dict(enumerate(CITYSCAPES_19)), [IGNORE], fix)
