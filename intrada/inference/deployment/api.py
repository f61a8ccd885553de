"""A trained model for use from Python: what `intrada.load` returns."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from intrada.core.config import load as params_file
from intrada.core.errors import UserError
from intrada.inference.deployment.load import open_model
from intrada.inference.deployment.prediction import Frame, Prediction, PredictOptions, predict_one

CHANNEL_ORDERS = ("rgb", "bgr")
TTA = ("flip",)


@dataclass(frozen=True, eq=False)
class Predictor:
    """A trained model, ready to predict images. `intrada.load` makes it.

    classes: the C class names, by class index; colors: (red, green, blue) of each class, 0..255; size:
    (width, height) in pixels of the images of its training.
    """

    classes: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    size: tuple[int, int]
    _options: PredictOptions = field(repr=False)

    def predict(
        self, image: NDArray[np.uint8], channel_order: str = "rgb", tta: str | None = None
    ) -> Prediction:
        """Predict the class of each pixel, as `intrada predict` does.

        image: (H, W, 3) uint8, 0..255, of any size. The network gets it resized to `size`, and its logits are
        resized to H x W. channel_order: "rgb" (Pillow, imageio, matplotlib) or "bgr" (OpenCV). tta: "flip"
        averages the probabilities for the image and for its mirror image, in twice the time.
        Returns label, confidence and entropy of each pixel, each (H, W). UserError for another kind of array.
        """
        _check(image, channel_order, tta)
        bgr = image if channel_order == "bgr" else image[:, :, ::-1]
        # as `intrada predict` sets it for the process: torch's default rounds float32 on CUDA
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            return predict_one(Frame("image", np.ascontiguousarray(bgr)), self._options_of(tta)).prediction

    def _options_of(self, tta: str | None) -> PredictOptions:
        if tta is None:
            return self._options
        return replace(self._options, predictor=self._options.predictor.with_flip())


def load(path: str | PathLike[str], device: str, params: str | PathLike[str] | None) -> Predictor:
    """See intrada.load."""
    chosen = None if params is None else params_file.load(Path(params))
    opened = open_model(Path(path), None if params is None else Path(params), chosen)
    entries, torch_device = opened.spec.classes.classes, _device(device)
    return Predictor(
        tuple(entry.name for entry in entries),
        tuple(entry.color for entry in entries),
        opened.size,
        PredictOptions(opened.load(torch_device), torch_device, opened.size, batch_size=1),
    )


def _device(name: str) -> torch.device:
    allowed = "cpu" + "".join(f", cuda:{index}" for index in range(torch.cuda.device_count()))
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: a torch without CUDA
        fix = "name one of these, or install a torch that has this device"
        raise UserError("device", f"{name!r}: {error}".split("\n", 1)[0], allowed, fix) from None
    return device


def _check(image: Any, channel_order: str, tta: str | None) -> None:
    if tta is not None and tta not in TTA:
        allowed = " or ".join([*map(repr, TTA), "None"])
        raise UserError("tta", repr(tta), allowed, "name an augmentation, or leave it out")
    if channel_order not in CHANNEL_ORDERS:
        raise UserError(
            "channel_order",
            repr(channel_order),
            " or ".join(CHANNEL_ORDERS),
            "name the order of the image's channels",
        )
    is_array = isinstance(image, np.ndarray)
    if not is_array or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        found = f"{image.dtype} of shape {image.shape}" if is_array else f"a {type(image).__name__}"
        raise UserError(
            "image",
            found,
            "a NumPy array of shape (height, width, 3), uint8, 0..255",
            "convert it, such as `np.asarray(Image.open(path).convert('RGB'))`",
        )
