"""An iteration of AdvEnt with ResNet-101 of the published experiment, ours and the baseline's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, device

from benchmarks import timing
from benchmarks.baseline_training import AdvEnt
from benchmarks.streets import for_inference
from intrada.core.config.schema import Params
from intrada.data.loader import Batch, training_stream
from intrada.data.train_batches import TrainBatch
from intrada.training import cost_estimate


def medians(
    params: Params, place: device, folder: Path, name: str, times: int, tolerance: float
) -> tuple[float, float]:
    """Seconds of an iteration, ours and the baseline's, on one image of each domain on the device `place`.

    folder: with drawn images in its folders gta5 and cityscapes; what preprocess makes of them goes to its
    folder `name`. The baseline is float32, whatever ours is. AssertionError where the losses of the first
    iteration differ by more than `tolerance`, relative and absolute.
    """
    trainer = cost_estimate.build_trainer(params, params.train_inter, place)
    discriminators = {head: network.state_dict() for head, network in trainer.networks.discriminators.items()}
    state = {"segmenter": trainer.networks.segmenter.state_dict(), **discriminators}
    with place:
        other = AdvEnt(params.train_inter, len(params.classes), state)
    source = _batch(params, "source", folder / "gta5", folder / name).to(place)
    target = _batch(params, "target", folder / "cityscapes", folder / name).to(place)
    images = [trainer.networks.segmenter.normalise(batch.image) for batch in (source, target)]
    found: dict[str, list[Mapping[str, float]]] = {"ours": [], "theirs": []}

    def ours() -> None:
        found["ours"].append(_numbers(trainer.step(TrainBatch(source, target, None))))

    def theirs() -> None:
        found["theirs"].append(other.iteration(images[0], source.label, images[1]))

    seconds = timing.medians(ours, theirs, times)
    _assert_same(found["ours"][0], found["theirs"][0], tolerance)
    return seconds


def _batch(params: Params, domain: str, root: Path, folder: Path) -> Batch:
    index = for_inference(params, domain, root, folder)
    return next(training_stream(index, params.seed, domain, params.train_inter.augment, 1, 0, 1))


def _numbers(losses: Mapping[str, Tensor]) -> dict[str, float]:
    """On the CPU, which waits until a GPU is done."""
    return {name: loss.item() for name, loss in losses.items()}


def _assert_same(ours: Mapping[str, float], theirs: Mapping[str, float], tolerance: float) -> None:
    assert ours.keys() == theirs.keys()
    for name, loss in ours.items():
        near = math.isclose(loss, theirs[name], rel_tol=tolerance, abs_tol=tolerance)
        assert near, f"{name}: {loss} here, {theirs[name]} in the baseline"
