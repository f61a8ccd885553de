"""A small residual network, which can be trained on the toy city from scratch on one CPU core."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from intrada.models.base import Normalisation, SegmentationModel, SummedConvolutions

STEM = 16
# (channels, stride, dilation) of the four residual blocks; the stem has stride 2, so the output stride is 4
BLOCKS = ((24, 1, 1), (40, 2, 1), (56, 1, 2), (72, 1, 4))
DILATIONS = (1, 2, 4, 6)


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut: (N, inputs, h, w) -> (N, channels, h / stride, w / stride)."""

    def __init__(self, inputs: int, channels: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, channels, 3, stride, dilation, dilation, bias=False)
        self.first_norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, 1, dilation, dilation, bias=False)
        self.second_norm = nn.BatchNorm2d(channels)
        self.shortcut = nn.Conv2d(inputs, channels, 1, stride, bias=False)
        self.shortcut_norm = nn.BatchNorm2d(channels)

    def forward(self, features: Tensor) -> Tensor:
        inner = F.relu(self.first_norm(self.first(features)))
        inner = self.second_norm(self.second(inner))
        return F.relu(inner + self.shortcut_norm(self.shortcut(features)))


class Small(SegmentationModel):
    """A stem, four residual blocks and two classifiers: 0.22 million parameters for 11 classes.

    Output stride 4. Unlike in DeepLab-v2, the affine parameters of batch normalisation are trained, because
    there are no pretrained weights.
    """

    normalisation = Normalisation("bgr", mean=(127.5,) * 3, std=(127.5,) * 3)

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, STEM, 3, 2, 1, bias=False), nn.BatchNorm2d(STEM), nn.ReLU(inplace=True)
        )
        inputs = (STEM, *(channels for channels, _, _ in BLOCKS))
        self.blocks = nn.ModuleList(
            Block(before, *block) for before, block in zip(inputs[:-1], BLOCKS, strict=True)
        )
        self.aux = SummedConvolutions(BLOCKS[-2][0], num_classes, DILATIONS)
        self.main = SummedConvolutions(BLOCKS[-1][0], num_classes, DILATIONS)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        inner = self._inner(images)
        return {"main": self.main(self.blocks[-1](inner)), "aux": self.aux(inner)}

    def main_logits(self, images: Tensor) -> Tensor:
        """Return the logits of "main" without computing the head `aux`."""
        logits: Tensor = self.main(self.blocks[-1](self._inner(images)))
        return logits

    def _inner(self, images: Tensor) -> Tensor:
        features: Tensor = self.stem(images)
        for block in self.blocks[:-1]:
            features = block(features)
        return features

    def recomputable(self) -> list[nn.Module]:
        """Return the residual blocks."""
        return list(self.blocks)

    def last_stage(self) -> nn.Module:
        """Return the last residual block, the input of `main`."""
        return self.blocks[-1]

    def normalise(self, images: Tensor) -> Tensor:
        """Scale 0..255 to -1..1."""
        return images.float() / 127.5 - 1.0


def build(num_classes: int) -> Small:
    """Return the network with random weights from torch's global generator. It has no options."""
    return Small(num_classes)
