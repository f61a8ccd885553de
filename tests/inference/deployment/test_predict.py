"""The command predict on images, folders, globs and videos, compared with the code of the stages."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from intrada.__main__ import main
from intrada.core import files
from intrada.core.config.classes import CITYSCAPES_IDS
from intrada.core.errors import UserError
from intrada.core.stage import Context
from intrada.data import resize, tables
from intrada.data.loader import Batch
from intrada.inference import scoring
from intrada.inference.deployment import frames, prediction, sources, video
from intrada.inference.deployment.prediction import Frame, PredictOptions
from intrada.methods import entropy
from intrada.models import weights
from intrada.models.base import upsample
from tests.support import trained_model
from tests.support.tiny_project import change, tree, write_params
from tests.support.trained_model import CLASSES, MODEL, NAMES, SIZE

CPU = torch.device("cpu")
OUT = Path("out")


def picture(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Return an image of smooth coloured areas, (H, W, 3) uint8 BGR."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), np.uint8)
    return resize.resize_image(coarse, size)


def put(path: str, seed: int = 0, size: tuple[int, int] = SIZE) -> np.ndarray:
    image = picture(seed, size)
    files.write_image(Path(path), image)
    return image


def film(path: str, frames: int = 5, rate: float = 10.0, size: tuple[int, int] = SIZE) -> list[np.ndarray]:
    """Write a video and return its frames as they are decoded."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"MJPG"), rate, size)
    for number in range(frames):
        writer.write(picture(number, size))
    writer.release()
    capture = cv2.VideoCapture(path)
    return [capture.read()[1] for _ in range(frames)]


def predict(*words: str) -> int:
    return main(["predict", str(MODEL), *words, "--out", str(OUT)])


def label(name: str) -> np.ndarray:
    return files.read_label(OUT / "prediction" / f"{name}.png")


def written(kind: str) -> set[str]:
    return {path.relative_to(OUT / kind).with_suffix("").as_posix() for path in files.list_files(OUT / kind)}


def logits(image: np.ndarray, size: tuple[int, int] = SIZE) -> torch.Tensor:
    """Return the model's logits for an image resized to `size`, upsampled to the size of the image."""
    resized = resize.resize_image(image, size)
    pixels = torch.from_numpy(resized.transpose(2, 0, 1).copy())[None]
    predictor = trained_model.predictor()
    with torch.inference_mode():
        low_res_logits = predictor.low_res_logits(Batch(["a"], pixels, torch.empty(0)))
        return upsample(low_res_logits[0], (image.shape[0], image.shape[1]))


@pytest.fixture
def model(checkout: Path) -> Path:
    """A working directory with params.yaml and a model."""
    trained_model.write()
    return checkout


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


# ---------------------------------------------------------------- videos


def test_every_frame_of_a_video_is_predicted_and_the_overlay_has_its_frame_rate(model: Path) -> None:
    frames = film("clips/street.avi")
    assert predict("clips/street.avi", "--batch-size", "2") == 0
    names = [f"street/{number:06d}" for number in range(5)]
    assert files.read_csv(OUT / "predictions.csv")["image"].tolist() == names
    assert written("prediction") == written("entropy") == written("overlay") == set(names)
    for name, frame in zip(names, frames, strict=True):
        assert np.array_equal(label(name), logits(frame)[0].argmax(0).numpy())
    assert video.facts(OUT / "street_overlay.mp4") == (10.0, 5)
    for (_, shown), name in zip(video.read(OUT / "street_overlay.mp4"), names, strict=True):
        overlay = files.read_image(OUT / f"overlay/{name}.png")
        difference = np.abs(shown.astype(int) - overlay).mean()
        assert shown.shape == overlay.shape and difference < 30  # MPEG-4 is lossy


def test_every_nth_frame_of_a_video_is_predicted_and_the_overlay_has_the_same_duration(model: Path) -> None:
    frames = film("street.avi")
    assert predict("street.avi", "--every", "2") == 0
    assert written("overlay") == {"street/000000", "street/000002", "street/000004"}
    assert np.array_equal(label("street/000002"), logits(frames[2])[0].argmax(0).numpy())
    assert video.facts(OUT / "street_overlay.mp4") == (5.0, 3)


