"""ClassMix: which classes are pasted, and what the mixed images are."""

from __future__ import annotations

import pytest
import torch

from intrada.methods.self_training.class_mix import mix, pasted


@pytest.mark.parametrize(
    "label, keys, classes",
    [
        ([[0, 1], [2, 3]], [0.4, 0.1, 0.3, 0.2], {1, 3}),  # the two of four classes with the lowest keys
        ([[0, 1], [2, 2]], [0.4, 0.1, 0.3, 0.0], {1, 2}),  # class 3 is absent; half of three is two
        ([[5, 5], [5, 5]], [0.0, 0.1, 0.2, 0.3, 0.4, 0.9], {5}),  # one class: all of the image
        ([[255, 1], [0, 255]], [0.9, 0.1], {1}),  # ignored pixels are no class
        ([[255, 255], [-1, 255]], [0.9, 0.1], set()),
    ],
)
def test_half_of_the_classes_in_the_label_are_pasted(
    label: list[list[int]], keys: list[float], classes: set[int]
) -> None:
    labels = torch.tensor(label)
    mask = pasted(labels, torch.tensor(keys))
    assert set(labels[mask].tolist()) == classes
    assert all(value not in classes for value in labels[~mask].tolist())


def test_every_half_of_the_classes_is_drawn_equally_often() -> None:
    label = torch.tensor([[0, 1, 2, 3]])
    random = torch.Generator().manual_seed(0)
    halves = [tuple(pasted(label, torch.rand(4, generator=random))[0].tolist()) for _ in range(1200)]
    counts = [halves.count(half) for half in set(halves)]
    assert len(counts) == 6 and all(sum(half) == 2 for half in halves)
    assert min(counts) > 150 and max(counts) < 250  # 200 expected, standard deviation 13


def test_a_mixed_image_has_the_pasted_values_inside_the_mask_and_its_own_outside() -> None:
    mask = torch.tensor([[True, False]])
    image, other = (
        torch.arange(6, dtype=torch.uint8).view(3, 1, 2),
        torch.full((3, 1, 2), 9, dtype=torch.uint8),
    )
    assert mix(mask, other, image).tolist() == [[[9, 1]], [[9, 3]], [[9, 5]]]
