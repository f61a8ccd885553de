"""Time an AdvEnt iteration with ResNet-101 in the published experiment: ours and the baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks import timing
from benchmarks.baseline_training import AdvEnt
from benchmarks.streets import preprocessed
from intrada.core.config.schema import Params
from intrada.data.batch import Batch
from intrada.data.loader import training_stream
from intrada.data.train_batches import TrainBatch
from intrada.training import cost_estimate

SAFETY = 4


def medians(
    params: Params,
    device: torch.device,
    folder: Path,
    name: str,
    times: int,
    tolerance: float | None = None,
) -> tuple[float, float]:
    """Return the median seconds of an iteration, ours and the baseline's, on one image of each domain.

    folder: contains synthetic images in gta5 and cityscapes; the output of preprocess is written to
    folder/name. times: the number of iterations. The baseline always computes in float32. Raises
    AssertionError if the losses of the first iteration differ by more than `tolerance` (relative and
    absolute; None: what the order of summation may change in float32).
    """
    trainer = cost_estimate.build_trainer(params, params.train_inter, device)
    discriminators = {head: network.state_dict() for head, network in trainer.networks.discriminators.items()}
    state = {"segmenter": trainer.networks.segmenter.state_dict(), **discriminators}
    with device:
        baseline = AdvEnt(params.train_inter, len(params.classes), state)
    source = _batch(params, "source", folder / "gta5", folder / name).to(device)
    target = _batch(params, "target", folder / "cityscapes", folder / name).to(device)
    images = [trainer.networks.segmenter.normalise(batch.image) for batch in (source, target)]
    losses: dict[str, list[Mapping[str, float]]] = {"ours": [], "theirs": []}

    def ours() -> None:
        losses["ours"].append(_numbers(trainer.step(TrainBatch(source, target, None))))

    def theirs() -> None:
        losses["theirs"].append(baseline.iteration(images[0], source.label, images[1]))

    seconds = timing.medians(ours, theirs, times)
    allowed = summation_error(trainer.networks.segmenter) if tolerance is None else tolerance
    _assert_same(losses["ours"][0], losses["theirs"][0], allowed)
    return seconds


def summation_error(network: nn.Module) -> float:
    """Return the relative difference that other orders of summation may make to an output of `network`.

    A sum of n products in float32 has an error of about sqrt(n) roundings, and the errors of independent
    layers add up as their squares do. SAFETY: the losses of a saturated softmax amplify it.
    """
    terms = sum(layer.weight[0].numel() for layer in network.modules() if isinstance(layer, nn.Conv2d))
    return SAFETY * torch.finfo(torch.float32).eps / 2 * math.sqrt(terms)


def _batch(params: Params, domain: str, root: Path, folder: Path) -> Batch:
    index = preprocessed(params, domain, root, folder)
    return next(training_stream(index, params.seed, domain, params.train_inter.augment, 1, 0, 1))


def _numbers(losses: Mapping[str, Tensor]) -> dict[str, float]:
    """Return the losses as floats, which waits for the GPU."""
    return {name: loss.item() for name, loss in losses.items()}


def _assert_same(ours: Mapping[str, float], theirs: Mapping[str, float], tolerance: float) -> None:
    assert ours.keys() == theirs.keys()
    for name, loss in ours.items():
        close = math.isclose(loss, theirs[name], rel_tol=tolerance, abs_tol=tolerance)
        assert close, f"{name}: {loss} is ours, {theirs[name]} is the baseline's"
