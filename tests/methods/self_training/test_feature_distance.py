"""The feature distance, worked by hand on features of 2 x 2 cells."""

from __future__ import annotations

import math

import torch

from intrada.methods.self_training.feature_distance import distance, mostly_of, recorded
from tests.support.tiny_segmenter import build

THINGS = torch.tensor([1, 2])


def test_a_feature_counts_where_one_of_the_classes_has_the_share_of_its_pixels() -> None:
    label = torch.tensor([[[1, 1, 1, 2], [1, 0, 2, 1], [2, 2, 0, 0], [2, 2, 255, 1]]])
    assert mostly_of(label, THINGS, (2, 2), 0.75).tolist() == [[[True, False], [True, False]]]
    assert mostly_of(label, THINGS, (2, 2), 0.5).tolist() == [[[True, True], [True, False]]]


def test_the_distance_is_the_mean_length_of_the_differences_that_count() -> None:
    initial = torch.zeros(1, 2, 1, 3)
    features = torch.tensor([[[[3.0, 1.0, 0.0]], [[4.0, 1.0, 5.0]]]])
    assert distance(features, initial, torch.tensor([[[True, False, True]]])).item() == 5.0
    both = distance(features, initial, torch.tensor([[[True, True, False]]])).item()
    assert both == (5 + math.sqrt(2)) / 2 or abs(both - (5 + math.sqrt(2)) / 2) < 1e-6


def test_without_a_thing_and_at_equal_features_distance_and_gradient_are_0_not_nan() -> None:
    """The published code gives nan for an image without things."""
    for mask in (torch.zeros(1, 2, 2, dtype=torch.bool), torch.ones(1, 2, 2, dtype=torch.bool)):
        features = torch.ones(1, 3, 2, 2, requires_grad=True)
        value = distance(features, torch.ones(1, 3, 2, 2), mask)
        value.backward()
        assert value.item() == 0 and features.grad is not None and not features.grad.any()


def test_the_recorded_features_are_those_of_the_last_stage_and_have_a_gradient() -> None:
    network = build(3)
    features: list[torch.Tensor] = []
    with recorded(network, features):
        network(network.normalise(torch.zeros(2, 3, 32, 32)))
    network(network.normalise(torch.zeros(2, 3, 32, 32)))  # no longer recorded
    [recorded_features] = features
    assert recorded_features.shape[0] == 2 and recorded_features.requires_grad
