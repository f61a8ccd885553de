"""A network of few weights, with the heads of DeepLab-v2."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from intrada.models import deeplabv2
from intrada.models.base import SegmentationModel

State = dict[str, Tensor]


class Tiny(SegmentationModel):
    """A few layers with the names of DeepLab-v2's."""

    head_names = deeplabv2.DeepLabV2.head_names

    def __init__(self, classes: int, heads: str) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 1, bias=False), nn.BatchNorm2d(64)
        self.layer5, self.layer6 = (deeplabv2.HEADS[heads](64, classes) for _ in range(2))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.bn1(self.conv1(images))
        return {"main": self.layer6(features), "aux": self.layer5(features)}

    def normalise(self, images: Tensor) -> Tensor:
        return images.float()


def build(seed: int, classes: int = 3, heads: str = "four") -> SegmentationModel:
    torch.manual_seed(seed)
    return Tiny(classes, heads)


def assert_equal(actual: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    assert list(actual) == list(expected)
    for name, value in expected.items():
        assert actual[name].dtype == value.dtype and torch.equal(actual[name], value), name


@pytest.fixture(scope="module")
def model() -> SegmentationModel:
    return build(1)


@pytest.fixture
def state(model: SegmentationModel) -> State:
    return {name: value.clone() for name, value in model.state_dict().items()}
