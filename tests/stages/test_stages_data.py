"""The stages that make the data: toycity, check, preprocess."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intrada.__main__ import main
from intrada.core import files
from intrada.core.config.classes import IGNORE
from intrada.data import tables
from intrada.stages import preprocess
from tests.support.definition import jobs
from tests.support.stage_runs import CLASSES, LABELS, TARGET, TARGET_IMAGES, contents, use
from tests.support.tiny_project import forget_records, run, tree

pytestmark = pytest.mark.usefixtures("one_thread")


def interrupt_after(images: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Raise KeyboardInterrupt when preprocess resizes the image after the first `images`."""
    monkeypatch.setenv("INTRADA_WORKERS", "1")
    calls, resize = [], preprocess.resize_image

    def interrupted(*arguments: Any) -> np.ndarray:
        calls.append(arguments)
        if len(calls) > images:
            raise KeyboardInterrupt
        return resize(*arguments)

    monkeypatch.setattr(preprocess, "resize_image", interrupted)


def work_folders() -> list[Path]:
    return sorted(Path("data/preprocess").rglob(".*.work"))


# --- toycity and check


def test_the_toy_city_stage_writes_a_table_of_its_images(project: Path) -> None:
    assert len(files.read_csv(Path("data/raw/toycity/gta5.csv"))) == 12
    assert files.read_csv(Path("data/raw/toycity/cityscapes.csv"))["split"].value_counts().to_dict() == {
        "train": 10,
        "val": 6,
    }


