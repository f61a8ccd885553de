"""ablation/dvc.yaml, resolved by DVC itself, against the code and ablation.yaml."""

from __future__ import annotations

import shutil
import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo
from dvc.repo.index import Index

from intrada.core.config import overrides, plain_yaml
from intrada.core.errors import UserError
from intrada.data.datasets import DATASETS
from intrada.methods import METHODS
from intrada.models import MODELS
from intrada.pipeline.ablation import code, definition
from tests.support.definition import ROOT
from tests.support.imports import closure, is_package

ABLATION = definition.load(ROOT / definition.FILE)
# job -> the stages of the pipeline that it runs, and the module that runs them
RUNS = {
    "data": (("toycity", "check", "preprocess"), "steps"),
    "source": (("train_source",), "steps"),
    "inter": (("train_inter", "score", "evaluate"), "steps"),
    "recipe": (("train_inter", "score", "rank", "pseudo_label", "train_intra", "evaluate"), "recipes"),
}
# it runs stages and changes no result
RUNNER = {"intrada.pipeline.stage_runner", "intrada.pipeline.ablation.definition", "intrada.core.config.load"}


def resolved(folder: Path) -> dict[str, dict[str, Any]]:
    """Stage -> what DVC makes of its entry; paths from the checkout's root."""
    with Repo(str(folder / "ablation")) as repo:
        index = Index.from_file(repo, str(folder / "ablation/dvc.yaml"))
        return {stage.name: _entry(stage, folder) for stage in index.stages}


def _entry(stage: Any, folder: Path) -> dict[str, Any]:
    def relative(entry: Any) -> str:
        return Path(entry.fs_path).relative_to(folder).as_posix()

    params = {relative(dep): sorted(dep.params) for dep in stage.deps if hasattr(dep, "params")}
    deps = [relative(dep) for dep in stage.deps if not hasattr(dep, "params")]
    outs = [relative(out) for out in stage.outs]
    plain = not any(out.metric or out.plot for out in stage.outs)
    return {
        "cmd": stage.cmd,
        "deps": deps,
        "params": params,
        "outs": outs,
        "meta": stage.meta,
        "plain": plain,
    }


@cache
def stages() -> dict[str, dict[str, Any]]:
    return resolved(ROOT)


def benchmark_of(name: str) -> str:
    return name.split("@")[0].split("_", 1)[1]


def of_jobs() -> list[Any]:
    """(job, benchmark, entry) of every stage that runs stages of the pipeline."""
    found = [(name.split("_")[0], name) for name in stages()]
    return [(job, benchmark_of(name), stages()[name]) for job, name in found if job in RUNS]


@cache
def preset(benchmark: str) -> dict[str, Any]:
    path = ROOT / "presets" / f"{ABLATION.benchmarks[benchmark].preset}.yaml"
    loaded: dict[str, Any] = plain_yaml.parse(path.read_text(encoding="utf-8"))
    return loaded


def test_every_benchmark_seed_and_recipe_is_a_stage() -> None:
    expected = {"collect", "code"}
    for name, benchmark in ABLATION.benchmarks.items():
        expected |= {f"summary@{name}", f"criteria@{name}"}
        expected |= {
            f"{job}_{name}@{seed}" for job in ("data", "source", "inter") for seed in benchmark.seeds
        }
        expected |= {
            f"recipe_{name}@{seed}-{recipe}" for seed in benchmark.seeds for recipe in benchmark.recipes
        }
    assert set(stages()) == expected


def test_a_recipe_more_is_one_entry_more_and_its_name_in_a_benchmark(tmp_path: Path) -> None:
    (tmp_path / "ablation").mkdir()
    for name in ("dvc.yaml", "ablation.yaml"):
        shutil.copyfile(ROOT / "ablation" / name, tmp_path / "ablation" / name)
    Repo.init(str(tmp_path / "ablation"), no_scm=True).close()
    before = stages()
    path = tmp_path / definition.FILE
    text = path.read_text(encoding="utf-8")
    listed = text.replace("    recipes: &real\n", "    recipes: &real\n      - again\n")
    entry = "  again:\n    label: once more\n    how: {start: inter, steps: [continue], changes: {}}\n"
    path.write_text(listed + entry, encoding="utf-8")
    after = resolved(tmp_path)
    real = ("iddlite_dev", "iddlite", "nuclei", "dusk")
    runs = [(name, seed) for name in real for seed in ABLATION.benchmarks[name].seeds]
    assert set(after) - set(before) == {f"recipe_{name}@{seed}-again" for name, seed in runs}
    assert all(after[name] == entry for name, entry in before.items())


