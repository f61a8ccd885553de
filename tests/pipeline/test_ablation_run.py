"""A tiny ablation from raw data to the table."""

from __future__ import annotations

import itertools
import json
import shutil
import threading
from pathlib import Path

import pandas as pd
import pytest

from intrada.core.config import plain_yaml
from intrada.evaluation import validators
from intrada.pipeline.ablation import definition, workplace
from intrada.pipeline.ablation.__main__ import main
from intrada.pipeline.ablation.places import Places
from tests.support import tiny_project
from tests.support.definition import ROOT

RECIPES = (
    "source_only", "bn_only", "advent", "advent_continued", "advent_scaled", "intrada", "two_rounds", "lambda_0",
    "ceiling",
)  # fmt: skip


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished ablation of tiny trainings on a toy city: nine recipes, and the same metrics for a second seed."""
    folder = tmp_path_factory.mktemp("ablation")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        tiny_project.start(folder)
        for name in ("presets", "ablation"):
            Path(name).mkdir()
        Path("params.yaml").rename("presets/tiny.yaml")
        tree = plain_yaml.parse((ROOT / definition.FILE).read_text(encoding="utf-8"))
        tree["recipes"] = {name: tree["recipes"][name] for name in RECIPES}
        tree["benchmarks"] = {"tiny": tree["benchmarks"]["toycity"] | {"preset": "tiny", "seeds": [5, 6]}}
        tree["benchmarks"]["tiny"]["recipes"] = [*RECIPES]
        tree["benchmarks"]["tiny"]["changes"] = {
            "toycity.target.val": 7, "train_intra.iterations": 3, "train_intra.snapshot_every": 2,
        }  # fmt: skip
        tree["benchmarks"]["tiny"]["criteria"] = {"images": 3, "evaluated": 4}
        definition.FILE.write_text(plain_yaml.dump(tree), encoding="utf-8")
        for job in ("data", "source", "inter"):
            assert main([job, "--benchmark", "tiny", "--seed", "5"]) == 0
        for name in RECIPES:
            assert main(["recipe", "--benchmark", "tiny", "--seed", "5", "--recipe", name]) == 0
            copy = Places("tiny", 6).metrics(name)
            copy.parent.mkdir(parents=True)
            shutil.copytree(Places("tiny", 5).metrics(name).parent, copy.parent, dirs_exist_ok=True)
        assert main(["criteria", "--benchmark", "tiny"]) == 0
        assert main(["summary", "--benchmark", "tiny"]) == 0
        assert main(["collect"]) == 0
    return folder


def _logs(folder: Path) -> list[str]:
    return [
        line for path in sorted(folder.rglob("execution.jsonl")) for line in path.read_text().splitlines()
    ]


@pytest.mark.slow
def test_the_summary_has_a_row_a_recipe_and_seed(done: Path) -> None:
    rows = pd.read_csv(done / "ablation/results/summary.csv", dtype={"data_seed": str})
    assert list(rows.columns) == [
        "benchmark", "recipe", "seed", "data_seed", "iterations", "mIoU", "mIoU_easy", "mIoU_hard",
    ]  # fmt: skip
    assert [*zip(rows["recipe"], rows["seed"], strict=True)] == [
        (name, seed) for name in RECIPES for seed in (5, 6)
    ]
    assert set(rows["data_seed"]) == {"1005+2005", "1006+2006"}
    assert rows["mIoU"].between(0, 100).all()


@pytest.mark.slow
def test_the_criteria_are_measured_on_the_snapshots_of_each_run(done: Path) -> None:
    """The runs of the second seed have no snapshots, since only their metrics were copied."""
    rows = pd.read_csv(done / "ablation/results/criteria/tiny.csv")
    snapshots = rows.groupby(["recipe", "seed"], sort=False)["iteration"].apply(list)
    assert [*snapshots.index] == [(name, 5) for name in RECIPES if name != "lambda_0"]  # it trains nothing
    assert (
        snapshots["source_only", 5] == snapshots["advent", 5] == [3, 4]
        and len(snapshots["two_rounds", 5]) >= 1
    )
    table = pd.read_csv(done / "ablation/results/summary/tiny/criteria.csv")
    assert [*table["criterion"]] == [*validators.CRITERIA, "the last snapshot"]
    text = (done / "ablation/results/table.md").read_text(encoding="utf-8")
    assert "| nuclear_norm |" in text and f"of {len(snapshots)} runs" in text


@pytest.mark.slow
def test_iterations_are_those_of_all_trainings(done: Path) -> None:
    rows = pd.read_csv(done / "ablation/results/summary.csv")
    assert rows.groupby("recipe")["iterations"].unique().map(list).to_dict() == {
        "source_only": [4], "advent": [8], "lambda_0": [8], "advent_continued": [11], "bn_only": [11],
        "advent_scaled": [11], "intrada": [11], "two_rounds": [14], "ceiling": [8],
    }  # fmt: skip


@pytest.mark.slow
def test_lambda_0_is_the_model_of_step_1(done: Path) -> None:
    found = [
        json.loads((done / Places("tiny", 5).metrics(name)).read_text()) for name in ("lambda_0", "advent")
    ]
    assert found[0] == found[1]


@pytest.mark.slow
def test_the_recipes_of_a_seed_share_data_and_models_and_differ_where_they_train(done: Path) -> None:
    places = Places("tiny", 5)
    jobs = [json.loads(line)["stage"] for line in _logs(done / places.work)]
    assert jobs.count("train_source") == 2 and jobs.count("preprocess@val") == 1
    assert jobs.count("train_inter") == 4  # the shared one, two recipes' own, and that on the target's labels
    assert jobs.count("train_intra") == 6 and jobs.count("train_intra_round@r2") == 1
    assert jobs.count("score") == 1 and jobs.count("score_round@r2") == 1
    models = [path.read_bytes() for path in (done / places.work).rglob("steps/*/*/last.safetensors")]
    assert (len(models), len(set(models))) == (11, 10)  # the first round of two is IntraDA
    trained = [path for path in (done / places.runs / "train_intra").iterdir() if [*path.glob("*.pt")]]
    assert (
        len(trained) == 4
    )  # BN-only, the control, with scales, IntraDA: the first round of two found it finished
    assert not (done / "logs").exists() and not (done / "runs").exists()


@pytest.mark.slow
def test_the_table_marks_other_budgets_and_compares_with_the_control(done: Path) -> None:
    text = (done / "ablation/results/table.md").read_text(encoding="utf-8")
    first = text.split("\n\n")[1]
    lines = {line.split(" | ")[0].removeprefix("| "): line.split(" | ") for line in first.splitlines()}
    assert lines["AdvEnt continued (matched control)"][1] == "11"
    assert lines["AdvEnt continued (matched control)"][5:7] == ["control", "control"]
    assert lines["AdvEnt"][1] == "8*" and lines["IntraDA, 2 rounds"][1] == "14*"
    assert lines["IntraDA (lambda 0.67)"][1] == "11"
    assert lines["IntraDA (lambda 0.67)"][5].count(",") == 1
    assert lines["IntraDA (lambda 0.67)"][7].strip(" |") == "46.3"


@pytest.mark.slow
def test_the_ceiling_learns_from_the_targets_labels(done: Path) -> None:
    [record] = (done / Places("tiny", 5).step("ceiling")).glob("logs/provenance/jobs/train_inter/*.json")
    command = json.loads(record.read_text())["command"]
    given = dict(itertools.pairwise(command.split() if isinstance(command, str) else command))
    assert given["--source"] == "data/labelled/index.csv" and given["--target"] == "data/target/index.csv"
    labelled, target = (
        pd.read_csv(done / Places("tiny", 5).data / n / "index.csv") for n in ("labelled", "target")
    )
    assert [*labelled["id"]] == [*target["id"]]
    assert labelled["label"].notna().all() and target["label"].isna().all()


def test_of_two_equal_trainings_one_waits_for_the_other(tmp_path: Path) -> None:
    index, order = tmp_path / "index.csv", []
    index.write_text("id\n")

    def train() -> None:
        with workplace.turn(tmp_path, {"lr": 1}, [index]):
            order.append("second")

    second = threading.Thread(target=train)
    with workplace.turn(tmp_path, {"lr": 1}, [index]), workplace.turn(tmp_path, {"lr": 2}, [index]):
        second.start()
        second.join(0.3)
        order.append("first")
    second.join()
    assert order == ["first", "second"]


@pytest.mark.slow
def test_a_recipe_without_result_and_an_unknown_one_are_named(
    done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ablation").mkdir()
    (tmp_path / definition.FILE).write_bytes((done / definition.FILE).read_bytes())
    assert main(["summary", "--benchmark", "tiny"]) == 1
    assert "source_only/metrics.json" in capsys.readouterr().err
    assert main(["recipe", "--benchmark", "tiny", "--seed", "5", "--recipe", "intra"]) == 1
    assert "intrada" in capsys.readouterr().err
