"""What every segmentation network of this project promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Input channels from which on a CPU one matrix product beats the convolutions of a classifier: measured
# 0.8x at 72, 2.4x at 320, 4.7x at 2048 channels, forward and backward.
PRODUCT_CHANNELS = 256


@dataclass(frozen=True)
class Normalisation:
    """What `SegmentationModel.normalise` computes: `(pixel - mean) / std` of each channel, pixels in 0..255.

    channel_order: of the network's input; mean, std: one number a channel, in that order; range: the smallest
    and the largest pixel.
    """

    channel_order: Literal["bgr", "rgb"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    range: tuple[int, int] = (0, 255)


class SegmentationModel(nn.Module, ABC):
    """A network with two classifier heads: `aux` on an inner feature map, `main` on the last one.

    A subclass names the child modules that are its heads in `head_names`; all other parameters are
    the backbone's. The paper trains the heads ten times as fast (IntraDA, section 4).
    A subclass sets `normalisation` to what its `normalise` computes; model files name it.
    """

    head_names: tuple[str, ...] = ("main", "aux")
    normalisation: Normalisation

    @abstractmethod
    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """images (N, 3, H, W) float32 from `normalise` -> {"main", "aux"}: raw logits (N, C, h, w).

        The logits are at the network's own resolution; `upsample` brings them to the image's size.
        """

    def main_logits(self, images: Tensor) -> Tensor:
        """The "main" logits of `forward` alone, all that inference looks at: (N, C, h, w), the same bits.

        A network whose `aux` head is not on the way there overrides this, to leave that head out.
        """
        logits: Tensor = self(images)["main"]
        return logits

    @abstractmethod
    def normalise(self, images: Tensor) -> Tensor:
        """images (N, 3, H, W) BGR in 0..255, uint8 or float -> float32, what `forward` expects."""

    def recomputable(self) -> list[nn.Module]:
        """The blocks that activation checkpointing computes again, each (N, c, h, w) -> (N, d, k, l).

        Those that keep much more for their backward pass than their input. None: it cannot be asked for.
        """
        return []

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Trainable parameters by learning rate: "backbone" and "heads", each tensor exactly once."""
        groups: dict[str, list[nn.Parameter]] = {"backbone": [], "heads": []}
        for name, parameter in self.named_parameters():
            if parameter.requires_grad:
                is_head = name.split(".", 1)[0] in self.head_names
                groups["heads" if is_head else "backbone"].append(parameter)
        return groups


class SummedConvolutions(nn.Module):
    """The DeepLab-v2 classifier: parallel dilated 3x3 convolutions whose outputs are added.

    (N, channels, h, w) -> (N, num_classes, h, w). Weights start at N(0, 0.01), biases at 0 or, as the
    published code leaves them, uniform in +-1/sqrt(9 * channels), torch's default.
    Source: DeepLab (TPAMI 2017), figure 7, ASPP-L; `conv2d_list` is the published checkpoints' name.
    """

    def __init__(
        self, channels: int, num_classes: int, dilations: Sequence[int], zero_biases: bool = True
    ) -> None:
        super().__init__()
        self.conv2d_list = nn.ModuleList(
            nn.Conv2d(channels, num_classes, 3, padding=dilation, dilation=dilation) for dilation in dilations
        )
        for name, parameter in self.named_parameters():
            if name.endswith("weight"):
                nn.init.normal_(parameter, std=0.01)
            elif zero_biases:
                nn.init.zeros_(parameter)

    def forward(self, features: Tensor) -> Tensor:
        if not features.is_cuda and features.shape[1] >= PRODUCT_CHANNELS:
            return self._by_product(features)
        outputs = [convolution(features) for convolution in self.summands()]
        total: Tensor = sum(outputs[1:], start=outputs[0])
        return total

    def summands(self) -> list[nn.Conv2d]:
        """The convolutions whose outputs are added."""
        return [each for each in self.conv2d_list if isinstance(each, nn.Conv2d)]

    def _by_product(self, features: Tensor) -> Tensor:
        """The same sums in another order: every weight times every position, then shifted and added.

        Few output channels leave a convolution little to do for each input value that it loads.
        """
        used, channels, size = self.summands(), features.shape[1], features.shape[2:]
        # `fold` adds what comes from the left to the right: the mirror image of a convolution's kernel
        kernels = [each.weight.flip(2, 3).permute(0, 2, 3, 1).reshape(-1, channels, 1, 1) for each in used]
        products = F.conv2d(features, torch.cat(kernels)).flatten(2)
        # A bias is added to its own sum: of biases that are stacked first, all gradients are one piece of
        # memory, into which the next backward pass would add once for each of them.
        sums = [
            F.fold(product, size, 3, dilation=each.dilation[0], padding=each.dilation[0])
            + each.bias[:, None, None]  # type: ignore[index]  # they all have one
            for each, product in zip(used, products.chunk(len(used), 1), strict=True)
        ]
        total: Tensor = sum(sums[1:], start=sums[0])
        return total


def upsample(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Logits (N, C, h, w) -> (N, C, H, W), size = (H, W).

    Bilinear with align_corners=True, as the published numbers were made (AdaptSegNet, AdvEnt): a
    corner of the logits lies exactly on a corner of the image.
    """
    return F.interpolate(logits, size=size, mode="bilinear", align_corners=True)
