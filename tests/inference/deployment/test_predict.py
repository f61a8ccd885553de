"""The command predict on images: labels, entropies and overlays, compared with the code of the stages."""

from __future__ import annotations

import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from intrada.core import files
from intrada.core.config.classes import CITYSCAPES_IDS
from intrada.core.stage import Context
from intrada.data import tables
from intrada.inference import scoring
from intrada.inference.deployment import frames
from intrada.methods import entropy
from tests.support import trained_model
from tests.support.predicting import CPU, OUT, film, label, logits, predict, put, written_bytes
from tests.support.predicting import model as model  # a fixture
from tests.support.trained_model import CLASSES, MODEL, NAMES, SIZE


def test_labels_entropies_and_counts_equal_those_of_the_stage_score(model: Path) -> None:
    for number in range(3):
        put(f"data/{number}.png", number)
    assert predict("data", "--batch-size", "2") == 0
    rows = [(str(number), f"data/{number}.png", "", *SIZE) for number in range(3)]
    index = pd.DataFrame(rows, columns=tables.INDEX_COLUMNS)
    folders = Path("predictions"), Path("confidence")
    context = Context("score", "0" * 32, Path("runs"))
    expected = scoring.score(trained_model.predictor(), index, 2, folders, CLASSES, CPU, context)
    actual = files.read_csv(OUT / "predictions.csv")
    pd.testing.assert_frame_equal(actual, expected, check_dtype=False, rtol=1e-5)
    for number in range(3):
        ours, theirs = (folder / f"{number}.png" for folder in (OUT / "prediction", folders[0]))
        assert ours.read_bytes() == theirs.read_bytes()
        assert len(np.unique(files.read_label(ours))) > 3


def test_the_network_gets_the_given_size_and_results_have_the_size_of_the_image(model: Path) -> None:
    image = put("photo.png", size=(101, 67))
    assert predict("photo.png") == 0  # at the size of its training
    default = label("photo")
    assert predict("photo.png", "--size", "48x32") == 0
    expected = logits(image)
    assert np.array_equal(label("photo"), default)
    assert np.array_equal(label("photo"), expected[0].argmax(0).numpy())
    assert not np.array_equal(label("photo"), logits(image, (101, 67))[0].argmax(0).numpy())
    confidence = entropy.pixel_entropy(entropy.information_map(expected))[0].numpy()
    grey = files.read_label(OUT / "entropy/photo.png")
    assert np.array_equal(grey, np.rint(255 * confidence).astype(np.uint8)) and np.ptp(grey) > 20
    (row,) = files.read_csv(OUT / "predictions.csv").itertuples()
    assert row.entropy == pytest.approx(confidence.mean(), rel=1e-5)
    assert sum(row[3:]) == 101 * 67


@pytest.mark.parametrize("dtype", [torch.bool, torch.int8, torch.complex64])
def test_a_model_with_tensors_of_another_type_is_refused(
    model: Path, dtype: torch.dtype, capsys: pytest.CaptureFixture[str]
) -> None:
    put("photo.png")
    with safe_open(MODEL, "pt") as file:
        metadata = file.metadata()
    save_file({name: tensor.to(dtype) for name, tensor in load_file(MODEL).items()}, MODEL, metadata)
    assert predict("photo.png") == 1
    assert f" {dtype}, not torch.float32" in capsys.readouterr().err and not OUT.exists()


@pytest.mark.parametrize("alpha", ["0", "0.25", "0.5", "1"])
def test_the_overlay_is_the_rounded_mix_of_image_and_class_colours(model: Path, alpha: str) -> None:
    image = put("photo.png")
    assert predict("photo.png", "--alpha", alpha) == 0
    colors = np.array([entry.color[::-1] for entry in CLASSES.classes])[label("photo")]
    expected = np.rint((1 - float(alpha)) * image + float(alpha) * colors)
    assert np.array_equal(files.read_image(OUT / "overlay/photo.png"), expected)


def test_images_of_several_sizes_are_predicted_in_one_run_and_in_their_order(model: Path) -> None:
    sizes = [(48, 32), (48, 32), (64, 40), (48, 32)]
    images = [put(f"data/{number}.png", number, size) for number, size in enumerate(sizes)]
    assert predict("data", "--own-size", "--batch-size", "3") == 0
    assert files.read_csv(OUT / "predictions.csv")["image"].tolist() == ["0", "1", "2", "3"]
    for number, image in enumerate(images):
        assert np.array_equal(label(str(number)), logits(image, sizes[number])[0].argmax(0).numpy())


