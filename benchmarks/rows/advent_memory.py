"""Measure the memory of an AdvEnt iteration with ResNet-101, one 512x256 image of each domain.

The result is the peak resident memory of the process after one iteration minus its resident memory before.
The networks are built and the images are in memory before. It includes activations, gradients, optimiser
states and the scratch memory of kernels, but not the weights. Each side runs in its own process. Ours
computes in bfloat16 with activation checkpointing. Needs Linux.
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
from intrada.core.distributed.device import configure_torch
from intrada.data.train_batches import TrainBatch
from intrada.training import cost_estimate

PRESET, SIZE, CPU = Path("presets/gta5_to_cityscapes.yaml"), (512, 256), torch.device("cpu")
SAVING = {"precision": "bf16", "activation_checkpointing": True}


def measure() -> Row:
    """Return the growth in MiB; the ratio is ours over the baseline."""
    ours, theirs = (_in_own_process(side) for side in (growth_of_ours, growth_of_baseline))
    return Row("advent_memory", ours, theirs, ours / theirs, "MiB", "at most 0.5", memory=ours)


def growth_of_ours(**compute: object) -> float:
    """Return the growth of this process in MiB. compute: params that replace those of SAVING."""
    params = _params()
    changed = params.compute.model_copy(update=SAVING | compute)
    params = params.model_copy(update={"compute": changed})
    trainer = cost_estimate.build_trainer(params, params.train_inter, CPU)
    step = TrainBatch(cost_estimate.noise_batch(1, SIZE, CPU), cost_estimate.noise_batch(1, SIZE, CPU), None)
    return _growth(lambda: trainer.step(step))


def growth_of_baseline() -> float:
    """Return the growth of this process in MiB."""
    params = _params()
    # referenced until the end, so that the iteration cannot reuse its memory
    trainer = cost_estimate.build_trainer(params, params.train_inter, CPU)
    discriminators = {head: network.state_dict() for head, network in trainer.networks.discriminators.items()}
    state = {"segmenter": trainer.networks.segmenter.state_dict(), **discriminators}
    baseline = AdvEnt(params.train_inter, len(params.classes), state)
    source, target = (cost_estimate.noise_batch(1, SIZE, CPU) for _ in range(2))
    images = [trainer.networks.segmenter.normalise(batch.image) for batch in (source, target)]
    return _growth(lambda: baseline.iteration(images[0], source.label, images[1]))


def _params() -> Params:
    params = load(PRESET)
    configure_torch(params.compute, params.compute.threads, torch.device("cpu"))
    torch.manual_seed(params.seed)
    return params


def _in_own_process(side: Callable[[], float]) -> float:
    """Return the result of `side`, called in a new process, which inherits no memory."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(side).result()


def _growth(iteration: Callable[[], object]) -> float:
    before = resident("VmRSS")
    iteration()
    return resident("VmHWM") - before


def resident(field: str) -> float:
    """Return the resident memory of this process in MiB: VmRSS now, VmHWM at its peak."""
    status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    [line] = [line for line in status if line.startswith(f"{field}:")]
    return int(line.split()[1]) / 1024
