"""The command predict on pictures and films that a test draws."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from intrada.__main__ import main
from intrada.core import files
from intrada.data import resize
from intrada.data.batch import Batch
from intrada.models.base import upsample
from tests.support import trained_model
from tests.support.trained_model import MODEL, SIZE

CPU = torch.device("cpu")
OUT = Path("out")


def picture(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Return an image of smooth coloured areas, (H, W, 3) uint8 BGR."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), np.uint8)
    return resize.resize_image(coarse, size)


def put(path: str, seed: int = 0, size: tuple[int, int] = SIZE) -> np.ndarray:
    image = picture(seed, size)
    files.write_image(Path(path), image)
    return image


def film(path: str, frames: int = 5, rate: float = 10.0, size: tuple[int, int] = SIZE) -> list[np.ndarray]:
    """Write a video and return its frames as they are decoded."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"MJPG"), rate, size)
    for number in range(frames):
        writer.write(picture(number, size))
    writer.release()
    capture = cv2.VideoCapture(path)
    return [capture.read()[1] for _ in range(frames)]


def predict(*words: str) -> int:
    return main(["predict", str(MODEL), *words, "--out", str(OUT)])


def label(name: str) -> np.ndarray:
    return files.read_label(OUT / "prediction" / f"{name}.png")


def written(kind: str) -> set[str]:
    return {path.relative_to(OUT / kind).with_suffix("").as_posix() for path in files.list_files(OUT / kind)}


def logits(image: np.ndarray, size: tuple[int, int] = SIZE) -> torch.Tensor:
    """Return the model's logits for an image resized to `size`, upsampled to the size of the image."""
    resized = resize.resize_image(image, size)
    pixels = torch.from_numpy(resized.transpose(2, 0, 1).copy())[None]
    predictor = trained_model.predictor()
    with torch.inference_mode():
        low_res_logits = predictor.low_res_logits(Batch(["a"], pixels, torch.empty(0)))
        return upsample(low_res_logits[0], (image.shape[0], image.shape[1]))


@pytest.fixture
def model(checkout: Path) -> Path:
    """A working directory with params.yaml and a model."""
    trained_model.write()
    return checkout


def written_bytes() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in files.list_files(OUT)}


@pytest.fixture
def photographs(checkout: Path) -> Path:
    """A working directory with a model and three photographs of several sizes."""
    trained_model.write()
    for number, name in enumerate(["a.jpg", "night/b.PNG", "night/c.png"]):
        path = Path("photos", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(number, (SIZE[0] + number, SIZE[1]))).save(path)
    return checkout


def unpacked(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
