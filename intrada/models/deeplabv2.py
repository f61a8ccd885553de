"""DeepLab-v2 with two classifier heads on a dilated ResNet, the network of the paper.

Source: DeepLab (TPAMI 2017) as used by AdaptSegNet, AdvEnt and IntraDA. Names and shapes of the state
dict are those of their checkpoints: layer5 is the aux head, layer6 the main one.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torchvision.models import resnet

from intrada.core.errors import UserError
from intrada.models.base import Normalisation, SegmentationModel, SummedConvolutions

BACKBONES = {"resnet18": resnet.resnet18, "resnet50": resnet.resnet50, "resnet101": resnet.resnet101}
# Blue, green, red, of 255; what the released ImageNet weights were trained with (Caffe's means).
MEAN_BGR = (104.00698793, 116.66876762, 122.67891434)
DILATIONS = (6, 12, 18, 24)


class FirstTwo(SummedConvolutions):
    """A head that owns four convolutions and adds the first two.

    AdaptSegNet's code returns inside its loop, so its checkpoints hold four and were trained with two.
    The other two are kept, untrained, so that such a checkpoint loads and is written back whole.
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__(channels, num_classes, DILATIONS, zero_biases=False)
        self.conv2d_list[2:].requires_grad_(False)

    def summands(self) -> list[nn.Conv2d]:
        """The first two."""
        return super().summands()[:2]


class AllFour(SummedConvolutions):
    """The head of DeepLab-v2 and of the paper."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__(channels, num_classes, DILATIONS, zero_biases=False)


HEADS = {"four": AllFour, "two": FirstTwo}


class DeepLabV2(SegmentationModel):
    """Output stride 8; the affine parameters of batch normalisation are frozen, its statistics are not."""

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
        """(N, 3, H, W) -> {"main", "aux"}: (N, C, h, w), with h about H / 8 + 1 and w alike."""
        inner = self._inner(images)
        return {"main": self.layer6(self.layer4(inner)), "aux": self.layer5(inner)}

    def main_logits(self, images: Tensor) -> Tensor:
        """As in SegmentationModel, without layer5."""
        logits: Tensor = self.layer6(self.layer4(self._inner(images)))
        return logits

    def _inner(self, images: Tensor) -> Tensor:
        """What layer5 looks at: (N, 1024, h, w), of smaller backbones fewer channels."""
        stem = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        features: Tensor = self.layer3(self.layer2(self.layer1(stem)))
        return features

    def recomputable(self) -> list[nn.Module]:
        """The residual blocks."""
        return [block for layer in (self.layer1, self.layer2, self.layer3, self.layer4) for block in layer]

    def normalise(self, images: Tensor) -> Tensor:
        """Subtracts the mean colour in float32; the result has the dtype of the network."""
        return (images.float() - self.mean.float()).to(self.mean.dtype)


def _stride_first(layer: nn.Sequential) -> nn.Sequential:
    """Move the stride of bottlenecks to the first 1x1 convolution; torchvision has it at the 3x3 one."""
    for block in layer:
        if isinstance(block, resnet.Bottleneck):
            block.conv1.stride, block.conv2.stride = block.conv2.stride, (1, 1)
    return layer


def _dilate(layer: nn.Sequential, dilation: int) -> nn.Sequential:
    """Stride 1 and `dilation` in every block, the first included (torchvision's own option spares it)."""
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
    """The network with random weights: torchvision's initialisation, heads at N(0, 0.01).

    backbone: resnet101 is the paper's; heads: "two" for AdaptSegNet's checkpoints, see FirstTwo.
    UserError for other values.
    """
    for option, value, allowed in (("backbone", backbone, BACKBONES), ("heads", heads, HEADS)):
        if not isinstance(value, str) or value not in allowed:
            raise UserError(f"model.options.{option}", repr(value), ", ".join(allowed), "name one of these")
    return DeepLabV2(num_classes, backbone, heads)
