"""The discriminator: whose self-information map is this, source's or target's?

Source: AdvEnt (CVPR 2019), section 4.1, after DCGAN.
"""

from __future__ import annotations

from itertools import pairwise

from torch import nn

SLOPE = 0.2
SMALLEST = 32  # pixels: the least height and width that five strides leave something of


def build(num_classes: int, width: int = 64) -> nn.Sequential:
    """Five 4x4 convolutions of stride 2 and padding 1, LeakyReLU between them.

    num_classes: channels C of the map; width: channels after the first convolution, doubled by each of
    the next three (64 is the paper's). (N, C, H, W) -> logits (N, 1, H/32, W/32), rounded down;
    H and W must be at least SMALLEST. Weights are drawn by torch's default initialisation.
    """
    channels = [num_classes, width, 2 * width, 4 * width, 8 * width, 1]
    layers: list[nn.Module] = []
    for before, after in pairwise(channels):
        layers += [nn.Conv2d(before, after, kernel_size=4, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers[:-1])
