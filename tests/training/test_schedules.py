"""Learning rates by hand: poly and cosine decay, warm-up."""

from __future__ import annotations

from typing import Any

import pytest

from intrada.core.config.load import validate
from intrada.core.config.optimizer_blocks import Schedule
from intrada.core.errors import UserError
from intrada.training.cost_estimate import META, build_trainer
from intrada.training.schedules import learning_rate, poly
from tests.support.tiny_project import PARAMS, change, tree


def test_poly_by_hand() -> None:
    assert poly(2.0, 0, 10, 0.9) == 2.0
    assert poly(2.0, 10, 10, 0.9) == 0.0
    assert poly(2.0, 5, 10, 2) == pytest.approx(0.5)
    assert poly(2.5e-4, 119_999, 250_000, 0.9) == pytest.approx(1.3878611683209221e-4, rel=1e-12)


@pytest.mark.parametrize(
    "decay, iteration, expected",
    [
        ("poly", 0, 8.0 * 0.25),  # the ratio alone
        ("poly", 2, 8.0 * 0.8 * 0.625),  # half of the warm-up: 0.25 + 0.75 / 2
        ("poly", 4, 8.0 * 0.6),  # the warm-up is over
        ("poly", 10, 0.0),
        ("cosine", 0, 8.0 * 0.25),
        ("cosine", 5, 8.0 / 2),
        ("cosine", 10, 0.0),
    ],
)
def test_warm_up_and_decay_by_hand(decay: Any, iteration: int, expected: float) -> None:
    schedule = Schedule(warmup=4, warmup_ratio=0.25, decay=decay)
    assert learning_rate(8.0, iteration, 10, 1.0, schedule) == pytest.approx(expected, abs=1e-15)


def test_dafomers_schedule_has_its_published_rates() -> None:
    """6e-5, 1,500 iterations from a ratio of 1e-6, power 1, 40,000 iterations."""
    schedule = Schedule(warmup=1500, warmup_ratio=1e-6, decay="poly")
    rates = [learning_rate(6e-5, at, 40_000, 1.0, schedule) for at in (0, 750, 1500, 20_000)]
    assert rates == pytest.approx([6e-11, 6e-5 * 0.98125 * 0.5000005, 6e-5 * 0.9625, 3e-5], rel=1e-12)


def test_without_a_schedule_the_rates_are_those_of_poly_bit_for_bit() -> None:
    assert [learning_rate(2.5e-4, at, 10, 0.9, None) for at in range(11)] == [
        poly(2.5e-4, at, 10, 0.9) for at in range(11)
    ]


def test_the_trainer_warms_up_the_segmenter_and_the_discriminators() -> None:
    block = {"train_inter__schedule": {"warmup": 2, "warmup_ratio": 0.5, "decay": "poly"}}
    params = validate(PARAMS, change(tree(), **block, train_inter__power=1.0))
    trainer = build_trainer(params, params.train_inter, META)
    bases = {"lr": params.train_inter.optimizer.lr, "lr_discriminator": params.train_inter.discriminator.lr}
    for iteration, factor in enumerate((0.5, 0.75 * 0.75, 0.5, 0.25)):  # of 4 iterations
        trainer.iteration = iteration
        assert trainer.rates() == pytest.approx({name: base * factor for name, base in bases.items()})


@pytest.mark.parametrize(
    "schedule",
    [
        {"warmup": 0},
        {"warmup": 4},
        {"warmup_ratio": 0.0},
        {"warmup_ratio": 1.5},
        {"decay": "step"},
        {"more": 1},
    ],
)
def test_other_schedules_are_refused(schedule: dict[str, Any]) -> None:
    whole = {"warmup": 2, "warmup_ratio": 0.5, "decay": "poly"} | schedule
    with pytest.raises(UserError, match="train_inter.*schedule|train_inter: .*warmup"):
        validate(PARAMS, change(tree(), train_inter__schedule=whole))
