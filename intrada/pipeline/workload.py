"""How much a job computes, in units of which a machine does about the same number in each second."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path

from intrada.core.config.augment_blocks import Augment
from intrada.core.config.data_blocks import Domain
from intrada.core.config.schema import Params
from intrada.core.config.training_blocks import Training

TRAIN, INFER, FILES, OTHER = "trained pixels", "predicted pixels", "images", "stages"
INDEX = Path("data/preprocess")
ABLATION = "ablation/"  # with which the names of the ablation's jobs begin
SETS = {"sources": "source", "target_labelled": "target"}  # block of data sets -> folder below INDEX
ENDINGS = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Work:
    """amount: of `unit`; that of OTHER is always 1, since such a stage takes about as long each time.

    The unit of trainings and predictions names the network, too: `small: trained pixels`.
    """

    unit: str
    amount: float


def of_job(name: str, params: Params) -> Work:
    """Return the work of a job, called as in dvc.yaml (`preprocess@source`). It may list raw data.

    Jobs of the ablation that do the same for other seeds or recipes of a benchmark take about as long.
    """
    word, _, key = name.partition("@")
    if word.startswith(ABLATION):
        return Work(word, 1)
    word = word.removesuffix("_round")
    if word in ("train_source", "train_inter", "train_intra"):
        return Work(f"{params.model.name}: {TRAIN}", _trained(word, getattr(params, word), params))
    if word in _PREDICTED:
        return Work(f"{params.model.name}: {INFER}", _PREDICTED[word](key, params))
    for block, domain in SETS.items():
        if word in (f"preprocess_{block}", f"check_set_{block}"):
            index = INDEX / domain / key / "index.csv"
            return Work(FILES, _listed(index) or _found(getattr(params, block)[key]))
    if word == "preprocess":
        return Work(FILES, _images(key, params))
    if word in ("pseudo_label", "toycity"):
        return Work(FILES, _images("source" if key == "source" else "target", params))
    if word == "check":
        return Work(FILES, sum(_images(domain, params) for domain in ("source", "target", "val")))
    return Work(OTHER, 1)


def _trained(word: str, block: Training, params: Params) -> float:
    """Return the pixels of all images, or of the crops of them, that a training sees."""

    def seen(augment: Augment, domain: Domain) -> int:
        return prod(augment.seen(domain.size))

    augment, domain = block.augment, params.preprocess
    target = seen(block.augment_for_target, domain.target)
    intra = params.train_intra
    domains = {
        "train_source": seen(augment, domain.source),
        "train_inter": seen(augment, domain.source) + target,
        "train_intra": seen(augment, domain.source if intra.starts_with_source else domain.target) + target,
    }[word]
    if word == "train_intra":
        few = [seen(augment, entry) for entry in params.target_labelled.values()]
        few += [seen(augment, domain.source)] if intra.adds_source else []
        domains += max(few, default=0)
    return block.iterations * block.batch_size * domains


def _score(_: str, params: Params) -> float:
    return _images("target", params) * _pixels(params.preprocess.target)


def _evaluate(_: str, params: Params) -> float:
    return _images("val", params) * _pixels(params.preprocess.val)


def _evaluate_snapshots(key: str, params: Params) -> float:
    block: Training = getattr(params, f"train_{key}", params.train_intra)
    images, domain = params.evaluate_snapshots.images, params.preprocess
    # each target image is seen twice: as it is, and changed
    criteria = images * (2 * _pixels(domain.target) + _pixels(domain.source))
    return max(1, block.iterations // block.snapshot_every) * (_evaluate(key, params) + criteria)


_PREDICTED: dict[str, Callable[[str, Params], float]] = {
    "score": _score,
    "evaluate": _evaluate,
    "evaluate_snapshots": _evaluate_snapshots,
}


def _pixels(domain: Domain) -> int:
    return domain.size[0] * domain.size[1]


def _images(domain: str, params: Params) -> float:
    """Return the number of images of a domain: of its index, of the toy city, or of the files in its root."""
    if listed := _listed(INDEX / domain / "index.csv"):
        return listed
    toy, block = params.toycity, getattr(params.preprocess, domain)
    for drawn, count in (
        (toy.source, toy.source and toy.source.images),
        (toy.target, toy.target and toy.target.train),
    ):
        if drawn and count and drawn.root == block.root:
            return float(count)
    return _found(block)


def _listed(index: Path) -> float:
    """Return the number of images in an index; 0 if there is none yet."""
    return max(1, index.read_bytes().count(b"\n") - 1) if index.is_file() else 0


def _found(block: Domain) -> float:
    """Return the number of images in the root of a block, labels counted too."""
    return float(max(1, sum(path.suffix.lower() in ENDINGS for path in Path(block.root).rglob("*"))))
