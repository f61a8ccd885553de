"""A segmentation network with an encoder from another package (timm.py, segformer.py, smp.py)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from intrada.models.base import Normalisation, SegmentationModel

# Blocks of timm and torchvision that take and return one tensor, and save much more than their input
RECOMPUTABLE = (
    "BasicBlock", "Bottleneck", "Block", "ConvNeXtBlock", "DepthwiseSeparableConv", "EdgeResidual",
    "InvertedResidual",
)  # fmt: skip


class EncoderSegmenter(SegmentationModel):
    """`encoder`, `main` on all its maps, and `aux` on the map before the last.

    mean, std: of red, green and blue, in 0..1; multiple: the sides of the images are rounded up to a multiple
    of it, by resizing, as encoders of patches need it. 1: any size.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(
        self, encoder: nn.Module, main: nn.Module, aux: nn.Module, mean: Sequence[float],
        std: Sequence[float], multiple: int = 1,
    ) -> None:  # fmt: skip
        super().__init__()
        self.encoder, self.main, self.aux, self.multiple = encoder, main, aux, multiple
        self.last = nn.Identity()
        self.normalisation = Normalisation("rgb", _times_255(mean), _times_255(std))
        for name, values in (("pixel_mean", self.normalisation.mean), ("pixel_std", self.normalisation.std)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    @abstractmethod
    def encoder_maps(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps (N, channels, h, w) of `encoder`, finest first."""

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        maps = self._maps(images)
        return {"main": self.main(maps), "aux": self.aux(maps[-2])}

    def main_logits(self, images: Tensor) -> Tensor:
        """Return the logits of "main" without computing the head `aux`."""
        logits: Tensor = self.main(self._maps(images))
        return logits

    def recomputable(self) -> list[nn.Module]:
        """Return the residual blocks of the usual families; none for other encoders."""
        return [block for block in self.encoder.modules() if type(block).__name__ in RECOMPUTABLE]

    def last_stage(self) -> nn.Module:
        """Return the identity through which the last map of the encoder goes to the head."""
        return self.last

    def normalise(self, images: Tensor) -> Tensor:
        """Convert BGR to RGB, subtract the mean, divide by the standard deviation."""
        return (images.flip(1).float() - self.pixel_mean) / self.pixel_std

    def _maps(self, images: Tensor) -> list[Tensor]:
        if self.multiple > 1:
            height, width = images.shape[2:]
            size = (self._rounded_up(height), self._rounded_up(width))
            images = F.interpolate(images, size=size, mode="bilinear", align_corners=False)
        *maps, last = self.encoder_maps(images)
        return [*maps, self.last(last)]

    def _rounded_up(self, side: int) -> int:
        return (side + self.multiple - 1) // self.multiple * self.multiple


def _times_255(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = (round(255 * value, 6) for value in values)
    return red, green, blue
