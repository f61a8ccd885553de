"""Invalid folders, links and splits, and very small sets of images."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from intrada.core import files
from intrada.data import tables
from tests.support.bad_inputs_tree import MODEL, OPTIONS, PHOTO, Stage, photo, use

AS_ROOT = os.geteuid() == 0
TARGET = Path("raw/target/photos")
SPLIT = Path("results/rank/split.csv")


# --- links


@pytest.mark.parametrize("name", ["q.png", "notes.txt"])
def test_a_broken_link_is_named_with_its_target(stage: Stage, name: str) -> None:
    (TARGET / name).unlink(missing_ok=True)
    (TARGET / name).symlink_to("../gone/q.png")
    stage.refuses(
        "check", f"{TARGET / name}: a link to ../gone/q.png, which does not exist", "fix or replace it"
    )


def test_a_root_that_is_a_broken_link_is_refused(stage: Stage) -> None:
    shutil.rmtree("raw/target")
    Path("raw/target").symlink_to("/nowhere/target")
    stage.refuses("check", "raw/target: no such file or folder")


def test_a_link_to_itself_is_refused(stage: Stage) -> None:
    (TARGET / "r.png").unlink()
    (TARGET / "r.png").symlink_to("r.png")
    stage.refuses("check", f"{TARGET}/r.png: a link to r.png, which does not exist")


@pytest.mark.parametrize("to", [".", "..", "../../target"])
def test_a_loop_of_links_is_refused(stage: Stage, to: str) -> None:
    (TARGET / "again").symlink_to(to)
    stage.refuses("check", f"{TARGET}/again", "a link back to", "a folder tree without loops")


@pytest.mark.parametrize("job", ["check", "preprocess@target"])
def test_a_link_to_a_folder_below_the_root_is_refused(stage: Stage, job: str) -> None:
    """DVC does not follow it: images that are added behind it would not be noticed."""
    TARGET.rename("elsewhere")
    TARGET.symlink_to("../../elsewhere")
    for inner in ("more", "again"):
        Path("raw/target", inner).symlink_to("../../elsewhere")
    stage.refuses(
        job,
        f"raw/target/again: a link to the folder {Path('elsewhere').resolve()} and 2 more such links",
        "raw/target itself or a folder above it may be a link",
        "cp -alL FOLDER COPY",
    )


def test_the_root_and_images_may_be_links(stage: Stage) -> None:
    Path("raw/target").rename("elsewhere")
    Path("raw/target").symlink_to("../elsewhere")
    PHOTO.rename("b.png")
    PHOTO.symlink_to("../../../b.png")
    for job in ("check", "preprocess@source", "preprocess@target"):
        stage.run(job)


# --- folders


@pytest.mark.skipif(AS_ROOT, reason="root ignores permissions; to run: as another user")
@pytest.mark.parametrize("path", [TARGET, TARGET / "q.png"])
def test_a_path_without_read_permission_is_named(stage: Stage, path: Path) -> None:
    mode = path.stat().st_mode
    path.chmod(0)
    try:
        stage.refuses("preprocess@target", f"{path}: this user may not read it")
    finally:
        path.chmod(mode)


def test_a_folder_without_files_is_refused(stage: Stage) -> None:
    for path in TARGET.iterdir():
        path.unlink()
    stage.refuses(
        "check",
        f"{TARGET}: no image, but nothing",
        "PNG or JPEG images at raw/target/photos/**/*",
        "fix `root`",
    )


def test_a_folder_of_other_files_is_refused_with_the_first_file(stage: Stage) -> None:
    for path in TARGET.iterdir():
        path.rename(path.with_suffix(".tiff"))
    stage.refuses("check", f"{TARGET}: no image, but 4 other files, p.tiff the first", "PNG or JPEG")


@pytest.mark.parametrize("content", ["nothing", "a file", "another folder"])
def test_a_missing_root_or_image_folder_is_refused(stage: Stage, content: str) -> None:
    shutil.rmtree("raw/target")
    if content == "a file":
        Path("raw/target").write_text("tar archive")
    if content == "another folder":
        photo(Path("raw/target/pictures/p.png"))
    where = f"{TARGET}" if content == "another folder" else "raw/target"
    stage.refuses("check", f"{where}: no such", "do next: ")


def test_a_root_of_another_dataset_is_refused_with_the_missing_folder(stage: Stage) -> None:
    use(preprocess__source__dataset="gta5", preprocess__source__options={})
    stage.refuses("check", "raw/source/images: no such folder", "images at raw/source/images/*", "fix `root`")
    use(
        preprocess__target__dataset="cityscapes",
        preprocess__target__options={},
        preprocess__target__split="train",
    )
    stage.refuses("preprocess@target", "split of cityscapes: 'train'", "none is there", "fix `split`")


# --- splits


@pytest.mark.parametrize(
    "text, phrases",
    [
        (
            b"p\ngone\n",
            ("raw/target/list.txt, line 2: 'gone' is the name of 0 images", "fix or remove the line"),
        ),
        (b"p.png\nphotos/gone.png\n", ("line 2: 'photos/gone.png'", "its id, its name or its path")),
        (b"", ("split: 'list:list.txt' selects none of 4 images", "range:START:STOP", "fix `split`")),
        (b"# p\n\n", ("selects none of 4 images",)),
        (
            b"\xff\xfep",
            ("raw/target/list.txt: ", "codec can't decode", "a text file with one image per line"),
        ),
        (None, ("raw/target/list.txt: no such file", "a text file with one image per line")),
    ],
)
def test_a_list_without_images_or_with_unknown_images_is_refused(
    stage: Stage, text: bytes | None, phrases: tuple[str, ...]
) -> None:
    if text is not None:
        Path("raw/target/list.txt").write_bytes(text)
    use(preprocess__target__split="list:list.txt")
    stage.refuses("check", *phrases)


@pytest.mark.parametrize(
    "split", ["", "train", "range:9:", "range:3:1", "range:a:b", "range:1", "list:", f"range:{'9' * 50}:"]
)
def test_an_invalid_or_empty_split_is_refused(stage: Stage, split: str) -> None:
    use(preprocess__target__split=split)
    stage.refuses("preprocess@target", "split: ", split[:20], "all, list:FILE", "fix `split`")


# --- few images


def keep(domain: str, count: int) -> None:
    for path in sorted(Path(f"raw/{domain}/photos").iterdir())[count:]:
        path.unlink()
        Path(f"raw/{domain}/masks/{path.name}").unlink()


def test_one_image_per_domain_is_enough(stage: Stage) -> None:
    for domain in ("source", "target", "val"):
        keep(domain, 1)
    for job in (
        "check",
        "preprocess@source",
        "preprocess@target",
        "preprocess@val",
        "train_source",
        "train_inter",
    ):
        stage.run(job)
    for job in ("score", "rank", "pseudo_label", "train_intra", "evaluate@inter"):
        stage.run(job)
    assert files.read_csv(Path("results/train_inter/losses.csv"))["iteration"].tolist() == [1, 2]


@pytest.mark.parametrize(
    "images, fraction, easy", [(4, 0.24, 0), (4, 0.26, 1), (2, 0.4, 0), (1, 0.99, 0), (1, 1, 1)]
)
def test_with_fewer_than_1_over_lambda_target_images_none_is_easy(
    stage: Stage, images: int, fraction: float, easy: int, capsys: pytest.CaptureFixture[str]
) -> None:
    use(rank__easy_fraction=fraction, preprocess__target__split=f"range:0:{images}")
    for job in ("check", "preprocess@target"):
        stage.run(job)
    stage.run("score", model=MODEL)
    for job in ("rank", "pseudo_label"):
        stage.run(job)
    stage.run("train_intra", before=MODEL, init="weights/random")
    assert tables.read(SPLIT, tables.SPLIT)["subset"].tolist() == ["easy"] * easy + ["hard"] * (images - easy)
    is_copy = Path("results/train_intra/last.safetensors").read_bytes() == Path(MODEL).read_bytes()
    assert is_copy == (easy == 0)  # without an easy image the result is the model of step 1
    assert ("step 3 is skipped" in capsys.readouterr().err) == (easy == 0)


def test_a_target_needs_no_labels(stage: Stage) -> None:
    shutil.rmtree("raw/target/masks")
    stage.run("check")
    use(preprocess__target__options={**OPTIONS, "labels": None})
    stage.run("preprocess@target")
