"""SegFormer b0 to b5: the Mix Transformer of the package transformers, and the all-MLP head.

transformers is the optional extra `segformer`. NVIDIA allows the published weights (MiT and SegFormer
on Hugging Face) for research and evaluation only, not for commercial use. This project has none of them and
downloads none: `init` takes a file of the user's.
Source: Xie et al., SegFormer, NeurIPS 2021, tables 6 and 7.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from intrada.core.config.types import Fraction
from intrada.core.errors import UserError
from intrada.models import encoder_weights, heads
from intrada.models.base import SegmentationModel
from intrada.models.encoder_segmenter import EncoderSegmenter
from intrada.models.extras import require
from intrada.models.heads import Maps


class Size(NamedTuple):
    """channels: of the four stages; blocks: of each stage; width: channels of the head."""

    channels: tuple[int, int, int, int]
    blocks: tuple[int, int, int, int]
    width: int


SIZES = {
    "b0": Size((32, 64, 160, 256), (2, 2, 2, 2), 256),
    "b1": Size((64, 128, 320, 512), (2, 2, 2, 2), 256),
    "b2": Size((64, 128, 320, 512), (3, 4, 6, 3), 768),
    "b3": Size((64, 128, 320, 512), (3, 4, 18, 3), 768),
    "b4": Size((64, 128, 320, 512), (3, 8, 27, 3), 768),
    "b5": Size((64, 128, 320, 512), (3, 6, 40, 3), 768),
}
STRIDES = (4, 8, 16, 32)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, red green blue
# Names in the published files -> names in transformers 5, which renamed the layers
RENAMED = (
    (r"^encoder\.patch_embeddings\.(\d)\.", r"stages.\1.patch_embeddings."),
    (r"^encoder\.block\.(\d)\.", r"stages.\1.blocks."),
    (r"^encoder\.layer_norm\.(\d)\.", r"stages.\1.layer_norm."),
    (r"\.attention\.self\.(query|key|value)\.", lambda found: f".attention.{found[1][0]}_proj."),
    (r"\.attention\.self\.sr\.", ".attention.sequence_reduction.sequence_reduction."),
    (r"\.attention\.self\.layer_norm\.", ".attention.sequence_reduction.layer_norm."),
    (r"\.attention\.output\.dense\.", ".attention.o_proj."),
    (r"\.mlp\.dense(\d)\.", r".mlp.fc\1."),
    (r"\.layer_norm_1\.", ".layernorm_before."),
    (r"\.layer_norm_2\.", ".layernorm_after."),
)


class SegFormer(EncoderSegmenter):
    """The Mix Transformer, the all-MLP head on its four stages, and `aux`, a 1x1 convolution of the third."""

    def __init__(self, encoder: Any, size: Size, num_classes: int) -> None:
        maps = Maps(size.channels, STRIDES)
        main = heads.MLPHead(maps, size.width, num_classes)
        super().__init__(encoder, main, heads.build_aux("mlp", maps, num_classes), MEAN, STD)

    def encoder_maps(self, images: Tensor) -> list[Tensor]:
        """Return the outputs of the four stages, at strides 4, 8, 16 and 32."""
        maps = [images]
        for stage in self.recomputable():
            maps.append(stage(maps[-1]))
        return maps[1:]

    def recomputable(self) -> list[nn.Module]:
        """Return the four stages. Their blocks take the size of the map too."""
        return list(self.encoder.stages)  # type: ignore[arg-type]

    def layers(self) -> list[nn.Module]:
        """Return the blocks of all stages."""
        return [block for stage in self.recomputable() for block in stage.blocks]  # type: ignore[union-attr]


def build(num_classes: int, size: str = "b0", drop_path_rate: Fraction = 0.1) -> SegFormer:
    """Return the network with random weights, from torch's global generator.

    size: b0 to b5; drop_path_rate: of the last block, rising linearly from 0; 0.1 as published.
    Raises UserError for another size, and without the package transformers.
    """
    if size not in SIZES:
        raise UserError("model.options.size", repr(size), ", ".join(SIZES), "choose one of these")
    transformers = require("transformers", "segformer", "segformer", '"transformers>=5"')
    channels, blocks, _ = SIZES[size]
    config = transformers.SegformerConfig(
        hidden_sizes=channels, depths=blocks, drop_path_rate=float(drop_path_rate)
    )
    return SegFormer(transformers.SegformerModel(config), SIZES[size], num_classes)


def load_encoder(path: Path, model: SegmentationModel) -> None:
    """Load the Mix Transformer of a file of Hugging Face's, with its old or new names, or of `backbone.`.

    The classifier or decoder in the file is left out. Raises UserError if the file does not fit.
    """
    tensors = encoder_weights.read(path, prefixes=("segformer.", "backbone."))
    renamed = {current_name(name): value for name, value in tensors.items()}
    encoder_weights.load(path, model, renamed)


def current_name(name: str) -> str:
    """Convert the name of a tensor in the published files to that of transformers 5.

    "encoder.block.0.1.mlp.dense1.bias" -> "stages.0.blocks.1.mlp.fc1.bias"; other names are unchanged.
    """
    for pattern, replacement in RENAMED:
        name = re.sub(pattern, replacement, name)
    return name