def test_label_ids_are_written_only_with_the_option(model: Path) -> None:
    put("photo.png")
    assert predict("photo.png") == 0 and not (OUT / "label_ids").exists()
    assert predict("photo.png", "--label-ids") == 0
    ids = {entry.name: raw for raw, entry in CITYSCAPES_IDS.items()}
    label_ids = np.array([ids[name] for name in NAMES])
    assert np.array_equal(files.read_label(OUT / "label_ids/photo.png"), label_ids[label("photo")])


def test_with_tta_flip_the_probabilities_of_the_image_and_its_mirror_image_are_averaged(model: Path) -> None:
    image = put("photo.png", size=(101, 67))
    mirrored = np.ascontiguousarray(image[:, ::-1])
    expected = (logits(image).softmax(1) + logits(mirrored).softmax(1).flip(3))[0] / 2
    assert predict("photo.png", "--tta", "flip") == 0
    assert np.array_equal(label("photo"), expected.argmax(0).numpy())
    assert not np.array_equal(label("photo"), logits(image)[0].argmax(0).numpy())


@pytest.mark.parametrize("more", [(), ("--batch-size", "2")])
def test_the_number_of_workers_changes_no_byte(model: Path, more: tuple[str, ...]) -> None:
    for number in range(4):
        put(f"data/{number}.png", number)
    Path("data/9.png").touch()
    film("clip.avi", 3)
    results = []
    for workers in ("1", "2", "7"):
        assert predict("data", "clip.avi", "--workers", workers, *more) == 1  # 9.png is empty
        results.append(written_bytes())
        shutil.rmtree(OUT)
    assert len(results[0]) == 7 * 3 + 3 and results[0] == results[1] == results[2]


def test_at_most_as_many_images_as_workers_are_decoded_before_they_are_used() -> None:
    decoded = list[int]()

    def decode(number: int) -> int:
        decoded.append(number)
        return -number

    with ThreadPoolExecutor(3) as pool:
        results = frames.in_advance(decode, range(20), pool, ahead=3)
        assert [next(results) for _ in range(2)] == [(0, 0), (1, -1)]
    assert sorted(decoded) == [0, 1, 2, 3, 4]  # two used and three in advance
    with ThreadPoolExecutor(3) as pool:
        assert [*frames.in_advance(decode, range(5), pool, 3)] == [(n, -n) for n in range(5)]


@pytest.mark.parametrize(
    "options, text",
    [
        ((), "48x32 pixels, the size of its training images"),
        (("--size", "64x32"), "64x32 pixels"),
        (("--own-size", "--tta", "flip"), "each image at its own size; each image and its mirror image"),
    ],
)
def test_the_input_of_the_network_is_printed(
    model: Path, options: tuple[str, ...], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    put("photo.png")
    assert predict("photo.png", *options) == 0
    out, err = capsys.readouterr()
    assert err == f"input of the network: {text}\n" and f"  input of the network  {text}\n" in out


def test_the_summary_has_the_shares_of_all_pixels_the_mean_entropy_and_the_failures(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put("data/a.png", 1)
    put("data/b.png", 2, (101, 67))
    Path("data/c.png").touch()
    assert predict("data") == 1
    first, *rest = capsys.readouterr().out.splitlines()
    assert first == "2 images and frames, 1 failed: out/predictions.csv"
    table = files.read_csv(OUT / "predictions.csv")
    entropy_mean = table["entropy"].mean()
    facts = dict(re.findall(r"^  (\S.*?)  +(\S.*)$", "\n".join(rest), re.M))
    assert facts["mean entropy"] == f"{entropy_mean:.3f} (0: certain, 1: the largest possible)"
    assert re.fullmatch(r"[0-9.e-]+ seconds an image, with reading and writing", facts["time"])
    pixels = table.filter(like="pixels_").sum()
    assert pixels.sum() == 48 * 32 + 101 * 67
    shares = [line[24:] for line in rest[3:]]  # behind the names of the facts
    printed = dict(re.findall(r"^(\S.*?) +([0-9.]+)%$", "\n".join(shares), re.M))
    expected = {name.removeprefix("pixels_"): f"{100 * n / pixels.sum():.1f}" for name, n in pixels.items()}
    assert printed == expected and list(printed) == NAMES


def test_a_summary_without_any_prediction_is_one_line(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("broken.png").touch()
    assert predict("broken.png") == 1
    assert capsys.readouterr().out.splitlines() == ["0 images and frames, 1 failed: out/predictions.csv"]
