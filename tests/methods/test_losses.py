from __future__ import annotations

import math

import pytest
import torch

from intrada.methods import losses
from intrada.methods.entropy import information_map

LN2, LN3 = math.log(2), math.log(3)


# Two pixels, two classes: logits (0, ln 3) give probabilities 1/4, 3/4; logits (0, 0) give 1/2, 1/2.
@pytest.mark.parametrize(
    "labels, loss",
    [
        ((0, 0), (2 * LN2 + LN2) / 2),
        ((1, 1), (2 * LN2 - LN3 + LN2) / 2),
        ((1, 255), 2 * LN2 - LN3),
        ((-1, 1), LN2),
        ((2, 0), LN2),
        ((255, -1), 0.0),
    ],
)
def test_cross_entropy_by_hand(labels: tuple[int, int], loss: float) -> None:
    logits = torch.tensor([[[0.0, 0.0]], [[LN3, 0.0]]], dtype=torch.float64).unsqueeze(0)
    actual = losses.cross_entropy(logits, torch.tensor([[labels]]))
    assert actual.item() == pytest.approx(loss, abs=1e-12)


def test_a_batch_of_ignored_labels_gives_zero_loss_and_zero_gradient() -> None:
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    loss = losses.cross_entropy(logits, torch.full((1, 2, 2), 255))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None and not logits.grad.any()


def test_cross_entropy_is_the_mean_over_all_valid_pixels_of_the_batch() -> None:
    logits = torch.zeros(2, 2, 1, 2, dtype=torch.float64)
    logits[1, 1] = LN3
    labels = torch.tensor([[[0, 255]], [[0, 0]]])  # one valid pixel in the first image, two in the second
    assert losses.cross_entropy(logits, labels).item() == pytest.approx((LN2 + 2 * 2 * LN2) / 3)


@pytest.mark.parametrize(
    "d_logits, domain, loss",
    [
        (0.0, losses.SOURCE, LN2),
        (0.0, losses.TARGET, LN2),
        (LN3, losses.SOURCE, 2 * LN2),
        (LN3, losses.TARGET, 2 * LN2 - LN3),
    ],
)
def test_domain_bce_by_hand(d_logits: float, domain: float, loss: float) -> None:
    actual = losses.domain_bce(torch.full((2, 1, 3, 4), d_logits, dtype=torch.float64), domain)
    assert actual.item() == pytest.approx(loss, abs=1e-12)


def test_the_adversarial_loss_moves_logits_towards_the_domain() -> None:
    d_logits = torch.zeros(1, 1, 1, 1, requires_grad=True)
    losses.domain_bce(d_logits, losses.SOURCE).backward()
    assert (
        d_logits.grad is not None and d_logits.grad.item() > 0
    )  # a step against it makes the logit negative: source


def test_minent_is_the_mean_pixel_entropy() -> None:
    # two images of four pixels: one undecided between four classes (entropy 1), seven certain (entropy 0)
    logits = torch.full((2, 4, 2, 2), -1e4, dtype=torch.float64)
    logits[:, 0] = 0
    logits[0, :, 0, 0] = 0
    assert losses.minent(information_map(logits)).item() == pytest.approx(1 / 8)