def test_the_toy_city_stage_needs_its_params(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    use(toycity={})
    assert main(["toycity", "--domain", "source", "--out", "elsewhere", "--table", "elsewhere.csv"]) == 1
    assert "toycity.source is not in the params" in capsys.readouterr().err
    assert not Path("elsewhere").exists() and not Path("elsewhere.csv").exists()


def test_check_writes_statistics_and_the_same_stamp_for_all_valid_data(project: Path) -> None:
    statistics = json.loads(Path("results/check/found.json").read_text())
    assert {name: domain["images"] for name, domain in statistics.items()} == {
        "source": 12,
        "target": 10,
        "val": 6,
    }
    assert statistics["source"]["sizes"] == {"96x48": 12}
    assert sum(statistics["source"]["pixels"].values()) + statistics["source"]["ignored"] == 12 * 96 * 48
    assert statistics["target"]["pixels"] == {}  # target labels are never opened
    stamp = Path("results/check/stamp.json").read_bytes()
    use(preprocess__source__split="range:0:5")
    assert run("check") == 0
    assert Path("results/check/stamp.json").read_bytes() == stamp


def test_check_refuses_a_broken_image_and_leaves_no_stamp(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = next(Path("data/raw/toycity/cityscapes/leftImg8bit/val").rglob("*.png"))
    path.write_bytes(b"")
    Path("results/check/stamp.json").unlink()
    assert run("check") == 1
    assert path.name in capsys.readouterr().err
    assert not Path("results/check/stamp.json").exists()


# --- preprocess


def test_source_images_and_labels_have_the_networks_input_size(project: Path) -> None:
    index = tables.read(Path("data/preprocess/source/index.csv"), tables.INDEX)
    assert index["id"].tolist() == [f"{number:05d}" for number in range(1, 13)]
    for row in index.itertuples():
        assert files.read_image(Path(row.image)).shape == (32, 64, 3)
        label = files.read_label(Path(row.label))
        assert label.shape == (32, 64) and set(np.unique(label)) <= {*range(len(CLASSES)), IGNORE}
    assert set(index["width"]) == {64} and set(index["height"]) == {32}


def test_evaluation_labels_keep_their_own_size(project: Path) -> None:
    index = tables.read(Path("data/preprocess/val/index.csv"), tables.INDEX)
    assert len(index) == 6
    assert {files.image_size(Path(path)) for path in index["image"]} == {(64, 32)}
    assert {files.read_label(Path(path)).shape for path in index["label"]} == {(48, 96)}


def test_target_labels_are_in_their_own_table_and_not_in_the_index(project: Path) -> None:
    index = tables.read(TARGET / "index.csv", tables.INDEX)
    truth = tables.read(LABELS / "index.csv", tables.INDEX)
    assert len(index) == len(truth) == TARGET_IMAGES
    assert set(index["label"]) == {""}
    assert truth["id"].tolist() == index["id"].tolist()
    for path in truth["label"]:
        assert Path(path).parent == LABELS and files.read_label(Path(path)).shape == (32, 64)


def test_a_target_without_labels_gives_the_same_index_and_images(project: Path) -> None:
    forget_records()
    before = contents([TARGET])
    shutil.rmtree("data/raw/toycity/cityscapes/gtFine/train")
    assert run("check") == 0 and run("preprocess@target") == 0
    assert contents([TARGET]) == before
    assert tables.read(LABELS / "index.csv", tables.INDEX).empty
    assert [path.name for path in LABELS.iterdir()] == ["index.csv"]


def test_the_table_of_target_labels_lists_only_existing_labels(project: Path) -> None:
    forget_records()
    before = contents([TARGET])
    shutil.rmtree("data/raw/toycity/cityscapes/gtFine/train/aachen")
    assert run("preprocess@target") == 0
    assert contents([TARGET]) == before
    truth = tables.read(LABELS / "index.csv", tables.INDEX)
    assert 0 < len(truth) < TARGET_IMAGES
    assert not truth["id"].str.startswith("aachen").any() and "" not in set(truth["label"])


def test_preprocess_uses_the_split_and_size_of_the_params(project: Path) -> None:
    use(preprocess__source__split="range:2:5", preprocess__source__size=[32, 16])
    assert run("preprocess@source") == 0
    index = tables.read(Path("data/preprocess/source/index.csv"), tables.INDEX)
    assert index["id"].tolist() == ["00003", "00004", "00005"]
    assert files.image_size(Path(index["image"].iloc[0])) == (32, 16)
    assert len(list(Path("data/preprocess/source/images").iterdir())) == 3  # the old images are gone


def test_a_broken_image_does_not_change_the_old_output(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outs = jobs(tree())["preprocess@source"].outs
    before = contents(outs)
    path = Path("data/raw/toycity/gta5/images/00007.png")
    path.write_bytes(path.read_bytes()[:200])
    assert run("preprocess@source") == 1
    assert "00007.png" in capsys.readouterr().err
    assert contents(outs) == before


def test_an_interrupted_preprocess_resumes_with_the_missing_images(project: Path) -> None:
    outs = jobs(tree())["preprocess@source"].outs
    before = contents(outs)
    for out in outs:  # DVC removes them before a run
        shutil.rmtree(out) if Path(out).is_dir() else Path(out).unlink()
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(5, patch)
        with pytest.raises(KeyboardInterrupt):
            run("preprocess@source")
    _, images = work_folders()
    finished = {path.name: path.stat().st_ino for path in images.iterdir()}
    assert len(finished) == 5 and not Path(outs[1]).exists()
    assert run("preprocess@source") == 0
    assert contents(outs) == before and work_folders() == []
    resumed = {path.name: path.stat().st_ino for path in Path("data/preprocess/source/images").iterdir()}
    assert len(resumed) == 12 and finished.items() <= resumed.items()  # the same inodes


def test_preprocess_does_not_resume_a_run_with_other_params(project: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(5, patch)
        with pytest.raises(KeyboardInterrupt):
            run("preprocess@source")
    use(preprocess__source__size=[32, 16])
    assert run("preprocess@source") == 0 and work_folders() == []
    index = tables.read(Path("data/preprocess/source/index.csv"), tables.INDEX)
    assert {files.image_size(Path(path)) for path in index["image"]} == {(32, 16)}


@pytest.mark.parametrize(
    "storage, suffix, tolerance", [("png_uncompressed", ".png", 0), ("png", ".png", 0), ("jpeg", ".jpg", 16)]
)
def test_images_are_stored_in_the_format_of_the_params(
    project: Path, storage: str, suffix: str, tolerance: int
) -> None:
    before = [files.read_image(path) for path in sorted(Path("data/preprocess/source/images").iterdir())]
    use(preprocess__source__storage=storage)
    assert run("preprocess@source") == 0
    index = tables.read(Path("data/preprocess/source/index.csv"), tables.INDEX)
    stored = [files.read_image(Path(path)) for path in index["image"]]
    assert {Path(path).suffix for path in index["image"]} == {suffix}
    # the mean, since JPEG quantises blocks of 8 x 8 pixels
    assert all(np.abs(a.astype(int) - b).mean() <= tolerance for a, b in zip(before, stored, strict=True))
    assert tolerance == 0 or any((a != b).any() for a, b in zip(before, stored, strict=True))
