from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from intrada.core.errors import UserError
from intrada.models import deeplabv2
from intrada.models.base import SegmentationModel
from intrada.training import eager, optimizers


class Toy(SegmentationModel):
    """1x1 convolutions of one channel: two in `backbone` (one of them nested), `neck` and the head `main`."""

    head_names = ("main",)

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.Sequential(nn.Conv2d(1, 1, 1)))
        self.neck = nn.Conv2d(1, 1, 1, bias=False)
        self.main = nn.Conv2d(1, 1, 1, bias=False)
        for parameter in self.parameters():
            nn.init.ones_(parameter)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"main": self.main(self.neck(self.backbone(images)))}

    def normalise(self, images: Tensor) -> Tensor:
        return images.float()


def scalars(model: nn.Module) -> list[float]:
    return [p.item() for p in model.parameters()]


def update(model: nn.Module, optimizer: Optimizer, gradient: float = 1.0) -> None:
    """Run one step with the same gradient for every weight."""
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, gradient)
    optimizer.step()


@pytest.fixture
def toy() -> Iterator[Toy]:
    yield Toy().double()


def test_the_learning_rate_of_the_heads_is_a_multiple_of_the_schedule(toy: Toy) -> None:
    optimizer = optimizers.segmenter_optimizer(toy, "sgd", 0.1, heads_lr_multiplier=10)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 1.0]
    optimizers.set_learning_rate(optimizer, 0.02)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.02, 0.2])


def test_sgd_by_hand(toy: Toy) -> None:
    optimizer = optimizers.segmenter_optimizer(toy, "sgd", 0.1, momentum=0.5, weight_decay=0.2)
    update(toy, optimizer)  # gradient 1 + 0.2 * 1, all in the buffer
    assert scalars(toy) == pytest.approx([1 - 0.12] * 4 + [1 - 1.2])
    update(toy, optimizer)  # buffer 0.5 * 1.2 + (1 + 0.2 * 0.88)
    assert scalars(toy)[:4] == pytest.approx([0.88 - 0.1 * 1.776] * 4)


@pytest.mark.parametrize("name, kind", [("sgd", torch.optim.SGD), ("adamw", torch.optim.AdamW)])
def test_no_parameter_is_listed_twice(name: str, kind: type[Optimizer]) -> None:
    model = deeplabv2.build(3, "resnet18")
    optimizer = optimizers.segmenter_optimizer(model, name, 1e-3)  # type: ignore[arg-type]
    listed = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert isinstance(optimizer, kind)
    assert len(listed) == len(set(listed)) == sum(p.requires_grad for p in model.parameters())


def test_adamw_applies_decoupled_weight_decay(toy: Toy) -> None:
    optimizer = optimizers.segmenter_optimizer(toy, "adamw", 0.1, weight_decay=0.5)
    update(toy, optimizer, gradient=0.0)
    assert scalars(toy) == pytest.approx([1 - 0.1 * 0.5] * 4 + [1 - 1.0 * 0.5])


def test_a_trainable_weight_is_listed_once_for_each_ancestor_up_to_its_stage(toy: Toy) -> None:
    next(toy.neck.parameters()).requires_grad_(False)
    counts = optimizers.published_multiplicity([toy.backbone, toy.neck])
    names = {id(p): name for name, p in toy.named_parameters()}
    assert {names[id(p)]: count for p, count in counts.items()} == {
        "backbone.0.weight": 2,
        "backbone.1.0.weight": 3,
        "backbone.1.0.bias": 3,
    }


def test_resnet101_has_99_weights_listed_three_times_4_four_times_and_1_once() -> None:
    model = deeplabv2.build(19)
    optimizer = optimizers.segmenter_optimizer(model, "sgd", 1e-3, multiplicity="published")
    backbone, heads = (group["repeats"] for group in optimizer.param_groups)
    assert {count: backbone.count(count) for count in set(backbone)} == {1: 1, 3: 99, 4: 4}
    assert heads == [1] * 16


def test_published_sgd_by_hand(toy: Toy) -> None:
    optimizer = optimizers.segmenter_optimizer(
        toy, "sgd", 0.1, momentum=0.5, weight_decay=0.2, multiplicity="published"
    )
    update(toy, optimizer)
    # grad 1.2, buffer 1.2, weight 0.88; grad 1.376, buffer 1.976, weight 0.6824;
    # grad 1.51248, buffer 2.50048, weight 0.432352
    assert scalars(toy) == pytest.approx([0.6824, 0.432352, 0.432352, 0.88, -0.2])
    inner = next(toy.backbone[1].parameters())
    assert inner.grad is not None and inner.grad.item() == pytest.approx(1.51248)  # decay added in place
    update(toy, optimizer)  # the buffer is kept between iterations: grad 1.08647..., buffer 2.33671...
    weights = [0.432352]
    buffer, gradient = 2.50048, 1.0
    for _ in range(3):
        gradient += 0.2 * weights[-1]
        buffer = 0.5 * buffer + gradient
        weights.append(weights[-1] - 0.1 * buffer)
    assert inner.item() == pytest.approx(weights[-1])


