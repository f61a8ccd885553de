"""DeepLab-v2 with two classifier heads on a dilated ResNet, the network of the paper.

Source: DeepLab (TPAMI 2017), as used by AdaptSegNet, AdvEnt and IntraDA. The state dict has the names and
shapes of their checkpoints: layer5 is the head `aux`, layer6 the head `main`.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torchvision.models import resnet

from intrada.core.errors import UserError
from intrada.models.base import Normalisation, SegmentationModel, SummedConvolutions

BACKBONES = {"resnet18": resnet.resnet18, "resnet50": resnet.resnet50, "resnet101": resnet.resnet101}
# Mean of blue, green and red, in 0..255: Caffe's, with which the released ImageNet weights were trained.
MEAN_BGR = (104.00698793, 116.66876762, 122.67891434)
DILATIONS = (6, 12, 18, 24)


class FirstTwoHead(SummedConvolutions):
    """A head with four convolutions that uses the first two.

    AdaptSegNet's code returns inside its loop, so its checkpoints hold four convolutions, of which two were
    used in training. The other two are kept, without training, so that such a checkpoint can be loaded and
    exported without loss.
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__(channels, num_classes, DILATIONS, zero_biases=False)
        self.conv2d_list[2:].requires_grad_(False)

    def convolutions(self) -> list[nn.Conv2d]:
        """Return the first two convolutions."""
        return super().convolutions()[:2]


class AllFourHead(SummedConvolutions):
    """The head of DeepLab-v2 and of the paper: four convolutions."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__(channels, num_classes, DILATIONS, zero_biases=False)


HEADS = {"four": AllFourHead, "two": FirstTwoHead}


class DeepLabV2(SegmentationModel):
    """DeepLab-v2 with output stride 8.

    The affine parameters of batch normalisation are frozen, its running statistics are updated.
    """

    head_names = ("layer6", "layer5")
    normalisation = Normalisation("bgr", MEAN_BGR, std=(1.0,) * 3)
    mean: Tensor

    def __init__(self, num_classes: int, backbone: str, heads: str) -> None:
        super().__init__()
        trunk, head = BACKBONES[backbone](), HEADS[heads]
        self.conv1, self.bn1, self.relu = trunk.conv1, trunk.bn1, trunk.relu
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1, ceil_mode=True)
        self.layer1, self.layer2 = trunk.layer1, _stride_first(trunk.layer2)
        self.layer3, self.layer4 = _dilate(trunk.layer3, 2), _dilate(trunk.layer4, 4)
        for norm in self.modules():
            if isinstance(norm, nn.BatchNorm2d):
                norm.requires_grad_(False)
        channels = trunk.fc.in_features
        self.layer5 = head(channels // 2, num_classes)
        self.layer6 = head(channels, num_classes)
        self.register_buffer("mean", torch.tensor(MEAN_BGR).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the logits (N, C, h, w) of "main" and "aux"; images (N, 3, H, W), h about H / 8 + 1."""
        inner = self._inner(images)
        return {"main": self.layer6(self.layer4(inner)), "aux": self.layer5(inner)}

    def main_logits(self, images: Tensor) -> Tensor:
        """Return the logits of "main" without computing layer5."""
        logits: Tensor = self.layer6(self.layer4(self._inner(images)))
        return logits

    def _inner(self, images: Tensor) -> Tensor:
        """Return the input of layer5: (N, 1024, h, w) for ResNet-50 and 101, 256 channels for ResNet-18."""
        stem = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        features: Tensor = self.layer3(self.layer2(self.layer1(stem)))
        return features

    def recomputable(self) -> list[nn.Module]:
        """Return the residual blocks."""
        return [block for layer in (self.layer1, self.layer2, self.layer3, self.layer4) for block in layer]

    def last_stage(self) -> nn.Module:
        """Return the last layer of residual blocks, the input of `main`."""
        return self.layer4

    def normalise(self, images: Tensor) -> Tensor:
        """Subtract the mean colour in float32; return the dtype of the network."""
        return (images.float() - self.mean.float()).to(self.mean.dtype)


def _stride_first(layer: nn.Sequential) -> nn.Sequential:
    """Move the stride of bottlenecks to the first 1x1 convolution; in torchvision the 3x3 one has it."""
    for block in layer:
        if isinstance(block, resnet.Bottleneck):
            block.conv1.stride, block.conv2.stride = block.conv2.stride, (1, 1)
    return layer


def _dilate(layer: nn.Sequential, dilation: int) -> nn.Sequential:
    """Set stride 1 and `dilation` in every block. torchvision's own option leaves out the first block."""
    for module in layer.modules():
        if isinstance(module, nn.Conv2d):
            module.stride = (1, 1)
            if module.kernel_size == (3, 3):
                module.dilation = module.padding = (dilation, dilation)
    return layer


def build(
    num_classes: int,
    backbone: Literal["resnet18", "resnet50", "resnet101"] = "resnet101",
    heads: Literal["four", "two"] = "four",
) -> DeepLabV2:
    """Return the network with random weights: torchvision's initialisation, heads from N(0, 0.01).

    backbone: the paper uses resnet101; heads: "two" for AdaptSegNet's checkpoints, see FirstTwoHead.
    Raises UserError for other values.
    """
    for option, value, allowed in (("backbone", backbone, BACKBONES), ("heads", heads, HEADS)):
        if not isinstance(value, str) or value not in allowed:
            raise UserError(f"model.options.{option}", repr(value), ", ".join(allowed), "choose one of these")
    return DeepLabV2(num_classes, backbone, heads)
