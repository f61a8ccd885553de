from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from intrada.core import files
from intrada.core.config.classes import CITYSCAPES_19, class_set
from intrada.core.errors import UserError
from intrada.core.stage import Context
from intrada.data import tables
from intrada.evaluation import evaluator
from intrada.evaluation.evaluator import assign_subsets, choose_samples, summary
from intrada.evaluation.metrics import confusion_matrix
from intrada.evaluation.pixel_stats import Collector, PixelStats
from intrada.inference.predictor import Predictor
from intrada.methods.entropy import information_map, pixel_entropy
from intrada.models.base import SegmentationModel, upsample

CPU = torch.device("cpu")
CONTEXT = Context("evaluate@inter", "0" * 32, Path("runs"))
PALETTE = class_set(["sky", "road"]).palette()
# low-resolution logits of class road over sky, by the value of the image's pixels
LOGITS = {
    1: [[-3.0, 1.0], [2.0, -1.0]],
    2: [[9.0, 9.0], [-9.0, 9.0]],
    3: [[0.1, -0.1], [0.3, 0.2]],
}


class FixedModel(SegmentationModel):
    """Return LOGITS[v] for an image whose pixels have the value v: two classes, logits of 2x2."""

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        road = torch.tensor([LOGITS[int(image[0, 0, 0])] for image in images])
        return {
            "main": torch.stack([torch.zeros_like(road), road], 1),
            "aux": torch.zeros(len(images), 2, 2, 2),
        }

    def normalise(self, images: Tensor) -> Tensor:
        return images.float()


NET = FixedModel().eval()
PREDICTOR = Predictor([NET])
CLASSES = class_set(["sky", "road"])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def upsampled_logits(value: int, height: int, width: int) -> Tensor:
    """Return the upsampled logits (2, height, width) of the image with this value."""
    images = torch.full((1, 3, 1, 1), value)
    return upsample(NET(NET.normalise(images))["main"], (height, width))[0]


def row(value: int, height: int, width: int, label: np.ndarray | None) -> tuple[object, ...]:
    files.write_image(Path(f"{value}.png"), np.full((height, width, 3), value, np.uint8))
    if label is not None:
        files.write_label(Path(f"{value}_label.png"), label.astype(np.uint8), PALETTE)
    return str(value), f"{value}.png", "" if label is None else f"{value}_label.png", width, height


def frame(*rows: tuple[object, ...]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=tables.INDEX_COLUMNS)


def measure(index: pd.DataFrame, batch_size: int = 1) -> np.ndarray:
    (confusions,) = evaluator.measure([PREDICTOR], index, batch_size, CPU, CONTEXT)
    return confusions


def collect(index: pd.DataFrame, batch_size: int = 1) -> PixelStats:
    collector = Collector(len(index), 2)
    evaluator.measure([PREDICTOR], index, batch_size, CPU, CONTEXT, [collector])
    return collector.stats


def test_logits_are_upsampled_to_the_size_of_the_label() -> None:
    truth = upsampled_logits(1, 9, 14).argmax(0).numpy()
    actual = measure(frame(row(1, 4, 6, truth)))
    sky, road = int((truth == 0).sum()), int((truth == 1).sum())
    assert sky and road and actual.tolist() == [[[sky, 0], [0, road]]]
    small = upsampled_logits(1, 4, 6).argmax(0, keepdim=True)[None].float()
    nearest = nn.functional.interpolate(small, (9, 14))[0, 0].numpy()
    assert (nearest != truth).any()  # labels enlarged instead of logits would not be equal


def test_entropy_is_the_mean_at_the_size_of_the_image() -> None:
    actual = collect(frame(row(1, 4, 6, np.zeros((9, 14)))))
    expected = pixel_entropy(information_map(upsampled_logits(1, 4, 6)[None])).mean().item()
    assert actual.entropy.tolist() == pytest.approx([expected])
    assert 0 < expected < 1


