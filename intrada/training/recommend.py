"""Recommended sizes, iterations and learning rates of the trainings, for the images and the device at hand.

Memory is estimated as in cost_estimate.py, and time is measured as in step_timing.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psutil
import torch

from intrada.core.config.schema import Params
from intrada.core.config.training_blocks import Training
from intrada.training import cost_estimate, step_timing

Size = tuple[int, int]
SHARES = (1.0, 3 / 4, 1 / 2, 3 / 8, 1 / 4, 3 / 16, 1 / 8)  # of the sides of the images
MULTIPLE, SMALLEST = 8, 32  # of the sides: all networks divide by 8; the discriminators need 32 pixels
PROBE = 256 * 128  # pixels of the images that are measured
MINUTES = {"cpu": 60, "cuda": 720}  # that the three trainings together may take
BATCH = 4  # images, as in the presets of the toy city and CamVid
# Passes over the source images (twice) and over the easy images: those of presets/toycity.yaml
PASSES = {"train_source": 8, "train_inter": 4, "train_intra": 5}
FEWEST, MOST = 150, 100_000  # iterations: those of presets/camvid_day_to_dusk.yaml, and twice the paper's


@dataclass(frozen=True)
class Advice:
    """A recommended value. keys: dotted key of params.yaml -> value; title, shown: of the value, in words."""

    keys: dict[str, Any]
    title: str
    shown: str
    reason: str


def recommend(
    params: Params,
    images: Mapping[str, int],
    sizes: Mapping[str, Size],
    device: torch.device,
    minutes: int | None = None,
) -> list[Advice]:
    """Return the advice for the trainings of `params`, whose network and optimizers stay.

    images: number of images of `source` and `target`; sizes: the usual (width, height) of those of `source`,
    `target` and `val`; minutes: that the three trainings together may take, by default those of MINUTES. It
    measures for some seconds. UserError if the network cannot be built.
    """
    batch = _batch(params, images)
    iterations = _iterations(params, images, batch)
    probe = _with(params, sizes, batch)
    chosen = _size(probe, sizes, iterations, device, minutes or MINUTES[device.type])
    return [chosen, _batch_advice(batch), *_training_advice(params, images, iterations, batch)]


def _batch(params: Params, images: Mapping[str, int]) -> int:
    """Return the number of images of a batch: BATCH a device, or as many as there are."""
    devices = params.compute.devices
    most = max(devices, min([BATCH * devices, *images.values()]))
    return most - most % devices


def _batch_advice(batch: int) -> Advice:
    names = [*PASSES]
    keys: dict[str, Any] = {f"{name}.batch_size": batch for name in names}
    keys |= {f"{name}.gradient_accumulation_steps": 1 for name in names}
    reason = (
        f"{BATCH} images a device, as in the presets for the toy city and CamVid; fewer if there are fewer"
    )
    return Advice(keys, "batch_size", str(batch), reason)


def _iterations(params: Params, images: Mapping[str, int], batch: int) -> dict[str, int]:
    easy = max(1, round(images["target"] * params.rank.easy_fraction))
    counts = {"train_source": images["source"], "train_inter": images["source"], "train_intra": easy}
    return {
        name: min(MOST, max(FEWEST, math.ceil(PASSES[name] * count / batch / 10) * 10))
        for name, count in counts.items()
    }


def _training_advice(
    params: Params, images: Mapping[str, int], iterations: Mapping[str, int], batch: int
) -> list[Advice]:
    advice = []
    easy = f"{params.rank.easy_fraction:.0%} of {images['target']} target images"
    over = {"train_source": f"{images['source']} source images", "train_intra": easy}
    over["train_inter"] = over["train_source"]
    for name, number in iterations.items():
        reason = f"{PASSES[name]} passes over {over[name]}, as in presets/toycity.yaml"
        if number in (FEWEST, MOST):
            reason += f", but {'at least' if number == FEWEST else 'at most'} {number}"
        keys = {
            f"{name}.iterations": number,
            f"{name}.max_iters": number,
            f"{name}.snapshot_every": number // 2,
        }
        advice.append(Advice(keys, f"{name}.iterations", str(number), reason))
    for name in iterations:
        block: Training = getattr(params, name)
        rate, reason = _learning_rate(block, batch)
        key = f"{name}.optimizer.lr"
        advice.append(Advice({key: rate}, key, f"{rate:.2g}", reason))
    return advice


def _learning_rate(block: Training, batch: int) -> tuple[float, str]:
    """Return the rate for another batch size: as that with SGD (Goyal et al. 2017), else as its root."""
    old, lr, name = block.batch_size, block.optimizer.lr, block.optimizer.name
    if old == batch:
        return lr, f"that of params.yaml, as the batch has {batch} images there too"
    factor, how = (batch / old, "batch") if name == "sgd" else (math.sqrt(batch / old), "root of the batch")
    return float(
        f"{lr * factor:.3g}"
    ), f"{lr:.2g} of params.yaml for batches of {old}; {name}: grows with the {how}"


def _size(
    probe: Params,
    sizes: Mapping[str, Size],
    iterations: Mapping[str, int],
    device: torch.device,
    minutes: int,
) -> Advice:
    """Return the largest size whose trainings fit in half of the free memory and in `minutes`.

    probe: the params with small images, whose trainings are measured.
    """
    free = _free(device)
    costs = [cost_estimate.estimate_stage(probe, name) for name in iterations]
    times = step_timing.measure_all(probe, costs, device, step_timing.is_busy(device), step_timing.QUICK)
    seconds = sum(time.step * iterations[cost.stage] for time, cost in zip(times, costs, strict=True))
    pixels = math.prod(probe.preprocess.target.size)
    reasons = []
    for share in SHARES:
        scaled = {name: _scaled(size, sizes["target"], share) for name, size in sizes.items()}
        width, height = scaled["target"]
        growth = width * height / pixels
        need = max(cost.weights + cost.activations * growth for cost in costs) / 2**30
        fits = need <= free / 2 and seconds * growth <= minutes * 60
        if fits or share == SHARES[-1]:
            break
        limit = f"{need:.1f} GiB" if need > free / 2 else step_timing.words(seconds * growth)
        reasons.append(f"{width}x{height} needs {limit}")
    larger = f"; {reasons[-1]}" if reasons else "; that of the images"
    reason = (
        f"trainings of about {step_timing.words(seconds * growth)} (limit {minutes} min), {need:.2f} of"
        f" {free:.1f} GiB ({device.type})"
    )
    keys = {f"preprocess.{name}.size": list(size) for name, size in scaled.items()}
    return Advice(keys, "size", f"{width}x{height}", reason + larger)


def _with(params: Params, sizes: Mapping[str, Size], batch: int) -> Params:
    """Return the params with small images of these shapes, and these batches, to measure them."""
    share = math.sqrt(PROBE / math.prod(sizes["target"]))
    domains = {
        name: getattr(params.preprocess, name).model_copy(
            update={"size": list(_scaled(size, sizes["target"], share))}
        )
        for name, size in sizes.items()
    }
    batches = {"batch_size": batch, "gradient_accumulation_steps": 1}
    changes = {name: getattr(params, name).model_copy(update=batches) for name in PASSES}
    preprocess = params.preprocess.model_copy(update=domains)
    return params.model_copy(update=changes | {"preprocess": preprocess})


def _scaled(size: Size, target: Size, share: float) -> Size:
    """Return `size` with as many pixels as `share` of the sides of `target`; never more than it has."""
    factor = min(1.0, share * math.sqrt(target[0] * target[1] / (size[0] * size[1])))
    width, height = (max(SMALLEST, round(side * factor / MULTIPLE) * MULTIPLE) for side in size)
    return width, height


def _free(device: torch.device) -> float:
    """Return the free memory of the device in GiB."""
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
    return float(free) / 2**30
