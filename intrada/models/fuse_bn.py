"""Batch normalisation folded into the convolution before it: in evaluation mode both are one linear map."""

from __future__ import annotations

import copy
from collections import Counter

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from intrada.models.base import SegmentationModel, SummedConvolutions


def fuse_conv_bn(segmenter: SegmentationModel) -> SegmentationModel:
    """A copy of a network in evaluation mode without the normalisations that a convolution can take over.

    The logits differ by rounding. A network that torch cannot trace (its forward asks what its tensors
    hold) comes back as it is.
    """
    try:
        graph = _Tracer().trace(segmenter)
    except (fx.proxy.TraceError, TypeError, RuntimeError):
        return segmenter
    copied = copy.deepcopy(segmenter)
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
    for node in graph.nodes:
        before = node.args[0] if node.args else None
        if not (isinstance(before, fx.Node) and node.op == before.op == "call_module"):
            continue
        if len(before.users) > 1 or calls[node.target] > 1 or calls[before.target] > 1:
            continue  # someone else needs what stands between the two
        convolution, norm = (copied.get_submodule(str(each.target)) for each in (before, node))
        if type(convolution) is nn.Conv2d and type(norm) is nn.BatchNorm2d:
            copied.set_submodule(str(before.target), fuse_conv_bn_eval(convolution, norm))
            copied.set_submodule(str(node.target), nn.Identity())
    return copied


class _Tracer(fx.Tracer):
    """Looks into no classifier: it has no normalisation, and chooses its way by what it is given."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, SummedConvolutions) or super().is_leaf_module(m, module_qualified_name)
