"""The features of the last stage, which losses read by a forward hook."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from intrada.core.errors import UserError
from intrada.models import MODELS
from intrada.models.base import SegmentationModel
from tests.support import networks, tiny_segmenter


@pytest.mark.parametrize("name", MODELS)
def test_a_hook_on_the_last_stage_gets_the_feature_map_that_main_needs(name: str) -> None:
    torch.manual_seed(0)
    model = networks.build(name).eval()
    images, seen = torch.randn(2, 3, 64, 64), list[Tensor]()
    with torch.no_grad():
        expected = model(images)
        model.last_stage().register_forward_hook(lambda _, __, output: seen.append(output))
        model(images)
        model.last_stage().register_forward_hook(lambda _, __, output: torch.zeros_like(output))
        without = model(images)
    assert seen[0].ndim == 4 and len(seen[0]) == 2 and seen[0].shape[1] > 3
    assert not torch.equal(without["main"], expected["main"])


def test_a_network_that_does_not_name_it_is_refused() -> None:
    with pytest.raises(UserError, match="TinySegmenter: it does not name its last stage"):
        SegmentationModel.last_stage(tiny_segmenter.build(3))
