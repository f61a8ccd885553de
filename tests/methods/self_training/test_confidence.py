"""What each pixel of a teacher's label counts, worked by hand for two images of 1 x 4 pixels."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from intrada.core.config.classes import IGNORE
from intrada.core.distributed.process_group import SINGLE_PROCESS
from intrada.methods.self_training.confidence import Mode, PseudoLabel, pseudo_label

# Three of the eight pixels reach 0.9: one of the first image, two of the second.
PROBABILITY = torch.tensor([[[0.90, 0.89, 0.50, 0.40]], [[0.95, 0.99, 0.30, 0.60]]])
PREDICTED = torch.tensor([[[0, 1, 2, 0]], [[2, 2, 1, 0]]])


def labelled(
    mode: Mode, allowed: Tensor | None = None, trusted: tuple[bool, bool] = (False, False)
) -> PseudoLabel:
    everywhere = torch.ones_like(PREDICTED, dtype=torch.bool)
    allowed = everywhere if allowed is None else allowed
    return pseudo_label(PROBABILITY, PREDICTED, allowed, torch.tensor(trusted), mode, 0.9, SINGLE_PROCESS)


def test_pixel_keeps_the_pixels_that_reach_the_threshold_with_weight_1() -> None:
    result = labelled("pixel")
    assert result.label.tolist() == [[[0, IGNORE, IGNORE, IGNORE]], [[2, 2, IGNORE, IGNORE]]]
    assert result.weight.eq(1).all()


def test_batch_share_gives_every_pixel_one_weight_the_share_of_the_batch() -> None:
    result = labelled("batch_share")
    assert torch.equal(result.label, PREDICTED)
    assert result.weight.eq(3 / 8).all()


def test_image_share_gives_each_image_its_own_weight() -> None:
    result = labelled("image_share")
    assert torch.equal(result.label, PREDICTED)
    assert result.weight[0].eq(1 / 4).all() and result.weight[1].eq(2 / 4).all()


def test_none_counts_every_pixel_fully() -> None:
    result = labelled("none")
    assert torch.equal(result.label, PREDICTED) and result.weight.eq(1).all()


@pytest.mark.parametrize("mode", ["pixel", "batch_share", "image_share", "none"])
def test_the_share_of_confident_pixels_is_that_of_the_batch(mode: Mode) -> None:
    assert labelled(mode).confident.item() == 3 / 8


def test_where_no_pixel_counts_the_weight_is_0_and_the_share_is_still_of_all_pixels() -> None:
    """As in the published code, margins do not change the weight of the other pixels."""
    allowed = torch.tensor([[[True, True, False, True]], [[False, True, True, True]]])
    result = labelled("batch_share", allowed)
    assert result.weight.tolist() == [[[3 / 8, 3 / 8, 0, 3 / 8]], [[0, 3 / 8, 3 / 8, 3 / 8]]]
    by_pixel = labelled("pixel", allowed)
    assert by_pixel.label.tolist() == [[[0, IGNORE, IGNORE, IGNORE]], [[IGNORE, 2, IGNORE, IGNORE]]]


def test_every_pixel_of_a_trusted_image_counts_fully_except_in_margins() -> None:
    allowed = torch.tensor([[[True, True, False, True]], [[True, True, True, True]]])
    result = labelled("pixel", allowed, trusted=(True, False))
    assert result.label.tolist() == [[[0, 1, IGNORE, 0]], [[2, 2, IGNORE, IGNORE]]]
    shared = labelled("image_share", allowed, trusted=(True, False))
    assert shared.weight.tolist() == [[[1, 1, 0, 1]], [[0.5] * 4]]
