"""Classifier heads by name, for encoders with feature maps of several resolutions.

A head takes the list of feature maps (N, channels, h, w), finest first, and returns logits (N, C, h, w).
aspp_sum: DeepLab-v2's sum of dilated convolutions on the last map (SummedConvolutions).
mlp: SegFormer's (Xie et al., NeurIPS 2021, section 3.2), on all maps.
aspp: DeepLab-v3+'s (Chen et al., ECCV 2018), on the last map and the first.
linear: a 1x1 convolution of the last map, as DINOv2 is evaluated (Oquab et al., TMLR 2024, section 7.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from intrada.core.errors import UserError
from intrada.models.base import SummedConvolutions

# Dilations of the published heads, and the output stride for which they were chosen. At another stride they
# are scaled, so that they reach as many pixels of the image.
SUM_DILATIONS, SUM_STRIDE = (6, 12, 18, 24), 8
ASPP_DILATIONS, ASPP_STRIDE = (6, 12, 18), 16
LOW_LEVEL_WIDTH = 48  # channels of DeepLab-v3+'s first map, so that it does not outweigh the last one
DROPOUT = 0.1  # of SegFormer's and DeepLab-v3+'s published code


class Maps(NamedTuple):
    """The feature maps of an encoder: the channels and the stride (in pixels) of each, finest first."""

    channels: tuple[int, ...]
    strides: tuple[int, ...]


class LastMap(nn.Module):
    """A classifier of the last map."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        logits: Tensor = self.classifier(maps[-1])
        return logits


class MLPHead(nn.Module):
    """Each map is projected to `width` channels and resized to the first; their joint maps are classified."""

    def __init__(self, maps: Maps, width: int, num_classes: int) -> None:
        super().__init__()
        self.projections = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in maps.channels)
        self.fuse = _conv_norm(width * len(maps.channels), width, 1)
        self.dropout = nn.Dropout2d(DROPOUT)
        self.classifier = nn.Conv2d(width, num_classes, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        size = maps[0].shape[2:]
        projected = [layer(values) for layer, values in zip(self.projections, maps, strict=True)]
        joined = torch.cat([projected[0], *(_resized(values, size) for values in projected[1:])], 1)
        logits: Tensor = self.classifier(self.dropout(self.fuse(joined)))
        return logits


class ASPPHead(nn.Module):
    """Dilated convolutions and the mean of the last map, joined with the first map, classified.

    The branch of the mean has no batch normalisation, which has no variance for a batch of one image.
    """

    def __init__(self, maps: Maps, width: int, num_classes: int) -> None:
        super().__init__()
        channels = maps.channels[-1]
        dilations = _scaled(ASPP_DILATIONS, ASPP_STRIDE, maps.strides[-1])
        self.branches = nn.ModuleList(
            [_conv_norm(channels, width, 1), *(_conv_norm(channels, width, 3, step) for step in dilations)]
        )
        self.mean = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, width, 1), nn.ReLU())
        self.project = _conv_norm(width * (len(self.branches) + 1), width, 1)
        self.low_level = _conv_norm(maps.channels[0], LOW_LEVEL_WIDTH, 1)
        self.refine = nn.Sequential(
            _conv_norm(width + LOW_LEVEL_WIDTH, width, 3), _conv_norm(width, width, 3), nn.Dropout(DROPOUT)
        )
        self.classifier = nn.Conv2d(width, num_classes, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        last = maps[-1]
        mean = self.mean(last).expand(-1, -1, last.shape[2], last.shape[3])
        context = self.project(torch.cat([*(branch(last) for branch in self.branches), mean], 1))
        joined = torch.cat([_resized(context, maps[0].shape[2:]), self.low_level(maps[0])], 1)
        logits: Tensor = self.classifier(self.refine(joined))
        return logits


HEADS = ("aspp_sum", "mlp", "aspp", "linear")


def build_head(name: str, maps: Maps, width: int, num_classes: int) -> nn.Module:
    """Return the head called `name`; UserError if there is none. width: inner channels of `mlp`, `aspp`."""
    if name == "mlp":
        return MLPHead(maps, width, num_classes)
    if name == "aspp":
        return ASPPHead(maps, width, num_classes)
    if name in ("aspp_sum", "linear"):
        return LastMap(_classifier(name, maps, -1, num_classes))
    raise UserError("model.options.head", repr(name), ", ".join(HEADS), "choose one of these")


def build_aux(name: str, maps: Maps, num_classes: int) -> nn.Module:
    """Return the classifier of the map before the last, for the head called `name`.

    With `aspp_sum` it is of the same kind, as in AdaptSegNet and AdvEnt; with the others a 1x1 convolution.
    It takes that map alone. Raises UserError if there is only one map.
    """
    if len(maps.channels) < 2:
        raise UserError(
            "model.options.out_indices",
            "one feature map; the head `aux` is on the map before the last",
            "at least two indices",
            "add the index of an earlier stage",
        )
    return _classifier(name, maps, -2, num_classes)


def _classifier(name: str, maps: Maps, index: int, num_classes: int) -> nn.Module:
    channels, stride = maps.channels[index], maps.strides[index]
    if name == "aspp_sum":
        return SummedConvolutions(channels, num_classes, _scaled(SUM_DILATIONS, SUM_STRIDE, stride))
    return nn.Conv2d(channels, num_classes, 1)


def _scaled(dilations: Sequence[int], published: int, stride: int) -> tuple[int, ...]:
    """Return the dilations for `stride` that reach as far in the image as `dilations` at `published`."""
    return tuple(max(1, dilation * published // stride) for dilation in dilations)


def _conv_norm(inputs: int, outputs: int, kernel: int, dilation: int = 1) -> nn.Sequential:
    padding = dilation * (kernel // 2)
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


def _resized(values: Tensor, size: torch.Size) -> Tensor:
    """Resize maps (N, channels, h, w) to size = (H, W), bilinear."""
    return F.interpolate(values, size=size, mode="bilinear", align_corners=False)
