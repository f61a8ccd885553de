"""Which batches a training reads, and the prediction before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pytest
import torch
from torch import nn

from intrada.core.config.augment_blocks import Augment
from intrada.data.batch import Batch
from intrada.methods.base import AdversarialNetworks
from intrada.training import streams as streams_module
from intrada.training import trainer
from tests.support.small_training import folder as folder  # a fixture
from tests.support.small_training import setup, train
from tests.support.tiny_segmenter import build


def test_target_batches_are_read_only_for_methods_that_need_them(monkeypatch: pytest.MonkeyPatch) -> None:
    streams: list[str] = []
    original: Callable[..., Iterator[Any]] = streams_module.training_stream

    def stream(index: pd.DataFrame, seed: int, name: str, *rest: Any) -> Iterator[Any]:
        streams.append(name)
        return original(index, seed, name, *rest)

    monkeypatch.setattr(streams_module, "training_stream", stream)
    for method, names in (("source_only", ["labelled"]), ("bn_only", ["labelled", "target"])):
        streams.clear()
        setup(method=method)
        train()
        assert streams == names


def test_target_images_have_an_augmentation_of_their_own_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: dict[str, float] = {}
    original: Callable[..., Iterator[Any]] = streams_module.training_stream

    def stream(index: pd.DataFrame, seed: int, name: str, augment: Augment, *rest: Any) -> Iterator[Any]:
        chosen[name] = augment.jitter
        return original(index, seed, name, augment, *rest)

    monkeypatch.setattr(streams_module, "training_stream", stream)
    own = {"augment_target": {"flip": False, "jitter": 0.3}}
    for blocks, jitter in (({}, 0.1), (own, 0.3)):
        setup(augment={"flip": True, "jitter": 0.1}, **blocks)
        train()
        assert chosen == {"labelled": 0.1, "target": jitter}


def test_predict_first_does_not_change_the_network_or_the_random_state() -> None:
    segmenter = build(3, dropout=0.5).train()
    before = {name: value.clone() for name, value in segmenter.state_dict().items()}
    images = torch.randint(256, (2, 3, 32, 64), dtype=torch.uint8)
    batch = Batch(["a", "b"], images, torch.zeros(2, 32, 64, dtype=torch.int64))
    random = torch.get_rng_state()
    image, label, entropy = trainer.predict_first(AdversarialNetworks(segmenter, nn.ModuleDict()), batch)
    torch.testing.assert_close(dict(segmenter.state_dict()), before, rtol=0, atol=0)
    assert segmenter.training and torch.equal(torch.get_rng_state(), random)
    assert torch.equal(image, images[0])
    assert label.shape == entropy.shape == (32, 64) and not entropy.requires_grad
