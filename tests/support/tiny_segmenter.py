"""A network of five small layers for tests; this module can be used as a model module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from intrada.models.base import Normalisation, SegmentationModel


class TinySegmenter(SegmentationModel):
    """Convolution, batch normalisation, dropout, two 1x1 heads; output stride 4."""

    normalisation = Normalisation("bgr", mean=(0.0,) * 3, std=(255.0,) * 3)

    def __init__(self, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 4, 3, 4, 1)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(dropout)
        self.aux = nn.Conv2d(4, num_classes, 1)
        self.main = nn.Conv2d(4, num_classes, 1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.drop(torch.relu(self.norm(self.body(images))))
        return {"main": self.main(features), "aux": self.aux(features)}

    def last_stage(self) -> nn.Module:
        return self.drop

    def normalise(self, images: Tensor) -> Tensor:
        return images.float() / 255


def build(num_classes: int, dropout: float = 0.0) -> TinySegmenter:
    """Build the network, as the model modules of intrada/models do."""
    return TinySegmenter(num_classes, dropout)
