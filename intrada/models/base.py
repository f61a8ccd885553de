"""The interface of the segmentation networks, and the modules that they share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from intrada.core.errors import UserError

# From this number of input channels, one matrix product is faster than the convolutions of a classifier on a
# CPU: measured 0.8x at 72, 2.4x at 320, 4.7x at 2048 channels, forward and backward.
PRODUCT_CHANNELS = 256


@dataclass(frozen=True)
class Normalisation:
    """The normalisation of input images: `(pixel - mean) / std` for each channel, pixels in 0..255.

    channel_order: of the network's input; mean, std: one number per channel, in this order; range: the
    smallest and the largest value of a pixel.
    """

    channel_order: Literal["bgr", "rgb"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    range: tuple[int, int] = (0, 255)


class SegmentationModel(nn.Module, ABC):
    """A network with two classifier heads: `aux` on an inner feature map, `main` on the last one.

    head_names: the names of the child modules that are heads. All other modules are the backbone. The paper
    trains the heads with ten times the learning rate of the backbone (IntraDA, section 4).
    normalisation: describes what `normalise` computes; it is written into model files.
    """

    head_names: tuple[str, ...] = ("main", "aux")
    normalisation: Normalisation

    @abstractmethod
    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the raw logits (N, C, h, w) of each head, by name: "main" and "aux".

        images (N, 3, H, W) float32, from `normalise`. The logits have the resolution of the features;
        `upsample` resizes them to that of the images.
        """

    def main_logits(self, images: Tensor) -> Tensor:
        """Return the logits (N, C, h, w) of "main", bit-identical to those of `forward`, for inference.

        Networks override this method to avoid computing the head `aux`.
        """
        logits: Tensor = self(images)["main"]
        return logits

    @abstractmethod
    def normalise(self, images: Tensor) -> Tensor:
        """Convert images (N, 3, H, W) BGR in 0..255, uint8 or float, to the float32 input of `forward`."""

    def recomputable(self) -> list[nn.Module]:
        """Return the blocks that activation checkpointing recomputes; each takes and returns one tensor.

        Choose blocks that save much more than their input for the backward pass. If the list is empty, the
        network does not support activation checkpointing.
        """
        return []

    def layers(self) -> list[nn.Module]:
        """Return the blocks of the backbone in the order of the forward pass, for learning rates by depth."""
        return self.recomputable()

    def last_stage(self) -> nn.Module:
        """Return the module whose output is the last feature map (N, channels, h, w) of the backbone.

        A forward hook on it receives the features, for losses that compare them with those of another
        network. Raises UserError if the network does not define it.
        """
        raise UserError(
            f"network {type(self).__name__}",
            "it does not name its last stage, whose features a loss needs",
            "a network that defines `last_stage` (docs/adding.md)",
            "choose another `model`, or define `last_stage`",
        )

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Return the trainable parameters as "backbone" and "heads", each tensor exactly once."""
        groups: dict[str, list[nn.Parameter]] = {"backbone": [], "heads": []}
        for name, parameter in self.named_parameters():
            if parameter.requires_grad:
                is_head = name.split(".", 1)[0] in self.head_names
                groups["heads" if is_head else "backbone"].append(parameter)
        return groups


class SummedConvolutions(nn.Module):
    """The DeepLab-v2 classifier: parallel dilated 3x3 convolutions with added outputs.

    (N, channels, h, w) -> (N, num_classes, h, w). Initialisation: weights from N(0, 0.01); biases 0, or with
    zero_biases=False torch's default, uniform in +-1/sqrt(9 * channels), as in the published code.
    Source: DeepLab (TPAMI 2017), figure 7, ASPP-L. The published checkpoints use the name `conv2d_list`.
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
            return self._by_matrix_product(features)
        outputs = [convolution(features) for convolution in self.convolutions()]
        total: Tensor = sum(outputs[1:], start=outputs[0])
        return total

    def convolutions(self) -> list[nn.Conv2d]:
        """Return the convolutions that are used; their outputs are added."""
        return [layer for layer in self.conv2d_list if isinstance(layer, nn.Conv2d)]

    def _by_matrix_product(self, features: Tensor) -> Tensor:
        """Compute the same sums in another order: multiply all weights with all positions, shift and add.

        With few output channels, a convolution does few operations for each input value that it loads.
        """
        layers, channels, size = self.convolutions(), features.shape[1], features.shape[2:]
        # `fold` shifts in the opposite direction of a convolution, so the kernels are flipped
        kernels = [
            layer.weight.flip(2, 3).permute(0, 2, 3, 1).reshape(-1, channels, 1, 1) for layer in layers
        ]
        products = F.conv2d(features, torch.cat(kernels)).flatten(2)
        # Add each bias to its own sum. If the biases were stacked first, their gradients would share memory,
        # and gradient accumulation would add to it once for each of them.
        sums = [
            F.fold(product, size, 3, dilation=layer.dilation[0], padding=layer.dilation[0])
            + layer.bias[:, None, None]  # type: ignore[index]  # every layer has a bias
            for layer, product in zip(layers, products.chunk(len(layers), 1), strict=True)
        ]
        total: Tensor = sum(sums[1:], start=sums[0])
        return total


def upsample(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize logits (N, C, h, w) to (N, C, H, W), size = (H, W).

    Bilinear with align_corners=True, as for the published results of AdaptSegNet and AdvEnt: the corner
    pixels of the logits are at the corner pixels of the image.
    """
    return F.interpolate(logits, size=size, mode="bilinear", align_corners=True)