def test_ignored_pixels_and_images_without_a_label_are_not_counted() -> None:
    truth = np.full((4, 6), 255)
    truth[0, 0], truth[0, 5] = 0, 1
    index = frame(row(2, 4, 6, truth), row(3, 4, 6, None))
    assert measure(index, batch_size=2).tolist() == [[[0, 1], [0, 1]], [[0, 0], [0, 0]]]
    actual = collect(index, batch_size=2)
    assert actual.confidence.sum(0).tolist() == [1, 1] and actual.predicted.sum(1).tolist() == [24, 24]
    assert actual.entropy[1] > 0.9 > actual.entropy[0]


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_results_have_the_order_of_the_index_for_any_batch_size(batch_size: int) -> None:
    index = frame(row(3, 4, 6, np.ones((4, 6))), row(1, 5, 7, np.zeros((5, 7))), row(2, 4, 6, None))
    actual = measure(index, batch_size)
    single = [measure(index.iloc[[image]]) for image in range(3)]
    assert actual.tolist() == [result[0].tolist() for result in single]
    parts = [collect(index.iloc[[image]]) for image in range(3)]
    assert collect(index, batch_size).entropy == pytest.approx([part.entropy.item() for part in parts])
    assert actual.sum((1, 2)).tolist() == [24, 35, 0]


@pytest.mark.parametrize(
    "entropy, hard",
    [
        ([0.1, 0.9, 0.2, 0.8, 0.3, 0.7], "bd"),
        ([0.1, 0.9, 0.2, 0.8, 0.3, 0.7, 0.0], "bd"),
        ([0.1, 0.9, 0.2, 0.8, 0.3, 0.7, 0.0, 0.0], "bdf"),
        ([0.5, 0.5, 0.5], "a"),
        ([0.2, 0.3], "b"),
        ([0.2], ""),
    ],
)
def test_the_third_with_the_highest_entropy_is_hard(entropy: list[float], hard: str) -> None:
    names = list("abcdefgh"[: len(entropy)])
    actual = assign_subsets(pd.DataFrame({"id": names}), np.array(entropy))
    assert "".join(actual["id"][actual["subset"] == "hard"]) == hard
    assert set(actual["subset"]) <= {"easy", "hard"}
    assert actual["id"].tolist() == names and actual["entropy"].tolist() == entropy


def test_the_summary_is_in_percent_over_all_easy_and_hard_images() -> None:
    confusions = np.array([[[6, 0], [2, 0]], [[1, 1], [1, 1]], [[0, 0], [0, 0]]])
    actual = summary(confusions, pd.Series(["easy", "hard", "easy"]), CLASSES)
    # all: [[7, 1], [3, 1]]: 7/11 and 1/5; easy: 6/8 and 0/2; hard: 1/3 and 1/3
    assert actual == pytest.approx(
        {
            "mIoU": 100 * (7 / 11 + 1 / 5) / 2,
            "mIoU_easy": 37.5,
            "mIoU_hard": 100 / 3,
            "pixel_accuracy": 100 * 8 / 12,
        }
    )


def test_without_labels_the_summary_is_none_and_not_zero() -> None:
    keys = ("mIoU", "mIoU_easy", "mIoU_hard", "pixel_accuracy")
    assert summary(np.zeros((2, 3, 3), np.int64), pd.Series(["easy", "hard"]), CLASSES) == dict.fromkeys(keys)


def test_the_numbers_of_an_image_are_in_percent_and_empty_without_labelled_pixels() -> None:
    actual = evaluator.of_images(np.array([[[6, 0], [2, 0]], [[0, 0], [0, 0]]]))
    assert actual["mIoU"].tolist() == pytest.approx([37.5, np.nan], nan_ok=True)  # 6/8 and 0/2
    assert actual["pixel_accuracy"].tolist() == pytest.approx([75, np.nan], nan_ok=True)


def test_the_counts_of_an_image_are_rows_columns_and_diagonal_of_its_matrix() -> None:
    """Of 7 sky pixels 2 are predicted as road, of 4 road pixels 1 as sky; the second image has no label."""
    found = evaluator.counts(np.array([[[5, 2], [1, 3]], [[0, 0], [0, 0]]]), ["a", "b"], CLASSES)
    assert found.to_dict("list") == {
        "image": ["a", "a", "b", "b"],
        "class": ["sky", "road", "sky", "road"],
        "truth": [7, 4, 0, 0],
        "predicted": [6, 5, 0, 0],
        "hits": [5, 3, 0, 0],
    }


def test_a_subset_without_images_or_labels_has_no_iou() -> None:
    confusions = np.array([[[1, 0], [0, 1]], [[0, 0], [0, 0]]])
    assert summary(confusions, pd.Series(["easy", "hard"]), CLASSES)["mIoU_hard"] is None
    assert summary(confusions[:1], pd.Series(["easy"]), CLASSES)["mIoU_hard"] is None
    assert summary(confusions[:1], pd.Series(["easy"]), CLASSES)["mIoU_easy"] == 100


