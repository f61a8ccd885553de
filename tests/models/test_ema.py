from __future__ import annotations

import torch
from torch import nn

from intrada.models.ema import update


def network(value: float) -> nn.BatchNorm1d:
    """Return a layer with `value` as weight, bias and statistics, and 10 times that as batch counter."""
    layer = nn.BatchNorm1d(1)
    for tensor in layer.state_dict().values():
        tensor.fill_(value if tensor.is_floating_point() else 10 * value)
    return layer


def test_the_average_is_a_plain_mean_until_the_decay_is_reached_and_exponential_then() -> None:
    mean, actual = network(100.0), []
    for iteration, value in enumerate((1.0, 3.0, 8.0, 0.0), start=1):
        update(mean, network(value), iteration, decay=0.6)
        actual.append(mean.running_mean.item())
    # 1; (1 + 3) / 2; from then on 1 - 1/3 > 0.6: 0.6 * 2 + 0.4 * 8; 0.6 * 4.4
    torch.testing.assert_close(actual, [1.0, 2.0, 4.4, 2.64])
    assert mean.weight.item() == mean.running_mean.item()
    assert mean.num_batches_tracked.item() == 0  # integers are copied from the network


def test_an_update_does_not_change_the_network_and_has_no_gradient() -> None:
    mean, source = network(0.0), network(4.0)
    update(mean, source, 2, decay=0.9)
    assert source.weight.item() == 4.0 and mean.weight.item() == 2.0
    assert mean.weight.grad_fn is None
