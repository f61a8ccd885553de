"""A plain DeepLab-v2 with a ResNet-101, with the tensor names of the published checkpoints."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

BLOCKS, WIDTHS = (3, 4, 23, 3), (64, 128, 256, 512)
STRIDES, DILATIONS = (1, 2, 1, 1), (1, 1, 2, 4)
HEAD_DILATIONS = (6, 12, 18, 24)
EXPANSION = 4


class Bottleneck(nn.Module):
    """A residual block of 1x1, dilated 3x3 and 1x1 convolutions; the first one has the stride."""

    def __init__(self, inputs: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        outputs = EXPANSION * width
        self.conv1 = nn.Conv2d(inputs, width, 1, stride, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, dilation, dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

    def forward(self, features: Tensor) -> Tensor:
        inner = self.relu(self.bn1(self.conv1(features)))
        inner = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(inner)))))
        shortcut = features if self.downsample is None else self.downsample(features)
        inner += shortcut
        result: Tensor = self.relu(inner)
        return result


class Head(nn.Module):
    """The classifier: the sum of four dilated convolutions."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.conv2d_list = nn.ModuleList(
            nn.Conv2d(channels, classes, 3, 1, dilation, dilation) for dilation in HEAD_DILATIONS
        )

    def forward(self, features: Tensor) -> Tensor:
        total: Tensor = self.conv2d_list[0](features)
        for convolution in self.conv2d_list[1:]:
            total = total + convolution(features)
        return total


class DeepLab(nn.Module):
    """Map (N, 3, H, W) float32 to the logits of the auxiliary head (layer5) and the main head (layer6)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1, ceil_mode=True)
        layers, inputs = [], 64
        for blocks, width, stride, dilation in zip(BLOCKS, WIDTHS, STRIDES, DILATIONS, strict=True):
            layer = [Bottleneck(inputs, width, stride, dilation)]
            inputs = EXPANSION * width
            layer += [Bottleneck(inputs, width, 1, dilation) for _ in range(blocks - 1)]
            layers.append(nn.Sequential(*layer))
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        self.layer5 = Head(EXPANSION * WIDTHS[2], classes)
        self.layer6 = Head(EXPANSION * WIDTHS[3], classes)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.requires_grad_(False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        features = self.layer3(self.layer2(self.layer1(features)))
        return self.layer5(features), self.layer6(self.layer4(features))

    def listed_weights(self) -> list[nn.Parameter]:
        """Return the backbone's weights in the order of the published SGD, most of them three times."""
        stages = (self.conv1, self.bn1, self.layer1, self.layer2, self.layer3, self.layer4)
        weights = [weight for stage in stages for module in stage.modules() for weight in module.parameters()]
        return [weight for weight in weights if weight.requires_grad]


def discriminator(classes: int, width: int) -> nn.Sequential:
    """Build a discriminator: five convolutions of stride 2, with LeakyReLU between them."""
    channels = [classes, width, 2 * width, 4 * width, 8 * width]
    layers: list[nn.Module] = []
    for before, after in pairwise(channels):
        layers += [nn.Conv2d(before, after, 4, 2, 1), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(channels[-1], 1, 4, 2, 1))


@torch.no_grad()
def calibrate_batch_norm(network: nn.Module, images: Tensor) -> None:
    """Set the running statistics of batch normalisation to those of `images`; set evaluation mode.

    Without this, the activations of random weights grow until the softmax saturates. Its denormal numbers
    are slow.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    network.train()
    network(images)
    network.eval()
