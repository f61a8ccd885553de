"""Encoder and decoder of segmentation_models_pytorch (Unet, FPN, DeepLabV3Plus, ...), with a head `aux`.

The package is the optional extra `smp`. By default it downloads weights; here it does not, and `init` takes a
file of the user's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from intrada.core.errors import UserError
from intrada.models import encoder_weights
from intrada.models.base import SegmentationModel
from intrada.models.encoder_segmenter import EncoderSegmenter
from intrada.models.extras import require

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, red green blue
NO_MAPS = "dpt"  # its decoder takes tokens too, and fits encoders of one kind only


class DecoderHead(nn.Module):
    """A decoder of all feature maps and its classifier. The logits keep the decoder's resolution."""

    def __init__(self, decoder: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.decoder, self.classifier = decoder, classifier

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        logits: Tensor = self.classifier(self.decoder(maps))
        return logits


class SmpSegmenter(EncoderSegmenter):
    """The package's network. `aux` is a 1x1 convolution of the map before the last."""

    def __init__(self, network: Any, num_classes: int) -> None:
        encoder = network.encoder
        super().__init__(
            encoder,
            DecoderHead(network.decoder, network.segmentation_head[0]),  # without its upsampling
            nn.Conv2d(encoder.out_channels[-2], num_classes, 1),
            MEAN,
            STD,
            encoder.output_stride if network.requires_divisible_input_shape else 1,
        )

    def encoder_maps(self, images: Tensor) -> list[Tensor]:
        """Return the images and the encoder's maps, at strides 1, 2, 4, ..., as the decoder takes them."""
        maps: list[Tensor] = self.encoder(images)
        return maps


def build(
    num_classes: int,
    architecture: str = "unet",
    encoder: str = "resnet34",
    options: Mapping[str, Any] | None = None,
) -> SmpSegmenter:
    """Return the network with random weights, from torch's global generator.

    architecture: unet, unetplusplus, manet, linknet, fpn, pspnet, deeplabv3, deeplabv3plus, pan, upernet or
    segformer; encoder: a name of the package's encoders; options: further arguments of the architecture.
    Raises UserError for what the package does not have or does not accept.
    """
    package = require("segmentation_models_pytorch", "smp", "smp", "segmentation-models-pytorch")
    names = [name for name in package.MODEL_ARCHITECTURES_MAPPING if name != NO_MAPS]
    if architecture not in names:
        raise UserError(
            "model.options.architecture", repr(architecture), ", ".join(names), "choose one of these"
        )
    chosen = dict(options or {})
    try:
        network = package.create_model(
            architecture, encoder, encoder_weights=None, classes=num_classes, **chosen
        )
    except Exception as error:  # the options are the user's, and the package checks few of them
        raise UserError(
            "model.options", f"segmentation_models_pytorch refuses {encoder!r} with {chosen}: {error}",
            "an encoder of the package, and options of the architecture", "change or omit them",
        ) from error  # fmt: skip
    return SmpSegmenter(network, num_classes)


def load_encoder(path: Path, model: SegmentationModel) -> None:
    """Load a file in the package's names into the encoder; see encoder_weights. UserError if it misfits."""
    encoder_weights.load(path, model, encoder_weights.read(path), unused=("fc.weight", "fc.bias"))
