"""The command predict on videos."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from intrada.core import files
from intrada.inference.deployment import prediction, video
from intrada.inference.deployment.prediction import Frame, PredictOptions
from tests.support import trained_model
from tests.support.predicting import CPU, OUT, film, label, logits, picture, predict, put, written
from tests.support.predicting import model as model  # a fixture

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


def test_with_strict_a_broken_video_is_an_error_before_any_image_is_predicted(model: Path) -> None:
    put("photo.png")
    Path("text.mp4").write_text("no video")
    assert predict("photo.png", "text.mp4", "--strict") == 1
    assert not OUT.exists()
