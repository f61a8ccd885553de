"""The training stages of the tiny project, by the commands of dvc.yaml: images, supervision, rounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from intrada.core import files
from intrada.core.config.classes import class_set
from intrada.data import tables
from intrada.models import model_info
from intrada.models.model_info import ModelSpec
from intrada.training import streams as streams_module
from tests.support.tiny_project import SELF_TRAINING, change, forget_records, run, tree, write_params

CLASSES: list[str] = tree()["classes"]


pytestmark = pytest.mark.usefixtures("one_thread")


def use(**changes: Any) -> None:
    write_params(change(tree(), **changes))


@pytest.mark.parametrize("stage", ["train_source", "train_inter", "train_intra"])
def test_a_training_leaves_a_model_and_its_losses(project: Path, stage: str) -> None:
    info = model_info.read(Path(f"results/{stage}/last.safetensors"))
    method = "source_only" if stage == "train_source" else "advent"
    assert info and info.spec == ModelSpec("small", {}, class_set(CLASSES))
    assert (info.size, info.method, info.iteration) == ((64, 32), method, 4)
    table = files.read_csv(Path(f"results/{stage}/losses.csv"))
    assert table["iteration"].tolist() == [2, 4] and table.notna().all(axis=None)
    assert ("d_target_main" in table) == (method == "advent")


def test_the_intra_training_adapts_from_easy_to_hard_images(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams: dict[str, set[str]] = {}
    original = streams_module.training_stream

    def stream(index: Any, seed: int, name: str, *rest: Any) -> Any:
        streams[name] = set(index["id"])
        return original(index, seed, name, *rest)

    monkeypatch.setattr(streams_module, "training_stream", stream)
    assert run("train_intra") == 0
    subsets = split()
    assert streams == {"labelled": subsets["easy"], "target": subsets["hard"]}
    streams.clear()
    use(train_intra__supervision="both")
    assert run("train_intra") == 0
    source = set(tables.read(Path("data/preprocess/source/index.csv"), tables.INDEX)["id"])
    assert streams == {"labelled": subsets["easy"], "target": subsets["hard"], "extra": source}


def split() -> dict[str, set[str]]:
    ranked = tables.read(Path("results/rank/split.csv"), tables.SPLIT)
    return {subset: set(ranked["image"][ranked["subset"] == subset]) for subset in ("easy", "hard")}


def test_supervision_by_the_source_reads_no_pseudo_label(project: Path) -> None:
    """The cross entropy uses the source labels, the adversarial losses the easy and the hard images."""
    forget_records()
    use(train_intra__supervision="source")
    assert run("train_intra") == 0
    model = Path("results/train_intra/last.safetensors").read_bytes()
    table = files.read_csv(Path("results/train_intra/losses.csv"))
    assert (table["seg_main"] == 0).all() and (table["supervised_main"] > 0).all()
    assert (table["d_target_main"] > 0).all()
    for path in Path("results/pseudo_label/labels").iterdir():  # other labels of the same images
        files.write_label(path, files.read_label(path) * 0, [])
    assert run("train_intra") == 0
    assert Path("results/train_intra/last.safetensors").read_bytes() == model


def test_the_method_source_only_is_self_training(project: Path) -> None:
    use(train_intra__method="source_only")
    assert run("train_intra") == 0
    columns = list(files.read_csv(Path("results/train_intra/losses.csv")).columns)
    assert columns == ["iteration", "seg_main", "seg_aux", "lr"]


@pytest.mark.slow
def test_a_later_round_starts_from_the_model_of_the_previous_round(project: Path) -> None:
    intra = "results/train_intra/last.safetensors"
    use(rounds={"r2": {"after": "train_intra", "easy_fraction": 0.5, "init": intra}})
    for stage in ("score", "rank", "pseudo_label", "train_intra", "evaluate_snapshots", "evaluate"):
        assert run(f"{stage}_round@r2") == 0
    first, second = (
        files.read_csv(Path(f"results/{name}/scores.csv")) for name in ("score", "score_round/r2")
    )
    assert first["entropy"].tolist() != second["entropy"].tolist()
    ranked = tables.read(Path("results/rank_round/r2/split.csv"), tables.SPLIT)
    assert ranked["subset"].tolist() == ["easy"] * 5 + ["hard"] * 5
    easy = tables.read(Path("results/pseudo_label_round/r2/easy.csv"), tables.INDEX)
    assert set(easy["id"]) == set(ranked["image"].head(5))
    model = Path("results/train_intra_round/r2/last.safetensors").read_bytes()
    assert model != Path(intra).read_bytes()
    assert Path("results/evaluate/r2/metrics.json").exists()


def test_lambda_0_skips_the_intra_training_and_copies_the_inter_model(project: Path) -> None:
    use(rank__easy_fraction=0)
    for name in ("rank", "pseudo_label", "train_intra"):
        assert run(name) == 0
    model = Path("results/train_intra/last.safetensors").read_bytes()
    assert model == Path("results/train_inter/last.safetensors").read_bytes()
    assert Path("results/train_intra/losses.csv").read_text() == "iteration\n"
    assert not Path("runs/train_intra").exists()
    assert not list(Path("results/train_intra/snapshots").iterdir())
    assert run("evaluate_snapshots@intra") == 0


def test_lambda_1_is_self_training_without_adversarial_losses(project: Path) -> None:
    use(rank__easy_fraction=1)
    for name in ("rank", "pseudo_label", "train_intra"):
        assert run(name) == 0
    table = files.read_csv(Path("results/train_intra/losses.csv"))
    assert list(table.columns) == ["iteration", "seg_main", "seg_aux", "lr"]
    info = model_info.read(Path("results/train_intra/last.safetensors"))
    assert info and (info.method, info.size) == ("source_only", (64, 32))
    model = Path("results/train_intra/last.safetensors").read_bytes()
    assert model != Path("results/train_inter/last.safetensors").read_bytes()


@pytest.mark.parametrize("supervision", ["source", "pseudo", "both"])
@pytest.mark.parametrize("curriculum", ["none", "easy_first", "easy_trusted"])
def test_a_teacher_labels_easy_and_hard_images(
    project: Path, monkeypatch: pytest.MonkeyPatch, supervision: str, curriculum: str
) -> None:
    streams: dict[str, Any] = {}
    for name in ("training_stream", "target_stream"):
        monkeypatch.setattr(streams_module, name, _recording(getattr(streams_module, name), streams))
    settings = SELF_TRAINING | {"curriculum": curriculum, "mix": "easy_on_hard"}
    use(
        train_intra__method="mean_teacher",
        train_intra__self_training=settings,
        train_intra__supervision=supervision,
    )
    assert run("train_intra") == 0
    subsets = split()
    source = set(tables.read(Path("data/preprocess/source/index.csv"), tables.INDEX)["id"])
    assert set(streams["target"]["id"]) == subsets["easy"] | subsets["hard"]
    assert set(streams["target"]["id"][streams["target"]["easy"]]) == subsets["easy"]
    assert set(streams["partner"]["id"]) == subsets["easy"] and (streams["partner"]["label"] != "").all()
    assert set(streams["labelled"]["id"]) == (source if supervision == "source" else subsets["easy"])
    assert ("extra" in streams) == (supervision == "both")
    first = len(subsets["easy"]) if curriculum == "easy_first" else None
    assert streams["first"] == first


def _recording(original: Any, streams: dict[str, Any]) -> Any:
    def stream(index: Any, seed: int, name: str, *rest: Any) -> Any:
        streams[name] = index
        if name == "target":
            streams["first"] = rest[5]
        return original(index, seed, name, *rest)

    return stream
