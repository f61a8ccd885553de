"""Measure the FLOP/s of an AdvEnt iteration as a share of the peak; cost_estimate.py counts the FLOPs."""

from __future__ import annotations

import statistics

import torch

from benchmarks import Row, timing
from benchmarks.rows.advent_iteration_float32 import LARGE
from benchmarks.streets import resized
from intrada.core.config.schema import Params
from intrada.core.distributed.device import acquire_device
from intrada.data.train_batches import TrainBatch
from intrada.training import cost_estimate

SIDE = {"cpu": 1024, "cuda": 8192}  # rows and columns of the matrices
PRODUCTS = 5


def matrix_product(device: torch.device, dtype: torch.dtype) -> float:
    """Return the FLOP/s of a product of square matrices: the fastest of PRODUCTS, after a warm-up."""
    side = SIDE[device.type]
    left, right = (torch.rand(side, side, device=device).to(dtype) for _ in range(2))

    def work() -> None:
        (left @ right)[0, 0].item()  # waits for the GPU

    work()
    return 2 * side**3 / min(timing.seconds(work) for _ in range(PRODUCTS))


def share(name: str, params: Params, dtype: torch.dtype, times: int, goal: str) -> Row:
    """Return the row: GFLOP/s of an iteration of ResNet-101 at 512x256, and of a matrix product in `dtype`.

    The seconds are the median of `times` iterations, after a warm-up. They include the losses and the
    optimisers, whose FLOPs are not counted.
    """
    params = resized(params, LARGE)
    device = acquire_device(params.compute, params.compute.threads)
    cost = cost_estimate.estimate_stage(params, "train_inter")
    trainer = cost_estimate.build_trainer(params, params.train_inter, device)
    source, target = (cost_estimate.noise_batch(1, LARGE, device) for _ in range(2))

    def work() -> None:
        torch.stack(list(trainer.step(TrainBatch(source, target, None)).values())).tolist()

    work()
    seconds = statistics.median(timing.seconds(work) for _ in range(times))
    reached, peak = cost.flop / seconds, matrix_product(device, dtype)
    print(
        f"{name}: {cost.flop / 1e12:.3f} TFLOP in {seconds:.2f} s; {dtype} reaches {peak / 1e9:.1f} GFLOP/s"
    )
    return Row(name, reached / 1e9, peak / 1e9, reached / peak, "GF/s", goal)
