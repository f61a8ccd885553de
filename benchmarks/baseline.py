"""The textbook baseline: what the published code does, in our own words and with nothing clever.

float32 in torch's default layout, one image at a time; a PNG is decoded and resized by Pillow at every
access; logits become a numpy array before the argmax; the confusion matrix is numpy's bincount. Its
network is in baseline_network.py, its training iteration in baseline_training.py.

A ratio is worth as much as its baseline, so each row prints the baseline's seconds beside those of
EXPECTED. More than 25 % off on that machine, the baseline is not what it is meant to be; on another
machine all are off by much the same factor.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

Size = tuple[int, int]  # width, height

# Seconds on an AMD EPYC with two cores, one thread of torch's, nothing else running.
EXPECTED = {
    "an AdvEnt iteration of R101 at 256x128": 4.3,
    "an AdvEnt iteration of R101 at 512x256": 17.9,
    "ranking an image at 1024x512": 12.2,
    "the forward pass of ranking it": 11.8,
    "evaluating an image outside of its forward pass": 0.8,
    "reading a GTA5 image": 0.108,
    "reading a Cityscapes image": 0.089,
}
MEAN_BGR = np.array((104.00698793, 116.66876762, 122.67891434), np.float32)
TINY = 1e-30


def tell(what: str, seconds: float) -> None:
    """Print what the baseline took beside EXPECTED[what]."""
    print(f"baseline: {what} takes {seconds:.3f} s (expected {EXPECTED[what]} s)", flush=True)


def read_image(path: Path, size: Size) -> Tensor:
    """(3, height, width) float32: blue green red minus their means."""
    image = Image.open(path).convert("RGB").resize(size, Image.Resampling.BICUBIC)
    pixels = np.asarray(image, np.float32)[:, :, ::-1] - MEAN_BGR
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())


def read_label(path: Path, size: Size, table: NDArray[np.int64]) -> NDArray[np.int64]:
    """(height, width): class indices. table (256,): id -> class, 255 for none."""
    label = Image.open(path).resize(size, Image.Resampling.NEAREST)
    return table[np.asarray(label).astype(np.int64)]


def enlarged(logits: Tensor, size: Size) -> Tensor:
    """(N, C, h, w) -> (N, C, height, width), bilinear with aligned corners."""
    return functional.interpolate(logits, (size[1], size[0]), mode="bilinear", align_corners=True)


def information(logits: Tensor) -> Tensor:
    """Weighted self-information of each class at each pixel: the shape of `logits`."""
    probability = functional.softmax(logits, dim=1)
    return -probability * torch.log2(probability + TINY) / math.log2(logits.shape[1])


def predicted(logits: Tensor) -> NDArray[Any]:
    """(1, C, H, W) -> (H, W): the classes of the largest logits, found in a view whose last axis they are."""
    found: NDArray[Any] = logits.cpu().numpy()[0].transpose(1, 2, 0).argmax(axis=2)
    return found


@torch.no_grad()
def rank_image(network: nn.Module, path: Path, size: Size, palette: list[int], folder: Path) -> float:
    """Mean information of one image; its prediction goes to two PNGs, one grey and one with colours."""
    logits = enlarged(network(read_image(path, size)[None])[1], size)
    prediction = Image.fromarray(predicted(logits).astype(np.uint8))
    prediction.save(folder / path.name)
    coloured = prediction.convert("P")
    coloured.putpalette(palette)
    coloured.save(folder / f"{path.stem}_color.png")
    return float(information(logits).mean().item())


@torch.no_grad()
def evaluate_image(
    network: nn.Module,
    image: Path,
    label: Path,
    size: Size,
    out: Size,
    table: NDArray[np.int64],
    classes: int,
) -> NDArray[np.int64]:
    """(C, C): the confusion matrix of one image, predicted at `size` and compared at the size `out`."""
    prediction = predicted(enlarged(network(read_image(image, size)[None])[1], out)).ravel()
    truth = read_label(label, out, table).ravel()
    known = (truth >= 0) & (truth < classes)
    pairs = classes * truth[known].astype(int) + prediction[known]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
