"""Further labelled data sets, of the source and of the target, by the commands of dvc.yaml."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from intrada.__main__ import main
from intrada.core import files
from intrada.core.config.load import load
from intrada.core.errors import UserError
from intrada.core.stage import Out
from intrada.data import tables
from intrada.pipeline import raw_data
from intrada.pipeline.output_guard import check
from intrada.training import trainer
from tests.support.bad_inputs_tree import Stage
from tests.support.tiny_project import PARAMS, change, forget_records, run, tree, write_params

pytestmark = pytest.mark.usefixtures("one_thread")
MORE, FEW = Path("data/raw/more"), Path("data/raw/few")
STAMPS = Path("results/check_set")


def sets() -> dict[str, Any]:
    """One further source data set, and one with two labelled target images."""
    blocks = tree()["preprocess"]
    return {
        "sources": {"more": {**blocks["source"], "root": str(MORE), "weight": 0.5}},
        "target_labelled": {"few": {**blocks["target"], "root": str(FEW), "split": "range:0:2", "weight": 1}},
    }


def use(**changes: Any) -> dict[str, Any]:
    """Write params with the data sets and these changes; return them."""
    params = change({**tree(), **sets()}, **changes)
    write_params(params)
    return params


@pytest.fixture(scope="module")
def prepared(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished tiny project with both data sets checked, preprocessed and joined."""
    folder = tmp_path_factory.mktemp("sets") / "project"
    shutil.copytree(finished, folder, ignore=shutil.ignore_patterns("runs", "execution.jsonl"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        shutil.copytree("data/raw/toycity/gta5", MORE)
        shutil.copytree("data/raw/toycity/cityscapes", FEW)
        use(target_labelled__few__split="train")
        for job in ("check_set_sources@more", "preprocess_sources@more", "join@sources"):
            assert run(job) == 0, job
        for job in (
            "check_set_target_labelled@few",
            "preprocess_target_labelled@few",
            "join@target_labelled",
        ):
            assert run(job) == 0, job
    return folder


@pytest.fixture
def project(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a copy of it."""
    shutil.copytree(prepared, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def seen(monkeypatch: pytest.MonkeyPatch, job: str) -> list[dict[str, list[str]]]:
    """Run a training; return the ids of the images of each iteration, by kind of batch."""
    batches: list[dict[str, list[str]]] = []
    original = trainer.Trainer.step

    def step(self: trainer.Trainer, batch: Any, has_labels: bool = True) -> Any:
        batches.append({name: part.ids for name, part in batch._asdict().items() if part})
        return original(self, batch, has_labels)

    with monkeypatch.context() as patch:
        patch.setattr(trainer.Trainer, "step", step)
        assert run(job) == 0
    return batches


def origins(ids: list[str]) -> list[str]:
    return [name.split("/")[0] for name in ids]


def test_the_images_of_a_data_set_are_prepared_as_those_of_the_source(project: Path) -> None:
    index = tables.read(Path("data/preprocess/source/more/index.csv"), tables.INDEX)
    first = tables.read(Path("data/preprocess/source/index.csv"), tables.INDEX)
    assert index["id"].tolist() == first["id"].tolist()
    for row, other in zip(index.itertuples(), first.itertuples(), strict=True):
        assert Path(str(row.image)).read_bytes() == Path(str(other.image)).read_bytes()
        assert Path(str(row.label)).read_bytes() == Path(str(other.label)).read_bytes()
    few = tables.read(Path("data/preprocess/target/few/index.csv"), tables.INDEX)
    assert len(few) == 10 and few["label"].str.startswith("data/preprocess/target/few/labels/").all()
    assert sorted(json.loads((STAMPS / "sources/more/found.json").read_text())) == ["sources.more"]


def test_the_trainings_mix_the_sources_by_their_weights(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for job in ("train_source", "train_inter"):
        batches = seen(monkeypatch, job)
        # two images of the source for one of the other, times 1, 3, 5 and 2, 6: source, more, source, ...
        drawn = [origin for batch in batches for origin in origins(batch["source"])]
        assert drawn == ["source", "more", "source", "source", "more", "source", "source", "more"]
    assert all("/" not in name for batch in batches for name in batch["target"])


def test_rare_classes_are_drawn_from_all_sources(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = use(
        preprocess__source__class_pixels=True,
        sources__more__class_pixels=True,
        sources__more__weight=2.0,
        train_source__rare_class_sampling={"temperature": 0.5, "min_share": 0.01, "tries": 1},
    )
    for job in ("preprocess@source", "preprocess_sources@more", "join@sources"):
        assert run(job) == 0, job
    index = tables.read(Path("data/preprocess/source/more/index.csv"), tables.INDEX)
    assert [name for name in index if name.startswith("pixels_")] == [
        f"pixels_{name}" for name in params["classes"]
    ]
    drawn = [origin for batch in seen(monkeypatch, "train_source") for origin in origins(batch["source"])]
    assert {*drawn} == {"source", "more"} and drawn.count("more") > drawn.count("source")


def test_few_labels_join_the_pseudo_labels_as_supervision(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = seen(monkeypatch, "train_intra")
    assert [origins(batch["supervised"]) for batch in batches] == [["few", "few"]] * 4
    table = files.read_csv(Path("results/train_intra/losses.csv"))
    assert (table["supervised_main"] > 0).all() and (table["seg_main"] > 0).all()


@pytest.mark.parametrize("supervision", ["source", "both"])
def test_few_labels_take_turns_with_the_source_labels(
    project: Path, supervision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(train_intra__supervision=supervision)  # weights: 1 + 0.5 of the sources, 1 of the few
    batches = [origins(batch["supervised"]) for batch in seen(monkeypatch, "train_intra")]
    assert batches == [["source", "more"], ["few", "few"], ["source", "source"], ["few", "few"]]


def test_few_labels_change_nothing_before_step_3(project: Path) -> None:
    before = Path("results/join/sources.csv").read_bytes()
    use(target_labelled={})
    assert run("join@sources") == 0 and run("join@target_labelled") == 0
    assert Path("results/join/sources.csv").read_bytes() == before
    assert Path("results/join/target_labelled.csv").read_text() == "dataset,weight,images,index_csv,content\n"


def test_the_table_of_the_data_sets_changes_with_their_content(project: Path) -> None:
    row = tables.read(Path("data/preprocess/source/more/index.csv"), tables.INDEX).iloc[0]
    before = tables.read(Path("results/join/sources.csv"), tables.SETS)
    forget_records()
    files.write_label(Path(row.label), files.read_label(Path(row.label)) * 0, [])
    assert run("join@sources") == 0
    after = tables.read(Path("results/join/sources.csv"), tables.SETS)
    assert before.drop(columns="content").equals(after.drop(columns="content"))
    assert before["content"].tolist() != after["content"].tolist()


def test_a_removed_data_set_leaves_no_trace_in_a_training(project: Path, finished: Path) -> None:
    """Its preprocessed images stay on the disk."""
    write_params(tree())
    for job in ("join@sources", "train_source"):
        assert run(job) == 0
    assert Path("data/preprocess/source/more/index.csv").exists()
    name = "results/train_source/last.safetensors"
    assert Path(name).read_bytes() == (finished / name).read_bytes()


def test_an_edited_image_of_a_data_set_stops_the_training(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = tables.read(Path("data/preprocess/source/more/index.csv"), tables.INDEX).iloc[0]
    files.write_label(Path(row.label), files.read_label(Path(row.label)) * 0, [])
    assert run("train_source") == 1
    assert (
        f"data/preprocess/source/more/labels: not as preprocess_sources@more wrote it: changed {row.id}.png"
        in (capsys.readouterr().err)
    )


def test_few_labels_that_no_training_would_use_are_refused(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    use(rank__easy_fraction=0.01)
    assert run("rank") == 0 and run("pseudo_label") == 0
    Stage(capsys).refuses(
        "train_intra", "no easy image, so step 3 is skipped and target_labelled is not used"
    )


def test_a_label_that_is_missing_or_broken_is_named_before_anything_is_removed(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    use(target_labelled__few__split="train")
    labels = sorted(FEW.rglob("gtFine/train/**/*labelIds.png"))
    labels[0].unlink()
    labels[1].write_bytes(b"")
    stage = Stage(capsys)
    stage.refuses("check_set_target_labelled@few", "2 faults: 2 in target_labelled.few", labels[1].name)
    assert Path("logs/check_faults_few.txt").exists()


@pytest.mark.parametrize(
    "job, options, found",
    [
        ("check_set_sources@more", {"target_labelled": "few"}, "--sources and --target-labelled given"),
        ("preprocess_sources@more", {"domain": "source"}, "--domain and --sources given"),
        ("preprocess_sources@more", {"sources": ""}, "none of them given"),
        ("preprocess_sources@more", {"sources": "mor"}, "intrada preprocess --sources: 'mor'"),
        ("rank", {"round": "r9"}, "intrada rank --round: 'r9'"),
    ],
)
def test_options_that_select_no_job_are_refused(
    job: str, options: dict[str, str], found: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Stage(capsys).refuses(job, found, **options)


def test_the_raw_data_of_a_data_set_are_kept(project: Path) -> None:
    with pytest.raises(UserError, match=f"{MORE}/x.csv lies in {MORE}, raw data"):
        check({"out": Out("")}, {"out": MORE / "x.csv"})
    (MORE / "images/link.png").symlink_to("gone.png")
    with pytest.raises(UserError, match="link.png: a link to gone.png, which does not exist"):
        raw_data.check_links(load(PARAMS))


@pytest.mark.parametrize(
    "changes, found",
    [
        ({"sources__more__size": [64, 48]}, "sources.more.size is [64, 48], but preprocess.source.size is [64, 32]"),
        ({"sources__images": sets()["sources"]["more"]}, "sources.images is a name that the pipeline uses itself"),
        ({"target_labelled__more": sets()["target_labelled"]["few"]}, "more is a name in sources and in target_l"),
        ({"sources__More": sets()["sources"]["more"]}, "sources.More"),
        ({"sources__more__weight": 0}, "sources.more.weight = 0"),
        ({"target_labelled__few__dataset": "gta"}, "'gta'"),
        ({"rank__easy_fraction": 0}, "rank.easy_fraction is 0, so step 3 is skipped and target_labelled is not used"),
        ({"sources__more__root": "results/x"}, "results/x lies in results"),
    ],
)  # fmt: skip
def test_data_sets_that_do_not_fit_are_refused(
    changes: dict[str, Any], found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    use(**changes)
    assert main(["validate"]) == 1
    assert found in capsys.readouterr().err