def test_without_scipy_the_ablation_stops_before_its_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(UserError, match="scipy is not installed\n.*extra `ablation`\n.*pip install scipy"):
        definition.load(ROOT / definition.FILE)


def test_there_is_a_file_of_hashes_for_each_stage() -> None:
    """And for no other: of `code` alone are they made."""
    found = {f"ablation/results/code/{name}" for name in code.texts(ABLATION)}
    named = {
        dep
        for entry in stages().values()
        for dep in entry["deps"]
        if dep.startswith("ablation/results/code/")
    }
    assert found == named


def test_the_hashes_of_a_job_are_of_all_that_its_stages_import() -> None:
    hashed = code.texts(ABLATION)
    for job, name, entry in of_jobs():
        [own] = [
            dep
            for dep in entry["deps"]
            if dep.startswith("ablation/results/code/") and "/toycity.txt" not in dep
        ]
        found = {
            line.split()[0] for line in hashed[own.removeprefix("ablation/results/code/")].splitlines()[1:]
        }
        ran, module = RUNS[job]
        roots = {*(f"intrada.stages.{stage}" for stage in ran if stage != "toycity"), *chosen(job, name)}
        needed = {each for root in roots for each in closure(root) if not is_package(each)}
        assert needed | {f"intrada.pipeline.ablation.{module}"} <= found, (job, needed - found)
        assert not found & RUNNER


def chosen(job: str, benchmark: str) -> set[str]:
    """The modules that the preset names for the job."""
    tree = preset(benchmark)
    if job == "data":
        return {DATASETS[block["dataset"]] for block in tree["preprocess"].values()}
    trainings = ["train_inter", "train_intra"] if job == "recipe" else [f"train_{job}"]
    # a recipe may choose another method for one of its trainings
    methods = (
        {METHODS[tree[each]["method"]] for each in trainings} if job != "recipe" else {METHODS["source_only"]}
    )
    return {MODELS[tree["model"]["name"]], *methods}


def test_a_recipe_depends_on_the_methods_that_it_chooses_alone() -> None:
    def names(recipe: str) -> set[str]:
        lines = code.texts(ABLATION)[code.job_file("toycity", f"recipes/{recipe}")].splitlines()
        return {line.split()[0] for line in lines}

    assert "intrada.methods.minent" in names("minent") and "intrada.methods.minent" not in names("intrada")
    assert "intrada.methods.advent" in names("intrada")


def test_a_stage_has_the_preset_and_the_code_of_its_benchmark() -> None:
    for job, name, entry in of_jobs():
        block, tree = ABLATION.benchmarks[name], preset(name)
        assert f"--benchmark {name} " in entry["cmd"] + " "
        assert set(entry["params"]) == {f"presets/{block.preset}.yaml", "ablation/ablation.yaml"}
        own = f"recipes/{recipe_of(entry)}" if job == "recipe" else job
        assert f"ablation/results/code/{name}/{own}.txt" in entry["deps"]
        if job == "data":
            raw = {str(domain["root"]) for domain in tree["preprocess"].values()}
            assert tree["toycity"] or raw <= set(entry["deps"])
            assert not tree["toycity"] or f"ablation/results/code/{name}/toycity.txt" in entry["deps"]


def recipe_of(entry: dict[str, Any]) -> str:
    return str(entry["cmd"].split()[-1])


def test_the_params_of_a_stage_are_all_that_its_stages_may_read() -> None:
    for job, name, entry in of_jobs():
        reads = {key for stage in RUNS[job][0] for key in import_module(f"intrada.stages.{stage}").READS}
        blocks = {key.split(".")[0] for key in reads} - {"seed", "rounds"}  # of the run, and of its recipe
        listed = set(entry["params"][f"presets/{ABLATION.benchmarks[name].preset}.yaml"])
        assert blocks <= listed, (job, blocks - listed)
        assert f"benchmarks.{name}.changes" in entry["params"]["ablation/ablation.yaml"]


def test_initial_weights_are_markers_or_models_of_the_ablation() -> None:
    """A weight file would be an input that no stage names."""
    for name in ABLATION.benchmarks:
        for stage in ("train_source", "train_inter", "train_intra"):
            assert Path(preset(name)[stage]["init"]).parts[0] in ("weights", "results")


def test_jobs_run_side_by_side_and_keep_out_of_the_main_metrics() -> None:
    for entry in stages().values():
        assert entry["meta"] == {"threads": 1} and entry["plain"]
    for name, benchmark in ABLATION.benchmarks.items():
        compute = overrides.apply(preset(name), benchmark.changes)["compute"]
        assert compute["threads"] == compute["inference_threads"] == 1
