"""Learning rate of each iteration: warm-up and decay (params: schedule).

Without a schedule, poly decay as in AdvEnt. Warm-up as in DAFormer (Hoyer et al., CVPR 2022): 1,500
iterations from a ratio of 1e-6, then poly with power 1.
"""

from __future__ import annotations

import math

from intrada.core.config.optimizer_blocks import Schedule


def poly(base: float, iteration: int, max_iters: int, power: float) -> float:
    """Return the learning rate `base * (1 - iteration / max_iters) ** power` of iteration 0..max_iters."""
    return float(base * (1 - iteration / max_iters) ** power)


def cosine(base: float, iteration: int, max_iters: int) -> float:
    """Return `base` times half a cosine, from 1 to 0 (Loshchilov and Hutter, SGDR, ICLR 2017, one cycle)."""
    return base * (1 + math.cos(math.pi * iteration / max_iters)) / 2


def learning_rate(
    base: float, iteration: int, max_iters: int, power: float, schedule: Schedule | None
) -> float:
    """Return the learning rate of an iteration, 0 at `max_iters`. power: of the poly decay.

    In the first `warmup` iterations the decaying rate is multiplied by a factor that rises linearly from
    `warmup_ratio` to 1.
    """
    if schedule is None:
        return poly(base, iteration, max_iters, power)
    if schedule.decay == "poly":
        rate = poly(base, iteration, max_iters, power)
    else:
        rate = cosine(base, iteration, max_iters)
    done = min(1.0, iteration / schedule.warmup)
    return rate * (schedule.warmup_ratio + (1 - schedule.warmup_ratio) * done)
