"""Time an AdvEnt iteration at the published sizes on a GPU: ours in bfloat16, the baseline in float32."""

from __future__ import annotations

import torch

from benchmarks import Row, bf16, iteration
from benchmarks.rows.advent_iteration_float32 import PRESET
from benchmarks.streets import temporary_folder, write_cityscapes, write_gta5
from intrada.core.config.load import load
from intrada.core.config.schema import Params
from intrada.core.distributed.device import acquire_device
from intrada.core.errors import UserError

WARM_UP, TIMES = 3, 20


def measure() -> Row:
    """Return the seconds per iteration at 1280x720 (source) and 1024x512; UserError without a GPU."""
    if not torch.cuda.is_available():
        fix = "run it on a machine with a GPU and a CUDA build of torch"
        raise UserError("advent_iteration_cuda", "torch sees no CUDA device", "a CUDA device", fix)
    params = bf16.in_bf16(load(PRESET))
    params = params.model_copy(
        update={"compute": params.compute.model_copy(update={"channels_last": True, "device": "cuda"})}
    )
    ours, theirs = seconds(params, WARM_UP, TIMES, bf16.TOLERANCE)
    return Row("advent_iteration_cuda", ours, theirs, theirs / ours, "s", "at least 4 on an H100")


def seconds(params: Params, warm_up: int, times: int, tolerance: float) -> tuple[float, float]:
    """Return the median seconds of `times` iterations after `warm_up`: ours, and the baseline's.

    tolerance: see iteration.medians.
    """
    device = acquire_device(params.compute, params.compute.threads)
    with temporary_folder() as folder:
        write_gta5(folder / "gta5", 1)
        write_cityscapes(folder / "cityscapes", 1, "train")
        iteration.medians(params, device, folder, "first", warm_up, tolerance)
        return iteration.medians(params, device, folder, "timed", times, tolerance)
