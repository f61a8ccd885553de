from __future__ import annotations

import numpy as np
import pytest
import torch

from intrada.methods.self_training.masking import hide, visible


def test_whole_blocks_are_hidden_also_at_the_border() -> None:
    shown = visible((5, 7), 3, 0.5, np.random.default_rng(3))
    assert shown.shape == (5, 7)
    for rows in (slice(0, 3), slice(3, 5)):
        for columns in (slice(0, 3), slice(3, 6), slice(6, 7)):
            assert len(shown[rows, columns].unique()) == 1
    assert len(shown.unique()) == 2


@pytest.mark.parametrize("ratio", [0.0, 0.3, 0.7])
def test_the_ratio_is_the_share_of_hidden_blocks(ratio: float) -> None:
    shown = visible((100, 100), 1, ratio, np.random.default_rng(0))
    assert 1 - shown.float().mean().item() == pytest.approx(ratio, abs=0.02)


def test_hidden_pixels_have_the_given_colour() -> None:
    image = torch.arange(12, dtype=torch.uint8).view(3, 2, 2)
    shown = torch.tensor([[True, False], [False, True]])
    hidden = hide(image, shown, torch.tensor([50, 60, 70], dtype=torch.uint8))
    assert hidden.tolist() == [[[0, 50], [50, 3]], [[4, 60], [60, 7]], [[8, 70], [70, 11]]]
