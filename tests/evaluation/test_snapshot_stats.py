"""What the criteria are computed from, for networks whose prediction of each pixel is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from intrada.core import files
from intrada.core.config.augment_blocks import Photometric
from intrada.core.distributed.launcher import SINGLE_RANK, Rank, interleave
from intrada.core.stage import Context
from intrada.data import tables
from intrada.evaluation import criteria, snapshot_stats
from intrada.evaluation.snapshot_stats import ImageStats, Totals, image_stats, mean_agreements, of_target
from intrada.inference.predictor import Predictor
from intrada.methods.entropy import information_map, pixel_entropy
from intrada.models.base import SegmentationModel, upsample

CPU = torch.device("cpu")
CONTEXT = Context("evaluate_snapshots@inter", "0" * 32, Path("runs"))
MAPS = {
    "a": [[0, 0, 250, 250], [0, 0, 250, 250], [90, 90, 130, 130], [90, 90, 130, 130]],
    "b": [[100, 100, 0, 0], [100, 100, 0, 0]],
    "c": [[240, 240, 10, 10, 200, 200], [240, 240, 10, 10, 200, 200]],
}


class Brightness(SegmentationModel):
    """The logit of class road over sky is (mean grey value of 2x2 pixels - threshold) / 20."""

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        road = (avg_pool2d(images.mean(1, keepdim=True), 2) - self.threshold) / 20
        return {"main": torch.cat([torch.zeros_like(road), road], 1)}

    def normalise(self, images: Tensor) -> Tensor:
        return images.float()


class LeftIsRoad(Brightness):
    """Class road in the left half of every image."""

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        road = torch.full((len(images), 1, images.shape[2] // 2, images.shape[3] // 2), -3.0)
        road[..., : road.shape[3] // 2] = 3
        return {"main": torch.cat([torch.zeros_like(road), road], 1)}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def index(*names: str) -> pd.DataFrame:
    rows = []
    for name in names:
        grey = np.array(MAPS[name], np.uint8)
        files.write_image(Path(f"{name}.png"), grey[..., None].repeat(3, 2))
        rows.append((name, f"{name}.png", "", grey.shape[1], grey.shape[0]))
    return pd.DataFrame(rows, columns=tables.INDEX_COLUMNS)


def measured(
    nets: Sequence[SegmentationModel], frame: pd.DataFrame, rank: Rank = SINGLE_RANK
) -> tuple[list[list[list[ImageStats]]], Totals]:
    totals: Totals = {}
    predictors = [Predictor([net.eval()]) for net in nets]
    return image_stats(predictors, frame, 1, CPU, CONTEXT, totals, rank), totals


def of_net(net: SegmentationModel, *names: str) -> list[ImageStats]:
    ((batches,), _) = measured([net], index(*names))
    return [image for batch in batches for image in batch]


def logits(net: SegmentationModel, name: str) -> Tensor:
    grey = torch.tensor(MAPS[name], dtype=torch.float32)
    return net(grey.expand(1, 3, *grey.shape))["main"]


def test_mutual_information_averages_both_terms_over_the_images() -> None:
    """An image of 16 pixels and one of 8 pixels have the same weight."""
    net = Brightness(100)
    large = [upsample(logits(net, name), np.shape(MAPS[name])) for name in ("a", "b")]
    mean = sum(values.softmax(1).mean((0, 2, 3)).double().numpy() for values in large) / 2
    entropy = sum(pixel_entropy(information_map(values)).mean().item() for values in large) / 2
    actual = of_target(of_net(net, "a", "b"))
    assert actual["mean_entropy"] == pytest.approx(entropy, abs=1e-6)
    expected = criteria.mutual_information(mean, entropy)
    assert actual["information"] == pytest.approx(expected, abs=1e-6) and expected > 0.01


def test_the_nuclear_norm_is_that_of_every_pixel_of_the_networks_output() -> None:
    net = Brightness(100)
    rows = torch.cat([logits(net, name).softmax(1).flatten(2)[0].T for name in ("a", "b")])
    expected = np.linalg.norm(rows.double().numpy(), "nuc") / math.sqrt(rows.numel())
    images = of_net(net, "a", "b")
    assert [image.pixels for image in images] == [4, 2]
    assert of_target(images)["nuclear_norm"] == pytest.approx(expected, abs=1e-6)
    density = criteria.neighbourhood_density(rows.double().numpy())  # so few pixels are all in the sample
    assert of_target(images)["neighbourhood_density"] == pytest.approx(density, abs=1e-6)


def test_the_neighbourhood_density_takes_equally_many_pixels_of_each_image(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(snapshot_stats, "NEIGHBOURS", 5)
    assert [len(image.sampled) for image in of_net(Brightness(100), "a", "b")] == [3, 2]


def test_a_changed_image_is_mirrored_and_its_prediction_mirrored_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(snapshot_stats, "VIEW", Photometric())
    assert [image.flip_agreement for image in of_net(Brightness(100), "a", "b")] == [1, 1]
    assert [image.flip_agreement for image in of_net(LeftIsRoad(0), "a", "b")] == [0, 0]


def test_the_colours_of_the_second_view_are_changed_in_the_same_way_for_each_network() -> None:
    sure, unsure = of_net(Brightness(50), "c")[0], of_net(Brightness(205), "c")[0]
    assert sure.flip_agreement == 1  # 240, 10 and 200 keep their side of 50
    assert unsure.flip_agreement < 1  # and one of 240 and 200 changes its side of 205
    assert of_net(Brightness(205), "c")[0].flip_agreement == unsure.flip_agreement


def test_the_confidences_of_all_pixels_are_counted() -> None:
    (image,) = of_net(LeftIsRoad(0), "b")
    assert image.confidence.sum() == 8
    assert image.confidence[round(1000 / (1 + math.exp(-3)))] == 4  # at both sides; between, it is smaller


def test_the_agreement_with_the_mean_of_the_snapshots_is_of_classes() -> None:
    """Image a has the grey values 0, 250, 90 and 130: the mean of the logits' softmax decides."""
    nets = [Brightness(100), Brightness(120), Brightness(10)]
    stats, totals = measured(nets, index("a"))
    mean = sum(logits(net, "a").softmax(1) for net in nets) / 3
    # 90: two of three say sky, but the third is surer
    assert mean.argmax(1).flatten().tolist() == [0, 1, 1, 1]
    agreements = [mean_agreements(batches[0], totals) for batches in stats]
    assert agreements == [[0.75], [0.75], [1.0]]


def test_the_statistics_do_not_depend_on_the_number_of_processes() -> None:
    frame, nets = index("a", "b", "c"), [Brightness(100), Brightness(120)]
    whole, totals = measured(nets, frame)
    parts = [measured(nets, frame, Rank(rank, 2)) for rank in range(2)]
    for number in range(2):
        batches = interleave([stats[number] for stats, _ in parts])
        found = of_target([image for batch in batches for image in batch])
        assert found == of_target([image for batch in whole[number] for image in batch])
        agreements = [
            value
            for batch in interleave(
                [[mean_agreements(b, part) for b in stats[number]] for stats, part in parts]
            )
            for value in batch
        ]
        assert agreements == [value for batch in whole[number] for value in mean_agreements(batch, totals)]
