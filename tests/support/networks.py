"""The registered networks at their smallest, and the packages that each needs."""

from __future__ import annotations

from typing import Any

from intrada.models import build_model
from intrada.models.base import SegmentationModel
from tests.support.optional import needs

SMALL: dict[str, dict[str, Any]] = {
    "deeplabv2": {"backbone": "resnet18"},
    "timm": {"encoder": "convnext_atto", "head": "aspp", "head_channels": 32},
    "segformer": {"size": "b0"},
    "smp": {"architecture": "fpn", "encoder": "mobilenet_v2"},
}
EXTRAS = {
    "efficientnet_lite0": ("timm", "efficientnet"),
    "timm": ("timm", "timm"),
    "segformer": ("transformers", "segformer"),
    "smp": ("segmentation_models_pytorch", "smp"),
}


def options(name: str) -> dict[str, Any]:
    """Return options with which the network is small; skip the test if its package is not installed."""
    if name in EXTRAS:
        needs(*EXTRAS[name])
    return dict(SMALL.get(name, {}))


def build(name: str, classes: int = 3) -> SegmentationModel:
    """Return the network with random weights, or skip the test."""
    return build_model(name, classes, options(name))
