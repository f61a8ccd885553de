"""Parameter groups of the segmentation network: rates by depth, and weights without decay.

Sources: rates by depth as in BEiT (Bao et al., ICLR 2022), no decay on norms and positions as in DAFormer's
published settings (Hoyer et al., CVPR 2022).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from intrada.core.errors import UserError
from intrada.models.base import SegmentationModel

# Key of a parameter group: the ratio of its learning rate to the schedule's.
MULTIPLIER = "multiplier"


def parameter_groups(
    model: SegmentationModel,
    heads_lr_multiplier: float,
    layer_decay: float | None = None,
    no_decay_on_norms: bool | None = None,
) -> list[dict[str, Any]]:
    """Return the groups `params` with MULTIPLIER: one of the backbone and one of the heads.

    With layer_decay, the backbone has one for each depth: the last block has the multiplier layer_decay, the
    block before it layer_decay^2, and the weights before the first block the smallest. With
    no_decay_on_norms, weights of normalisation layers and position embeddings have groups of their own, with
    `weight_decay` 0. Raises UserError if the network names no blocks.
    """
    parts = model.parameter_groups()
    if layer_decay is None and not no_decay_on_norms:
        return [{"params": weights, MULTIPLIER: heads_lr_multiplier if part == "heads" else 1.0}
                for part, weights in parts.items()]  # fmt: skip
    multipliers = _by_depth(model, layer_decay) if layer_decay is not None else {}
    without_decay = {*_without_decay(model)} if no_decay_on_norms else set()
    groups: dict[tuple[bool, float, bool], list[nn.Parameter]] = {}
    for part, weights in parts.items():
        for weight in weights:
            multiplier = heads_lr_multiplier if part == "heads" else multipliers.get(weight, 1.0)
            groups.setdefault((part == "heads", multiplier, weight in without_decay), []).append(weight)
    return [
        {"params": weights, MULTIPLIER: multiplier} | ({"weight_decay": 0.0} if no_decay else {})
        for (_, multiplier, no_decay), weights in groups.items()
    ]


def _by_depth(model: SegmentationModel, decay: float) -> dict[nn.Parameter, float]:
    """Return the multiplier of each weight of the backbone. Weights between blocks go with the one before."""
    blocks = model.layers()
    if not blocks:
        raise UserError(
            "optimizer.layer_decay",
            f"the network {type(model).__name__} names no blocks",
            "a network that defines `layers` (docs/adding.md)",
            "remove optimizer.layer_decay",
        )
    depths = {weight: depth for depth, block in enumerate(blocks, 1) for weight in block.parameters()}
    multipliers, depth = dict[nn.Parameter, float](), 0
    for name, weight in model.named_parameters():
        if name.split(".", 1)[0] not in model.head_names:
            depth = depths.get(weight, depth)
            multipliers[weight] = decay ** (len(blocks) + 1 - depth)
    return multipliers


def _without_decay(model: nn.Module) -> Iterator[nn.Parameter]:
    for module in model.modules():
        if "Norm" in type(module).__name__:
            yield from module.parameters(recurse=False)
    for name, weight in model.named_parameters():
        if name.endswith("pos_embed"):
            yield weight
