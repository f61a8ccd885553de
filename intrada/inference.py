"""Trained models, ready to predict: one, or a weighted ensemble of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from intrada import weights
from intrada.batches import Batch
from intrada.errors import UserError
from intrada.labels import ClassSet
from intrada.models import build_model
from intrada.models.base import Segmenter, upsample
from intrada.params import Params

PROBABILITIES, LOGITS = "probabilities", "logits"


@dataclass(frozen=True)
class Predictor:
    """Segmentation networks in evaluation mode that predict together.

    members: one or several; shares: their weights, which add up to 1; combine: what is averaged,
    PROBABILITIES or LOGITS (as the published code does). One member alone is not averaged at all.
    """

    members: Sequence[Segmenter]
    shares: Sequence[float] = (1.0,)
    combine: str = PROBABILITIES

    def maps(self, batch: Batch) -> list[Tensor]:
        """Each member's logits of the main head, (N, C, h, w), at the network's own resolution."""
        return [member.main_logits(member.normalise(batch.image)) for member in self.members]

    def at(self, maps: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """The logits (N, C, height, width) of the ensemble, from the members' `maps`.

        Upsampled bilinearly, then averaged. Averaged probabilities come as their logarithm, whose
        softmax they are, so that whatever reads logits reads them too.
        """
        scaled = [upsample(each, size) for each in maps]
        if len(scaled) == 1:
            return scaled[0]
        if self.combine == PROBABILITIES:
            scaled = [each.softmax(1) for each in scaled]
        total = torch.stack([share * each for share, each in zip(self.shares, scaled, strict=True)]).sum(0)
        return (
            total.clamp(min=torch.finfo(total.dtype).tiny).log() if self.combine == PROBABILITIES else total
        )

    def predict(self, batch: Batch) -> Tensor:
        """The logits (N, C, H, W) at the size of the images."""
        return self.at(self.maps(batch), (batch.image.shape[2], batch.image.shape[3]))


def load_for_inference(
    params: Params,
    classes: ClassSet,
    paths: Sequence[Path],
    device: torch.device,
    shares: Sequence[float] = (),
    combine: str = PROBABILITIES,
) -> Predictor:
    """Networks of `params.model` with the weights at `paths` (ours or published), on `device`.

    shares: a weight for each path; none: all alike. UserError where their number differs or one is not
    positive.
    """
    chosen = list(shares) or [1.0] * len(paths)
    if len(chosen) != len(paths) or min(chosen) <= 0:
        found = f"weights {chosen} for {len(paths)} models"
        raise UserError(
            "weights of the ensemble", found, "a positive number for each model", "mend --weights"
        )
    members = []
    for path in paths:
        segmenter = build_model(params.model.name, len(classes), params.model.options)
        weights.load_weights(path, segmenter)
        members.append(segmenter.to(device).eval())
    return Predictor(members, [share / sum(chosen) for share in chosen], combine)
