"""Fuse batch normalisation into the preceding convolution, for inference."""

from __future__ import annotations

import copy
from collections import Counter

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from intrada.models.base import SegmentationModel, SummedConvolutions


def fuse_conv_bn(segmenter: SegmentationModel) -> SegmentationModel:
    """Return a copy of `segmenter` with each BatchNorm2d after a convolution fused into that convolution.

    segmenter: in evaluation mode. The logits change by rounding only. A network that torch.fx cannot trace,
    because its forward depends on the values of tensors, is returned unchanged.
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
            continue  # the output of the convolution, or one of the two modules, is used elsewhere as well
        convolution, norm = (copied.get_submodule(str(call.target)) for call in (before, node))
        if type(convolution) is nn.Conv2d and type(norm) is nn.BatchNorm2d:
            copied.set_submodule(str(before.target), fuse_conv_bn_eval(convolution, norm))
            copied.set_submodule(str(node.target), nn.Identity())
    return copied


class _Tracer(fx.Tracer):
    """A tracer that does not trace classifiers, which have no normalisation and a data-dependent branch."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, SummedConvolutions) or super().is_leaf_module(m, module_qualified_name)
