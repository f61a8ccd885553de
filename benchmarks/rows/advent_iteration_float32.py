"""An iteration of AdvEnt with ResNet-101 in float32, one image of 512x256 of each domain."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from benchmarks import Row, baseline, timing
from benchmarks.baseline_training import AdvEnt
from benchmarks.streets import prepared, resized, workplace, write_cityscapes, write_gta5
from intrada import estimate, params_file
from intrada.batches import Batch, training_stream
from intrada.params import Params
from intrada.training import Game, Step

PRESET = Path("presets/gta5_to_cityscapes.yaml")
SMALL, LARGE = (256, 128), (512, 256)
TIMES = 3
TOLERANCE = 1e-5  # of the losses, relative or absolute


def measure() -> Row:
    """Seconds of the baseline over ours, after an iteration of each on small images."""
    params = params_file.load(PRESET)
    torch.set_num_threads(params.compute.threads)
    with workplace() as folder:
        write_gta5(folder / "gta5", 1)
        write_cityscapes(folder / "cityscapes", 1, "train")
        _iterations(resized(params, SMALL), folder, "an AdvEnt iteration of R101 at 256x128", 1)
        ours, theirs = _iterations(
            resized(params, LARGE), folder, "an AdvEnt iteration of R101 at 512x256", TIMES
        )
    return Row("advent_iteration_float32", ours, theirs, theirs / ours, "s", "at least 1.15")


def _iterations(params: Params, folder: Path, what: str, times: int) -> tuple[float, float]:
    """Medians of ours and the baseline's; AssertionError where the losses of the first differ."""
    game = estimate.build_game(params, params.train_inter, torch.device("cpu"))
    judges = {head: judge.state_dict() for head, judge in game.nets.discriminators.items()}
    state = {"segmenter": game.nets.segmenter.state_dict(), **judges}
    other = AdvEnt(params.train_inter, len(params.classes), state)
    source = _batch(params, "source", folder / "gta5", folder / what)
    target = _batch(params, "target", folder / "cityscapes", folder / what)
    images = [_floats(game, batch) for batch in (source, target)]
    losses: list[tuple[dict[str, Tensor], dict[str, float]]] = [({}, {})]

    def ours() -> None:
        losses[-1] = game.step(Step(source, target, None)), losses[-1][1]

    def theirs() -> None:
        losses[-1] = losses[-1][0], other.iteration(images[0], source.label, images[1])
        losses.append(({}, {}))

    found = timing.medians(ours, theirs, times)
    _assert_same(*losses[0])
    baseline.tell(what, found[1])
    return found


def _batch(params: Params, domain: str, root: Path, folder: Path) -> Batch:
    index = prepared(params, domain, root, folder)
    return next(training_stream(index, params.seed, domain, params.train_inter.augment, 1, 0, 1))


def _floats(game: Game, batch: Batch) -> Tensor:
    return game.nets.segmenter.normalise(batch.image)


def _assert_same(ours: Mapping[str, Tensor], theirs: Mapping[str, float]) -> None:
    assert ours.keys() == theirs.keys()
    for name, loss in ours.items():
        near = math.isclose(float(loss), theirs[name], rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        assert near, f"{name}: {float(loss)} here, {theirs[name]} in the baseline"
