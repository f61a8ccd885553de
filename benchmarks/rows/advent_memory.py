"""Memory of an AdvEnt iteration with ResNet-101, one image of 512x256 of each domain.

Measured is by how much the process grows: from its resident memory before the first iteration, with the
networks built and the images at hand, to the most that it has held at any time when the iteration is over.
So it is activations, gradients, the optimisers' state and the kernels' scratch memory, on both sides; the
weights are not in it. Each side has a process of its own. Ours computes in bfloat16 with activation
checkpointing. Needs Linux.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch

from benchmarks import Row
from benchmarks.baseline_training import AdvEnt
from intrada.core.config.load import load
from intrada.core.config.schema import Params
from intrada.data.train_batches import TrainBatch
from intrada.training import cost_estimate

PRESET, SIZE, CPU = Path("presets/gta5_to_cityscapes.yaml"), (512, 256), torch.device("cpu")
SAVING = {"precision": "bf16", "activation_checkpointing": True}


def measure() -> Row:
    """MiB of ours over the baseline's."""
    ours, theirs = (_alone(side) for side in (grown_by_ours, grown_by_the_baseline))
    return Row("advent_memory", ours, theirs, ours / theirs, "MiB", "at most 0.5", memory=ours)


def grown_by_ours(**compute: object) -> float:
    """MiB, of this process; compute: what is not to be as in SAVING."""
    params = _params()
    changed = params.compute.model_copy(update=SAVING | compute)
    params = params.model_copy(update={"compute": changed})
    trainer = cost_estimate.build_trainer(params, params.train_inter, CPU)
    step = TrainBatch(cost_estimate.noise_batch(1, SIZE, CPU), cost_estimate.noise_batch(1, SIZE, CPU), None)
    return _growth(lambda: trainer.step(step))


def grown_by_the_baseline() -> float:
    """MiB, of this process."""
    params = _params()
    trainer = cost_estimate.build_trainer(
        params, params.train_inter, CPU
    )  # stays, so that its memory is not used again
    discriminators = {head: network.state_dict() for head, network in trainer.networks.discriminators.items()}
    state = {"segmenter": trainer.networks.segmenter.state_dict(), **discriminators}
    other = AdvEnt(params.train_inter, len(params.classes), state)
    source, target = (cost_estimate.noise_batch(1, SIZE, CPU) for _ in range(2))
    images = [trainer.networks.segmenter.normalise(batch.image) for batch in (source, target)]
    return _growth(lambda: other.iteration(images[0], source.label, images[1]))


def _params() -> Params:
    params = load(PRESET)
    torch.set_num_threads(params.compute.threads)
    torch.manual_seed(params.seed)
    return params


def _alone(side: Callable[[], float]) -> float:
    """The result of `side` in a process of its own, which inherits no memory."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(side).result()


def _growth(iteration: Callable[[], object]) -> float:
    before = _resident("VmRSS")
    iteration()
    return _resident("VmHWM") - before


def _resident(what: str) -> float:
    """MiB: VmRSS is what this process holds now, VmHWM the most that it has held."""
    status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    [line] = [line for line in status if line.startswith(f"{what}:")]
    return int(line.split()[1]) / 1024
