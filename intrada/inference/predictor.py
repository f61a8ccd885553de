"""Prediction with a trained model, or with a weighted ensemble of several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from intrada.core.config.classes import ClassSet
from intrada.core.config.schema import Params
from intrada.core.config.window_block import Window
from intrada.core.distributed.device import autocast, uses_bf16
from intrada.core.errors import UserError
from intrada.data.batch import Batch
from intrada.inference import postprocess, windows
from intrada.inference.postprocess import Tile
from intrada.models import fuse_bn, model_info
from intrada.models.base import SegmentationModel
from intrada.models.model_info import ModelSpec

PROBABILITIES, LOGITS = "probabilities", "logits"


@dataclass(frozen=True)
class Predictor:
    """An ensemble of one or more segmentation networks in evaluation mode.

    weights: one for each member, with sum 1; combine: the averaged quantity, PROBABILITIES or LOGITS (as the
    published code does). The logits of a single member are returned unchanged. bf16: run the convolutions in
    bfloat16; everything after them is float32. flip: whether `with_flip` made it. window: the members get
    parts of the images; None: whole images.
    """

    members: Sequence[SegmentationModel]
    weights: Sequence[float] = (1.0,)
    combine: str = PROBABILITIES
    bf16: bool = False
    flip: bool = False
    window: Window | None = None

    def with_flip(self) -> Predictor:
        """Return the average of the probabilities for an image and for its mirror image (left to right).

        Each member predicts both, so a prediction takes twice the time.
        """
        members = [seen for member in self.members for seen in (member, Mirrored(member))]
        weights = [weight / 2 for weight in self.weights for _ in range(2)]
        return replace(self, members=members, weights=weights, combine=PROBABILITIES, flip=True)

    def low_res_logits(self, batch: Batch) -> list[Tensor]:
        """Return each member's logits of the main head, (N, C, h, w), at the network's output resolution.

        Those of several windows have the resolution of the images.
        """
        return [self._logits(member, batch.image) for member in self.members]

    def _logits(self, member: SegmentationModel, images: Tensor) -> Tensor:
        def predict(part: Tensor) -> Tensor:
            with autocast(part.device, self.bf16):
                return member.main_logits(member.normalise(part))

        return windows.logits(predict, images, self.window) if self.window else predict(images)

    def upsampled_tiles(
        self, low_res_logits: Sequence[Tensor], image: int, size: tuple[int, int]
    ) -> Iterator[Tile]:
        """Yield the logits of the ensemble as tiles, for image number `image` of the batch, at `size` (H, W).

        The members' logits are upsampled bilinearly, then averaged. Averaged probabilities are returned as
        their logarithm, so that their softmax is the average.
        """
        single = [postprocess.upsampled_tiles(logits[image : image + 1], size) for logits in low_res_logits]
        return single[0] if len(single) == 1 else map(self._averaged, zip(*single, strict=True))

    def _averaged(self, upsampled_tiles: Sequence[Tile]) -> Tile:
        values = [tile.logits for tile in upsampled_tiles]
        if self.combine == PROBABILITIES:
            values = [logits.softmax(0) for logits in values]
        total = torch.stack([weight * v for weight, v in zip(self.weights, values, strict=True)]).sum(0)
        if self.combine == PROBABILITIES:
            total = total.clamp(min=torch.finfo(total.dtype).tiny).log()
        return Tile(upsampled_tiles[0].window, total)


class Mirrored(SegmentationModel):
    """A network that gets the mirror image; its logits are mirrored back."""

    def __init__(self, segmenter: SegmentationModel) -> None:
        super().__init__()
        self.segmenter = segmenter

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {name: logits.flip(3) for name, logits in self.segmenter(images.flip(3)).items()}

    def main_logits(self, images: Tensor) -> Tensor:
        """Return what the network predicts for the mirror images, mirrored back."""
        return self.segmenter.main_logits(images.flip(3)).flip(3)

    def normalise(self, images: Tensor) -> Tensor:
        return self.segmenter.normalise(images)


def for_inference(segmenter: SegmentationModel, device: torch.device) -> SegmentationModel:
    """Return the network for inference: on `device`, in evaluation mode, conv-BN fused, channels_last.

    docs/decisions/0007 gives the gain in speed and the difference in rounding.
    """
    fused = fuse_bn.fuse_conv_bn(segmenter.to(device).eval())
    return fused.to(memory_format=torch.channels_last)


def load_member(path: Path, spec: ModelSpec, device: torch.device) -> SegmentationModel:
    """Return the network of `spec` with the weights at `path` (ours or published), ready for inference.

    UserError for a file of another network or other classes.
    """
    segmenter = spec.build()
    model_info.load(path, spec, segmenter)
    return for_inference(segmenter, device)


def load_for_inference(
    params: Params,
    classes: ClassSet,
    paths: Sequence[Path],
    device: torch.device,
    ensemble_weights: Sequence[float] = (),
    combine: str = PROBABILITIES,
    window: Window | None = None,
) -> Predictor:
    """Load the network of `params.model` once for each file of `paths` (ours or published), on `device`.

    `params.compute` sets the precision. ensemble_weights: one for each path, scaled to sum 1; default: equal.
    window: see Predictor.
    UserError if their number differs, one is not positive, or a file does not fit.
    """
    chosen = list(ensemble_weights) or [1.0] * len(paths)
    if len(chosen) != len(paths) or min(chosen) <= 0:
        found = f"weights {chosen} for {len(paths)} models"
        raise UserError("weights of the ensemble", found, "a positive number for each model", "fix --weights")
    spec = ModelSpec(params.model.name, params.model.options, classes)
    members = [load_member(path, spec, device) for path in paths]
    bf16 = uses_bf16(params.compute, device)
    return Predictor(members, [weight / sum(chosen) for weight in chosen], combine, bf16, window=window)