@pytest.mark.parametrize(
    "ends, between, names",
    [
        (1, 0, "ce"), (2, 0, "cade"), (3, 0, "cabfde"), (99, 0, "cabfde"),
        (1, 3, "ceb"), (2, 2, "cade"), (1, 99, "ceabfd"),
    ],
)  # fmt: skip
def test_the_extreme_images_and_an_even_sample_are_chosen_without_duplicates(
    ends: int, between: int, names: str
) -> None:
    images = pd.DataFrame({"id": list("abcdef"), "entropy": [0.2, 0.3, 0.1, 0.8, 0.9, 0.4]})
    assert "".join(choose_samples(images, ends, between)["id"]) == names
    assert list(images["id"]) == list("abcdef")


def test_samples_are_predictions_and_entropies_at_the_networks_input_size(tmp_path: Path) -> None:
    index = frame(row(1, 4, 6, None), row(3, 5, 7, None))
    evaluator.write_samples(PREDICTOR, index, tmp_path / "samples", PALETTE, CPU)
    written = [
        path.relative_to(tmp_path / "samples").as_posix() for path in files.list_files(tmp_path / "samples")
    ]
    assert written == ["entropy/1.png", "entropy/3.png", "prediction/1.png", "prediction/3.png"]
    for value, height, width in ((1, 4, 6), (3, 5, 7)):
        logits = upsampled_logits(value, height, width)
        prediction = files.read_label(tmp_path / f"samples/prediction/{value}.png")
        assert np.array_equal(prediction, logits.argmax(0).numpy())
        grey = files.read_label(tmp_path / f"samples/entropy/{value}.png")
        entropy = pixel_entropy(information_map(logits[None]))[0].numpy()
        assert np.abs(grey / 255 - entropy).max() <= 0.5 / 255 + 1e-6


def test_the_summary_has_the_means_over_16_and_13_classes() -> None:
    """Each class has ten pixels. All are correct, except that wall (class 3) is predicted as road."""
    confusion = np.diag([10] * 19)
    confusion[3, 3], confusion[3, 0] = 0, 10
    actual = summary(confusion[None], pd.Series(["easy"]), class_set(CITYSCAPES_19))
    assert actual["mIoU"] == actual["mIoU_19"] == pytest.approx(100 * (17 + 0.5) / 19)
    assert actual["mIoU_16"] == pytest.approx(100 * (14 + 0.5) / 16)
    assert actual["mIoU_13"] == pytest.approx(100 * (12 + 0.5) / 13)  # wall still lowers road's IoU


@pytest.mark.parametrize("height, width", [(9, 14), (4, 6), (64, 33)])
def test_confusions_match_confusion_matrix_of_the_argmax(height: int, width: int) -> None:
    """Ties (a logit of 0 for both classes) and ignored pixels are included."""
    random = np.random.default_rng(height)
    truth = random.choice([0, 1, 255], (height, width)).astype(np.uint8)
    prediction = upsampled_logits(1, height, width).argmax(0).numpy()
    actual = measure(frame(row(1, 4, 6, truth)))
    assert np.array_equal(actual[0], confusion_matrix(truth, prediction, 2))
    assert actual.dtype == np.int64


def test_entropies_are_computed_only_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(evaluator, "predict_pixels")
    index = frame(row(1, 4, 6, np.zeros((4, 6))))
    (confusions,) = evaluator.measure([PREDICTOR, PREDICTOR], index, 1, CPU, CONTEXT)[1:]
    assert confusions.sum() == 24


def test_each_image_is_read_once_for_several_models(monkeypatch: pytest.MonkeyPatch) -> None:
    index = frame(row(1, 4, 6, np.zeros((4, 6))), row(3, 5, 7, np.zeros((5, 7))))
    read: list[Path] = []
    readers = {name: getattr(files, name) for name in ("read_image", "read_label")}
    for name, reader in readers.items():
        monkeypatch.setattr(files, name, lambda path, reader=reader: (read.append(path), reader(path))[1])
    collectors = [Collector(2, 2) for _ in range(3)]
    evaluator.measure([PREDICTOR] * 3, index, 1, CPU, CONTEXT, collectors)
    assert sorted(read) == sorted(Path(path) for path in (*index["image"], *index["label"]))


def test_a_label_value_that_is_no_class_is_refused() -> None:
    truth = np.array([[0, 1, 255], [2, 254, 0]])
    with pytest.raises(UserError, match=r"1_label.png: the values \[2, 254\]"):
        measure(frame(row(1, 4, 6, truth)))
