"""Trained models, ready to predict: one, or a weighted ensemble of several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from intrada.core.config.classes import ClassSet
from intrada.core.config.schema import Params
from intrada.core.distributed.device import autocast, uses_bf16
from intrada.core.errors import UserError
from intrada.data.loader import Batch
from intrada.inference import postprocess
from intrada.inference.postprocess import Tile
from intrada.models import fuse_bn, model_info
from intrada.models.base import SegmentationModel
from intrada.models.model_info import ModelSpec

PROBABILITIES, LOGITS = "probabilities", "logits"


@dataclass(frozen=True)
class Predictor:
    """Segmentation networks in evaluation mode that predict together.

    members: one or several; shares: their weights, which add up to 1; combine: what is averaged,
    PROBABILITIES or LOGITS (as the published code does). One member alone is not averaged at all.
    bf16: convolutions take and give bfloat16; whatever comes after them is float32 all the same.
    """

    members: Sequence[SegmentationModel]
    shares: Sequence[float] = (1.0,)
    combine: str = PROBABILITIES
    bf16: bool = False

    def low_res_logits(self, batch: Batch) -> list[Tensor]:
        """Each member's logits of the main head, (N, C, h, w), at the network's own resolution."""
        with autocast(batch.image.device, self.bf16):
            return [member.main_logits(member.normalise(batch.image)) for member in self.members]

    def upsampled_tiles(
        self, low_res_logits: Sequence[Tensor], image: int, size: tuple[int, int]
    ) -> Iterator[Tile]:
        """The logits of the ensemble for image number `image` of the members' `low_res_logits`, at `size`.

        Upsampled bilinearly, then averaged. Averaged probabilities come as their logarithm, whose
        softmax they are, so that whatever reads logits reads them too.
        """
        single = [postprocess.upsampled_tiles(each[image : image + 1], size) for each in low_res_logits]
        return single[0] if len(single) == 1 else map(self._averaged, zip(*single, strict=True))

    def _averaged(self, upsampled_tiles: Sequence[Tile]) -> Tile:
        values = [tile.logits for tile in upsampled_tiles]
        if self.combine == PROBABILITIES:
            values = [each.softmax(0) for each in values]
        total = torch.stack([share * each for share, each in zip(self.shares, values, strict=True)]).sum(0)
        if self.combine == PROBABILITIES:
            total = total.clamp(min=torch.finfo(total.dtype).tiny).log()
        return Tile(upsampled_tiles[0].place, total)


def for_inference(segmenter: SegmentationModel, device: torch.device) -> SegmentationModel:
    """The network as inference runs it: on `device`, in evaluation mode, folded, channels last.

    docs/decisions/0007 has what that saves, and what it does to the last digits.
    """
    moved = fuse_bn.fuse_conv_bn(segmenter.to(device).eval())
    return moved.to(memory_format=torch.channels_last)


def load_member(path: Path, spec: ModelSpec, device: torch.device) -> SegmentationModel:
    """The network of `spec` with the weights at `path` (ours or published), as inference runs it.

    UserError for a file of another network or other classes.
    """
    segmenter = spec.build()
    model_info.load(path, spec, segmenter)
    return for_inference(segmenter, device)


def load_for_inference(
    params: Params,
    classes: ClassSet,
    paths: Sequence[Path],
    device: torch.device,
    shares: Sequence[float] = (),
    combine: str = PROBABILITIES,
) -> Predictor:
    """Networks of `params.model` with the weights at `paths` (ours or published), on `device`.

    Their precision is that of `params.compute`. shares: a weight for each path; none: all alike. UserError
    where their number differs or one is not positive.
    """
    chosen = list(shares) or [1.0] * len(paths)
    if len(chosen) != len(paths) or min(chosen) <= 0:
        found = f"weights {chosen} for {len(paths)} models"
        raise UserError("weights of the ensemble", found, "a positive number for each model", "fix --weights")
    spec = ModelSpec(params.model.name, params.model.options, classes)
    members = [load_member(path, spec, device) for path in paths]
    bf16 = uses_bf16(params.compute, device)
    return Predictor(members, [share / sum(chosen) for share in chosen], combine, bf16)
