"""Recommended sizes fit the memory and the time of the device."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from intrada.core.config.schema import Params
from intrada.training import recommend, step_timing
from intrada.training.step_timing import StageTime
from tests.support.tiny_project import change

CPU = torch.device("cpu")
SIZES = {"source": (640, 480), "target": (640, 320), "val": (640, 320)}


@pytest.fixture
def advise(monkeypatch: pytest.MonkeyPatch, params_tree: dict[str, Any]) -> Any:
    """Call `recommend` for a device with so much free memory (GiB) and seconds a step and pixel."""

    def call(
        free: float, seconds: float, images: dict[str, int], minutes: int | None = None, **changes: Any
    ) -> dict[str, recommend.Advice]:
        def measured(_: Params, costs: Any, *__: Any) -> list[StageTime]:
            pixels = [sum(width * height for width, height in cost.sizes) for cost in costs]
            return [StageTime(1, seconds * number, 1.0, 1.0, 1.0) for number in pixels]

        monkeypatch.setattr(step_timing, "measure_all", measured)
        monkeypatch.setattr(step_timing, "is_busy", lambda _: False)
        monkeypatch.setattr(recommend, "_free", lambda _: free)
        params = Params.model_validate(change(params_tree, **changes))
        return {one.title: one for one in recommend.recommend(params, images, SIZES, CPU, minutes)}

    return call


IMAGES = {"source": 400, "target": 300}


def test_the_size_of_the_images_is_kept_if_there_is_memory_and_time(advise: Any) -> None:
    size = advise(64, 1e-9, IMAGES)["size"]
    assert size.keys["preprocess.target.size"] == [640, 320] and "that of the images" in size.reason
    assert size.keys["preprocess.source.size"] == [520, 392]  # as many pixels, in its own shape


@pytest.mark.parametrize("free, seconds, limit", [(0.25, 1e-9, "GiB"), (64, 2e-5, "min")])
def test_less_memory_or_time_lowers_it_and_the_reason_says_why(
    free: float, seconds: float, limit: str, advise: Any
) -> None:
    size = advise(free, seconds, IMAGES)["size"]
    width, height = size.keys["preprocess.target.size"]
    assert width < 640 and width == 2 * height and width % 8 == 0
    assert "needs" in size.reason and limit in size.reason.split("needs")[1]


@pytest.mark.parametrize("minutes, width", [(None, 640), (8, 640), (6, 480), (3, 320), (1, 160)])
def test_the_limit_of_minutes_decides_the_size(minutes: int | None, width: int, advise: Any) -> None:
    """At 1 us a pixel the trainings take 800 x 0.20 s, 400 x 0.41 s and 260 x 0.41 s: together 7 min."""
    size = advise(64, 1e-6, IMAGES, minutes)["size"]
    assert size.keys["preprocess.target.size"] == [width, width // 2]
    assert f"(limit {minutes or 60} min)" in size.reason
    if width == 640:
        assert size.reason.startswith("trainings of about 7 min")


def test_iterations_are_passes_over_the_images(advise: Any) -> None:
    advice = advise(64, 1e-9, IMAGES)
    shown = {name: advice[f"{name}.iterations"].shown for name in recommend.PASSES}
    assert shown == {
        "train_source": "800",
        "train_inter": "400",
        "train_intra": "260",
    }  # the toy city: 800, 400, 250
    assert advise(64, 1e-9, {"source": 5, "target": 5})["train_inter.iterations"].shown == "150"


def test_the_learning_rate_follows_the_batch(advise: Any) -> None:
    adam = advise(64, 1e-9, IMAGES)  # the tiny project has batches of 2
    assert adam["batch_size"].shown == "4"
    assert adam["train_inter.optimizer.lr"].keys["train_inter.optimizer.lr"] == pytest.approx(
        5e-4 * 2**0.5, rel=0.01
    )
    same = advise(64, 1e-9, IMAGES, train_inter__batch_size=4)
    assert same["train_inter.optimizer.lr"].keys["train_inter.optimizer.lr"] == 5e-4
    few = advise(64, 1e-9, {"source": 3, "target": 300})
    assert few["batch_size"].shown == "3"
