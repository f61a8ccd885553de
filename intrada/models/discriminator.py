"""The discriminator: classifies a self-information map as source or target.

Source: AdvEnt (CVPR 2019), section 4.1, after DCGAN.
"""

from __future__ import annotations

from itertools import pairwise

from torch import nn

SLOPE = 0.2  # negative slope of LeakyReLU
SMALLEST = 32  # smallest height and width in pixels: five convolutions of stride 2 reduce it to 1


def build(num_classes: int, width: int = 64) -> nn.Sequential:
    """Return five 4x4 convolutions with stride 2 and padding 1, and LeakyReLU between them.

    num_classes: channels C of the map; width: channels after the first convolution, doubled by each of the
    next three (the paper uses 64). Input (N, C, H, W), H and W at least SMALLEST; output: logits
    (N, 1, H // 32, W // 32). The weights have torch's default initialisation.
    """
    channels = [num_classes, width, 2 * width, 4 * width, 8 * width, 1]
    layers: list[nn.Module] = []
    for before, after in pairwise(channels):
        layers += [nn.Conv2d(before, after, kernel_size=4, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers[:-1])