def test_published_sgd_of_weights_listed_once_equals_torchs_sgd() -> None:
    plain, ours = nn.Conv2d(2, 3, 3).double(), nn.Conv2d(2, 3, 3).double()
    ours.load_state_dict(plain.state_dict())
    groups = [{"params": list(ours.parameters()), "repeats": [1, 1]}]
    pairs = [
        (plain, torch.optim.SGD(plain.parameters(), 0.1, 0.9, weight_decay=0.01)),
        (ours, optimizers.PublishedSGD(groups, 0.1, 0.9, 0.01)),
    ]
    for _ in range(4):
        for net, optimizer in pairs:
            update(net, optimizer, 0.3)
    for expected, actual in zip(plain.parameters(), ours.parameters(), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-12, atol=0)


def test_published_sgd_resumes_from_its_state(toy: Toy) -> None:
    def make(model: Toy) -> Optimizer:
        return optimizers.segmenter_optimizer(model, "sgd", 0.1, multiplicity="published")

    optimizer = make(toy)
    update(toy, optimizer)
    resumed = Toy().double()
    resumed.load_state_dict(toy.state_dict())
    resumed_optimizer = make(resumed)
    resumed_optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    update(toy, optimizer)
    update(resumed, resumed_optimizer)
    assert scalars(resumed) == scalars(toy)


def test_published_sgd_skips_weights_without_gradient_and_runs_a_closure(toy: Toy) -> None:
    optimizer = optimizers.segmenter_optimizer(toy, "sgd", 0.1, multiplicity="published")
    assert optimizer.step(lambda: 7.0) == 7.0
    assert scalars(toy) == [1.0] * 5


def test_published_sgd_needs_one_repeat_count_for_each_parameter(toy: Toy) -> None:
    with pytest.raises(ValueError, match="one repeat count"):
        optimizers.PublishedSGD([{"params": list(toy.parameters()), "repeats": [1]}], 0.1, 0.9, 0.0)


@pytest.mark.parametrize(
    "name, multiplicity, message",
    [
        ("adam", "once", "'adam'.*\n.*sgd, adamw"),
        ("adamw", "published", "'published' with adamw"),
        ("sgd", "twice", "twice"),
    ],
)
def test_unknown_optimizers_and_multiplicities_are_refused(
    toy: Toy, name: str, multiplicity: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        optimizers.segmenter_optimizer(toy, name, 0.1, multiplicity=multiplicity)  # type: ignore[arg-type]


def test_the_discriminators_use_adam_with_the_papers_betas_and_the_schedule() -> None:
    optimizer = optimizers.discriminator_optimizer(nn.Conv2d(1, 1, 1), 1e-4)
    (group,) = optimizer.param_groups
    assert (group["lr"], group["betas"], group["weight_decay"]) == (1e-4, (0.9, 0.99), 0)
    optimizers.set_learning_rate(optimizer, 5e-5)
    assert group["lr"] == 5e-5


@pytest.mark.parametrize("name", ["sgd", "adamw", "adam"])
def test_an_update_has_the_bits_of_torchs_own_optimizer(toy: Toy, name: str) -> None:
    """Momentum, moments and weight decay over three updates, the second resumed from a saved state."""
    plain = copy.deepcopy(toy)
    kinds: dict[str, tuple[type[Optimizer], type[Optimizer], dict[str, Any]]] = {
        "sgd": (torch.optim.SGD, eager.SGD, {"momentum": 0.9, "weight_decay": 0.1, "fused": True}),
        "adamw": (torch.optim.AdamW, eager.AdamW, {"weight_decay": 0.1, "fused": True}),
        "adam": (torch.optim.Adam, eager.Adam, {"betas": (0.9, 0.99), "fused": True}),
    }
    theirs, own, options = kinds[name]
    pair = [(plain, theirs(plain.parameters(), 0.1, **options)), (toy, own(toy.parameters(), 0.1, **options))]
    for gradient in (1.0, -0.3, 0.7):
        for model, optimizer in pair:
            update(model, optimizer, gradient)
        states = [optimizer.state_dict() for _, optimizer in pair]
        assert str(states[0]) == str(states[1])
        pair[1][1].load_state_dict(states[1])
    assert all(map(torch.equal, plain.parameters(), toy.parameters()))


@pytest.mark.slow
def test_a_training_does_not_import_the_compiler_of_torch() -> None:
    """It takes as long to import as torch itself, and torch's own optimizers import it."""
    script = """
import sys
from intrada.models import build_model, discriminator
from intrada.stages import train_inter
from intrada.training import optimizers
model, judge = build_model("small", 3, {}), discriminator.build(3, 2)
made = [optimizers.discriminator_optimizer(judge, 0.1)]
made += [optimizers.segmenter_optimizer(model, *words) for words in (("sgd", 0.1), ("adamw", 0.1))]
made += [optimizers.segmenter_optimizer(model, "sgd", 0.1, multiplicity="published")]
for optimizer in made:
    for group in optimizer.param_groups:
        for weight in group["params"]:
            weight.grad = weight.detach()
    optimizer.step()
    optimizer.zero_grad()
    optimizer.load_state_dict(optimizer.state_dict())
print([name for name in sys.modules if name.startswith(("torch._dynamo", "torch._inductor"))])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
