"""Which files the command predict reads, and the names and folders of its results."""

from __future__ import annotations

from pathlib import Path

import pytest

from intrada.core import files
from intrada.core.errors import UserError
from intrada.inference.deployment import sources
from tests.support.predicting import OUT, film, predict, put, written
from tests.support.predicting import model as model  # a fixture


def refusal(*words: str) -> UserError:
    with pytest.raises(UserError) as caught:
        sources.collect(words, OUT)
    return caught.value


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