def test_frames_are_read_only_as_fast_as_they_are_predicted(model: Path) -> None:
    read = 0

    def endless() -> Iterator[Frame]:
        nonlocal read
        while True:
            read += 1
            yield Frame(f"{read}", picture(read))

    options = PredictOptions(trained_model.predictor(), CPU, None, 2)
    batches = prediction.predict(endless(), options)
    names = [predicted.frame.name for batch in islice(batches, 3) for predicted in batch]
    assert names == list("123456")
    assert read <= 6 + 2 + 1  # two prefetched, one being read


def test_of_a_truncated_video_the_decodable_frames_are_predicted_and_the_status_is_1(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film("street.avi", size=(160, 120))
    whole = Path("street.avi").read_bytes()
    Path("street.avi").write_bytes(whole[: len(whole) * 2 // 3])
    assert predict("street.avi") == 1
    out, err = capsys.readouterr()
    count = len(files.read_csv(OUT / "predictions.csv"))
    assert 0 < count < 5 and f"{count} images and frames" in out
    assert f"street.avi: ends after {count} frames, its header says 5" in err
    assert video.facts(OUT / "street_overlay.mp4").frames == count


def test_a_header_that_counts_a_few_frames_too_many_is_a_warning(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    film("street.avi")
    monkeypatch.setattr(video, "_MISSING", 0.5)  # of five frames
    whole = Path("street.avi").read_bytes()
    position = whole.index(b"strh") + 8 + 32  # dwLength, the number of frames
    assert whole[position : position + 4] == (5).to_bytes(4, "little")
    Path("street.avi").write_bytes(whole[:position] + (6).to_bytes(4, "little") + whole[position + 4 :])
    assert predict("street.avi") == 0
    assert "street.avi: ends after 5 frames, its header says 6" in capsys.readouterr().err


# ---------------------------------------------------------------- names


def test_equal_names_in_several_folders_are_kept_apart(model: Path) -> None:
    for number, path in enumerate(["day/a/1.png", "day/b/1.png", "night/1.png", "day/notes.txt"]):
        put(path, number)
    film("night/1.avi", 2)
    assert predict("day", "night/1.png", "night/1.avi") == 0
    names = {"day/a/1", "day/b/1", "night/1"}
    assert written("prediction") == names | {"night/1/000000", "night/1/000001"}
    assert (OUT / "night/1_overlay.mp4").exists()
    assert set(files.read_csv(OUT / "predictions.csv")["image"]) == written("prediction")


@pytest.mark.parametrize(
    "words, names",
    [
        (["data"], ["a", "x/b", "x/c"]),
        (["data/x"], ["b", "c"]),
        (["data/x/b.png"], ["b"]),
        (["data/x/*.png"], ["b"]),
        (["data/*"], ["a", "x/b", "x/c"]),
        (["data/**/[bc].*"], ["x/b", "x/c"]),
        (["data/a.png", "data/x"], ["a", "x/b", "x/c"]),
        (["data/x/b.png", "data/x", "data/x/*"], ["b", "c"]),
        (["data/x", "data/../data/x/b.png"], ["b", "c"]),
    ],
)
def test_each_file_is_collected_once_and_named_by_its_path_below_the_folder(
    checkout: Path, words: list[str], names: list[str]
) -> None:
    for name in ("a.png", "x/b.png", "x/c.JPG", "x/._b.png", "x/notes.txt"):
        Path("data", name).parent.mkdir(parents=True, exist_ok=True)
        Path("data", name).touch()
    relative = sources.collect(words, OUT)
    assert [source.name for source in relative.images] == names and not relative.videos
    absolute = sources.collect([str(checkout / word) for word in words], OUT)
    assert [source.name for source in absolute.images] == names


def refusal(*words: str) -> UserError:
    with pytest.raises(UserError) as caught:
        sources.collect(words, OUT)
    return caught.value


def test_two_sources_of_one_name_are_refused(checkout: Path) -> None:
    put("data/a.png")
    put("data/a/000001.png")
    for name in ("data/a.jpg", "data/a.avi", "data/a.mp4"):
        Path(name).touch()
    assert "as the results of" in refusal("data/a.png", "data/a.jpg").found
    assert "as the results of" in refusal("data/a.avi", "data/a.mp4").found
    assert len(sources.collect(["data/a.png", "data/a.avi"], OUT).images) == 1  # a phone's live photo


def test_a_videos_frames_and_an_image_of_the_same_name_are_refused(checkout: Path) -> None:
    put("data/a/000001.png")
    Path("data/a.avi").touch()
    assert "as the results of" in refusal("data/a.avi", "data").found


@pytest.mark.parametrize("words", [["."], ["out/overlay/a.png"], ["**/*.png"]])
def test_results_are_never_read_as_images(checkout: Path, words: list[str]) -> None:
    put("out/overlay/a.png")
    assert "are inside each other" in refusal(*words).found


def test_an_output_folder_below_the_images_is_refused(checkout: Path) -> None:
    put("data/a.png")
    with pytest.raises(UserError, match="are inside each other"):
        sources.collect(["data"], Path("data/out"))


def test_other_files_in_the_output_folder_are_kept(model: Path) -> None:
    put("photo.png")
    others = [OUT / "notes.txt", OUT / "prediction/old.png"]
    for path in others:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"mine")
    assert predict("photo.png") == 0
    assert [path.read_bytes() for path in others] == [b"mine", b"mine"]
    assert {path.name for path in OUT.iterdir()} == {
        "notes.txt",
        "prediction",
        "entropy",
        "overlay",
        "predictions.csv",
    }


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    "word, found",
    [
        ("nowhere.png", "no such file or folder"),
        ("nowhere/*.png", "no image or video"),
        ("empty", "no image or video"),
        ("notes.txt", "no image or video"),
        ("broken.png", "an empty file"),
        ("text.png", "cannot identify image file"),
        ("broken.mp4", "an empty file"),
        ("text.mp4", "no video that opens"),
    ],
)
def test_a_path_that_cannot_be_predicted_is_named(
    model: Path, word: str, found: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty").mkdir()
    for name in ("notes.txt", "text.png", "text.mp4"):
        Path(name).write_text("no picture at all")
    for name in ("broken.png", "broken.mp4"):
        Path(name).touch()
    assert predict(word, "--strict") == 1
    lines = capsys.readouterr().err.splitlines()
    first, *rest = [line for line in lines if not line.startswith("input of the network: ")]
    assert first.startswith("error: ") and word in first and found in first
    assert [line.split(":")[0] for line in rest] == ["  allowed", "  do next"]
    assert not (OUT / "predictions.csv").exists()


def test_with_strict_a_broken_video_is_an_error_before_any_image_is_predicted(model: Path) -> None:
    put("photo.png")
    Path("text.mp4").write_text("no video")
    assert predict("photo.png", "text.mp4", "--strict") == 1
    assert not OUT.exists()


def break_images(folder: Path) -> dict[str, str]:
    """Add images that cannot be read to `folder`; return the reason of each by its name."""
    whole = (folder / "good.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.JPG").touch()
    (folder / "text.jpeg").write_text("no image")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", SIZE).save(folder / "turned.jpg", exif=exif)
    Image.new("I;16", SIZE).save(folder / "deep.png")
    (folder / "folder.png").mkdir()
    (folder / "gone.png").symlink_to("nowhere.png")
    (folder / "loop.png").symlink_to("loop.png")
    os.mkfifo(folder / "pipe.png")
    (folder / "two\nlines.png").write_bytes(whole)
    return {
        "cut": "truncated",
        "empty": "an empty file (0 bytes)",
        "text": "cannot identify image file",
        "turned": "an EXIF orientation (6)",
        "deep": "16 bits a channel",
        "folder": "a folder, but a file is expected",
        "gone": "a link to nowhere.png, which does not exist",
        "loop": "a link to loop.png",
        "pipe": "a pipe, a socket or a device",
        "two\\nlines": "a name that no result can have",
    }


@pytest.mark.parametrize("word", ["data", "data/*"])
def test_images_that_cannot_be_read_are_listed_and_all_others_are_predicted(
    model: Path, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    put("data/good.png", 1)
    put("data/sub/late.png", 2)
    reasons = break_images(Path("data"))
    assert predict(word, "--batch-size", "2") == 1
    out, err = capsys.readouterr()
    assert set(files.read_csv(OUT / "predictions.csv")["image"]) == {"good", "sub/late"}
    assert written("overlay") == {"good", "sub/late"} and "2 images and frames" in out
    failed = files.read_csv(OUT / "predictions.failed.csv").set_index("image")
    assert len(failed) == len(reasons)
    for name, reason in reasons.items():
        [row] = [failed.loc[image] for image in failed.index if name in image]
        assert reason in row["reason"] and name in row["path"] and row["fix"]
        assert reason in err
    assert "\nerror: out/predictions.failed.csv: 10 of 12 files cannot be used, as above; the results" in err
    assert "\n  allowed: " in err and "--strict stops" in err and "\x1b" not in err


def test_a_run_without_failures_removes_the_list_of_an_earlier_one(model: Path) -> None:
    put("data/good.png")
    Path("data/bad.png").touch()
    assert predict("data") == 1 and (OUT / "predictions.failed.csv").exists()
    Path("data/bad.png").unlink()
    assert predict("data") == 0 and not (OUT / "predictions.failed.csv").exists()


def test_with_strict_the_first_image_that_cannot_be_read_stops_the_run(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put("data/a.png")
    for name in ("b", "c"):
        Path(f"data/{name}.png").touch()
    assert predict("data", "--strict") == 1
    err = capsys.readouterr().err
    assert "\nerror: " in err and "b.png: an empty file" in err and "c.png" not in err
    assert not (OUT / "predictions.csv").exists() and not (OUT / "predictions.failed.csv").exists()


def test_a_broken_video_does_not_end_a_run(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put("photo.png")
    film("street.avi", frames=2)
    Path("text.mp4").write_text("no video")
    os.mkfifo("pipe.mp4")
    film("frameless.avi")
    whole = Path("frameless.avi").read_bytes()
    start = whole.index(b"movi") + 4
    Path("frameless.avi").write_bytes(whole[:start] + bytes(len(whole) - start))
    assert predict("text.mp4", "frameless.avi", "pipe.mp4", "photo.png", "street.avi") == 1
    names = files.read_csv(OUT / "predictions.csv")["image"].tolist()
    assert names == ["photo", "street/000000", "street/000001"] and (OUT / "street_overlay.mp4").exists()
    failed = files.read_csv(OUT / "predictions.failed.csv")["image"].tolist()
    assert failed == ["text", "pipe", "frameless"] and not (OUT / "frameless_overlay.mp4").exists()
    assert "3 of 5 files" in capsys.readouterr().err


def test_the_message_on_many_failures_is_short_and_the_list_has_all(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("data").mkdir()
    for number in range(30):
        Path(f"data/{number:02d}{'x' * 150}.png").touch()
    assert predict("data") == 1
    err = capsys.readouterr().err
    assert "30 of 30 files" in err and "and 20 more, all in out/predictions.failed.csv" in err
    assert max(map(len, err.splitlines())) < 400 and len(files.read_csv(OUT / "predictions.failed.csv")) == 30
    assert len(files.read_csv(OUT / "predictions.csv")) == 0


SWAPPED = [NAMES[1], NAMES[0], *NAMES[2:]]
OTHER_COLOUR = [{"name": NAMES[0], "color": [1, 2, 3]}, *NAMES[1:]]
RESNET = {"name": "deeplabv2", "options": {"backbone": "resnet18"}}


@pytest.mark.parametrize(
    "changes, found, allowed",
    [
        ({"model": RESNET}, "model: small", "model: deeplabv2, as in params.yaml"),
        ({"classes": SWAPPED}, f"classes: {', '.join(NAMES)}", f"classes: {', '.join(SWAPPED)}, as in"),
        ({"classes": OTHER_COLOUR}, "colours: sky (70, 130, 180), ", "colours: sky (1, 2, 3), "),
    ],
)
def test_params_that_contradict_the_file_are_refused(
    model: Path, changes: dict[str, Any], found: str, allowed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    put("photo.png")
    write_params(change(tree(), **changes))
    assert predict("photo.png", "--params", "params.yaml") == 1
    err = capsys.readouterr().err
    assert f"error: model.safetensors: {found}" in err and f"\n  allowed: {allowed}" in err
    assert "leave --params out" in err and not OUT.exists()


def test_without_a_params_file_the_metadata_of_the_model_is_used(model: Path) -> None:
    put("photo.png", size=(101, 67))
    assert predict("photo.png", "--params", "params.yaml") == 0
    with_params = written_bytes()
    Path("params.yaml").unlink()
    assert predict("photo.png") == 0
    assert written_bytes() == with_params


def written_bytes() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in files.list_files(OUT)}


def test_a_model_of_an_older_version_needs_the_params_of_its_training(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = put("photo.png", size=(101, 67))
    trained_model.make_old()
    assert predict("photo.png") == 1
    err = capsys.readouterr().err
    assert "error: model.safetensors: the metadata of an older version: no options of the network" in err
    assert "do next: name the params file that it was trained with: --params presets/NAME.yaml" in err
    assert predict("photo.png", "--params", "params.yaml") == 0
    assert np.array_equal(label("photo"), logits(image, (64, 32))[0].argmax(0).numpy())  # preprocess.target
    write_params(change(tree(), classes=SWAPPED))
    assert predict("photo.png", "--params", "params.yaml") == 1
    assert f"classes: {','.join(NAMES)}\n  allowed: classes: {','.join(SWAPPED)}" in capsys.readouterr().err


def test_two_size_options_are_refused(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put("photo.png")
    assert predict("photo.png", "--own-size", "--size", "64x32") == 1
    assert "error: --own-size: --size 64x32 too" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name, content, found",
    [
        ("model.pth", b"", "a name that ends in .pth"),
        ("text.safetensors", b"no tensors at all", "deserializing header"),
        ("gone.safetensors", None, "no such file or folder"),
    ],
)
def test_a_file_that_is_not_a_trained_model_is_refused(
    model: Path, name: str, content: bytes | None, found: str, capsys: pytest.CaptureFixture[str]
) -> None:
    put("photo.png")
    if content is not None:
        Path(name).write_bytes(content)
    assert main(["predict", name, "photo.png", "--out", "out"]) == 1
    err = capsys.readouterr().err
    assert f"error: {name}: " in err and found in err


def test_a_name_that_a_spreadsheet_would_compute_is_quoted_in_the_table(model: Path) -> None:
    put("photos/=1+1.png")
    put("photos/-a;@b.png")
    assert predict("photos") == 0
    rows = (OUT / "predictions.csv").read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == ["'-a;'@b", "'=1+1"]
    assert files.read_csv(OUT / "predictions.csv")["image"].tolist() == ["-a;@b", "=1+1"]


def test_metadata_cannot_write_to_the_terminal(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put("photo.png")
    network = trained_model.predictor().members[0]
    info = trained_model.info(network).model_dump(mode="json") | {"model": "\x1b[2J\u202ea\nb"}
    weights.save_model(MODEL, network, info)
    assert predict("photo.png") == 1
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 3 and err.replace("\n", "").isprintable()


def test_a_model_without_its_classes_is_refused(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put("photo.png")
    network = trained_model.predictor().members[0]
    weights.save_model(MODEL, network, {"model": "small"})
    assert predict("photo.png") == 1
    assert "no classes in its metadata" in capsys.readouterr().err


@pytest.mark.parametrize(
    "option, value",
    [
        ("--alpha", "1.5"),
        ("--alpha", "nan"),
        ("--every", "0"),
        ("--batch-size", "-1"),
        ("--workers", "0"),
        ("--tta", "rotate"),
    ],
)
def test_a_wrong_number_is_refused(
    model: Path, option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict("photo.png", f"{option}={value}") == 1
    assert f"error: {option}: '{value}'\n  allowed: " in capsys.readouterr().err
