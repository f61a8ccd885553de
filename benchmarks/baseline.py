"""The baseline: a plain reimplementation of the published code, without optimisations.

It computes in float32 with torch's default memory layout, one image at a time. Pillow decodes and resizes
a PNG at every access. The logits become a numpy array before the argmax, and numpy's bincount computes the
confusion matrix. The network is in baseline_network.py, the training iteration in baseline_training.py.

A ratio depends on its baseline, so each row prints the seconds of the baseline and those of EXPECTED. On
the machine of EXPECTED, a difference of more than 25 % means that the baseline has changed. On another
machine all differ by about the same factor.
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

# Seconds on an AMD EPYC with two cores, with one torch thread and no other load.
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


def print_seconds(task: str, seconds: float) -> None:
    """Print the seconds of the baseline and EXPECTED[task]."""
    print(f"baseline: {task} takes {seconds:.3f} s (expected {EXPECTED[task]} s)", flush=True)


def read_image(path: Path, size: Size) -> Tensor:
    """Return the image as (3, height, width) float32: blue, green and red minus their means."""
    image = Image.open(path).convert("RGB").resize(size, Image.Resampling.BICUBIC)
    pixels = np.asarray(image, np.float32)[:, :, ::-1] - MEAN_BGR
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())


def read_label(path: Path, size: Size, table: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the class indices (height, width) int64. table: (256,), id -> class index or 255."""
    label = Image.open(path).resize(size, Image.Resampling.NEAREST)
    return table[np.asarray(label).astype(np.int64)]


def upsample(logits: Tensor, size: Size) -> Tensor:
    """Resize (N, C, h, w) to (N, C, height, width), bilinear with aligned corners."""
    return functional.interpolate(logits, (size[1], size[0]), mode="bilinear", align_corners=True)


def information_map(logits: Tensor) -> Tensor:
    """Return the weighted self-information of each class and pixel, in the shape of `logits`."""
    probability = functional.softmax(logits, dim=1)
    return -probability * torch.log2(probability + TINY) / math.log2(logits.shape[1])


def predict_classes(logits: Tensor) -> NDArray[Any]:
    """Return the argmax (H, W) of logits (1, C, H, W), computed with the classes as the last axis."""
    classes: NDArray[Any] = logits.cpu().numpy()[0].transpose(1, 2, 0).argmax(axis=2)
    return classes


@torch.no_grad()
def rank_image(network: nn.Module, path: Path, size: Size, palette: list[int], folder: Path) -> float:
    """Return the mean information of an image; write its prediction as a grey and as a coloured PNG."""
    logits = upsample(network(read_image(path, size)[None])[1], size)
    prediction = Image.fromarray(predict_classes(logits).astype(np.uint8))
    prediction.save(folder / path.name)
    coloured = prediction.convert("P")
    coloured.putpalette(palette)
    coloured.save(folder / f"{path.stem}_color.png")
    return float(information_map(logits).mean().item())


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
    """Return the confusion matrix (C, C) of an image, predicted at `size` and compared at `out`."""
    prediction = predict_classes(upsample(network(read_image(image, size)[None])[1], out)).ravel()
    truth = read_label(label, out, table).ravel()
    labelled = (truth >= 0) & (truth < classes)
    pairs = classes * truth[labelled].astype(int) + prediction[labelled]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
