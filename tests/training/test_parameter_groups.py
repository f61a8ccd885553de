"""Learning rates by depth, and weights without decay."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from intrada.core.config.load import validate
from intrada.core.errors import UserError
from intrada.models import MODELS
from intrada.models.base import SegmentationModel
from intrada.training import optimizers
from intrada.training.parameter_groups import MULTIPLIER, parameter_groups
from tests.support import networks, tiny_segmenter
from tests.support.tiny_project import PARAMS, change, tree


class Blocks(SegmentationModel):
    """A stem, two blocks with a convolution between them, a last normalisation, and a head."""

    head_names = ("main",)

    def __init__(self) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.ones(1))
        self.stem = nn.Conv2d(1, 1, 1, bias=False)
        self.first = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.BatchNorm2d(1))
        self.between = nn.Conv2d(1, 1, 1, bias=False)
        self.second = nn.Conv2d(1, 1, 1, bias=False)
        self.norm = nn.LayerNorm(1)
        self.main = nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 1, 1))

    def layers(self) -> list[nn.Module]:
        return [self.first, self.second]

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        raise NotImplementedError

    def normalise(self, images: Tensor) -> Tensor:
        raise NotImplementedError


def described(**options: object) -> dict[str, tuple[float, float | None]]:
    """Return the multiplier and the weight decay of each weight by name."""
    model = Blocks()
    names = {weight: name for name, weight in model.named_parameters()}
    groups = parameter_groups(model, 10.0, **options)  # type: ignore[arg-type]
    return {
        names[weight]: (group[MULTIPLIER], group.get("weight_decay"))
        for group in groups
        for weight in group["params"]
    }


def test_rates_by_depth_by_hand() -> None:
    """BEiT's rule: with L blocks, decay^(L + 1 - depth); heads keep theirs."""
    rates = {name: multiplier for name, (multiplier, _) in described(layer_decay=0.5).items()}
    assert rates == {
        "pos_embed": 0.125,
        "stem.weight": 0.125,
        "first.0.weight": 0.25,
        "first.1.weight": 0.25,
        "first.1.bias": 0.25,
        "between.weight": 0.25,
        "second.weight": 0.5,
        "norm.weight": 0.5,
        "norm.bias": 0.5,
        **dict.fromkeys(("main.0.weight", "main.0.bias", "main.1.weight", "main.1.bias"), 10.0),
    }


def test_normalisation_and_position_embeddings_have_no_decay() -> None:
    decays = described(no_decay_on_norms=True)
    without = {"pos_embed", "first.1.weight", "first.1.bias", "norm.weight", "norm.bias"}
    assert {name for name, (_, decay) in decays.items() if decay == 0} == {
        *without, "main.0.weight", "main.0.bias",
    }  # fmt: skip
    assert {multiplier for multiplier, _ in decays.values()} == {1.0, 10.0}


def test_without_the_keys_there_are_two_groups() -> None:
    groups = parameter_groups(Blocks(), 10.0, None, None)
    assert [(len(group["params"]), group[MULTIPLIER], len(group)) for group in groups] == [
        (9, 1.0, 2), (4, 10.0, 2),
    ]  # fmt: skip


def test_adamw_decays_no_norm_and_steps_less_in_early_blocks() -> None:
    model = Blocks().double()
    optimizer = optimizers.segmenter_optimizer(
        model, "adamw", 0.1, weight_decay=0.5, layer_decay=0.5, no_decay_on_norms=True
    )
    for weight in model.parameters():
        nn.init.ones_(weight)
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    values = {name: weight.item() for name, weight in model.named_parameters()}
    assert values["stem.weight"] == pytest.approx(1 - 0.1 * 0.125 * 0.5)
    assert values["second.weight"] == pytest.approx(1 - 0.1 * 0.5 * 0.5)
    assert values["main.1.weight"] == pytest.approx(1 - 0.1 * 10 * 0.5)
    assert values["pos_embed"] == values["norm.weight"] == values["main.0.weight"] == 1.0


@pytest.mark.parametrize("name", MODELS)
def test_every_trainable_weight_of_a_network_is_in_one_group(name: str) -> None:
    model = networks.build(name)
    groups = parameter_groups(model, 10.0, 0.9, True)
    listed = [id(weight) for group in groups for weight in group["params"]]
    assert len(listed) == len(set(listed)) == sum(weight.requires_grad for weight in model.parameters())
    depth = len(model.layers())
    multipliers = {group[MULTIPLIER] for group in groups} - {10.0}
    assert max(multipliers) == pytest.approx(0.9) and min(multipliers) == pytest.approx(0.9 ** (depth + 1))


def test_a_network_without_blocks_and_updates_of_the_published_optimizer_are_refused() -> None:
    with pytest.raises(UserError, match="TinySegmenter names no blocks"):
        parameter_groups(tiny_segmenter.build(3), 10.0, 0.9)
    optimizer = tree()["train_inter"]["optimizer"] | {"name": "sgd", "multiplicity": "published"}
    with pytest.raises(UserError, match="need multiplicity once"):
        validate(PARAMS, change(tree(), train_inter__optimizer=optimizer | {"layer_decay": 0.9}))
