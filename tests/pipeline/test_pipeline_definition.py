"""dvc.yaml against the code: DVC and Snakemake read no `READS`, this does."""

from __future__ import annotations

import copy
import re
import shlex
import shutil
from collections.abc import Iterator
from functools import cache, reduce
from importlib import import_module
from operator import getitem
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from dvc.repo import Repo
from dvc.repo.index import Index

from intrada.commands import COMMANDS
from intrada.core.config import plain_yaml
from intrada.core.stage import Choice, Flag, FloatList, In, Option, Out, RoundOption, SetOption
from intrada.data import tables
from intrada.data.datasets import DATASETS
from intrada.methods import METHODS
from intrada.models import MODELS
from intrada.pipeline import bridge, code_hash
from intrada.pipeline.dvc_api import Definition
from intrada.pipeline.stage_runner import keys_of
from intrada.stages import STAGES
from tests.support.definition import ROOT, Job, jobs, stages
from tests.support.tiny_project import tree

PRESETS = sorted((ROOT / "presets").glob("*.yaml"))
PARAMS = {path.stem: plain_yaml.parse(path.read_text(encoding="utf-8")) for path in PRESETS}
SET = {**PARAMS["toycity"]["preprocess"]["source"], "root": "data/raw/more", "weight": 0.5}
PARAMS["sets"] = copy.deepcopy(PARAMS["toycity"]) | {
    "sources": {"more": SET},
    "target_labelled": {"few": {**SET, "dataset": "cityscapes", "root": "data/raw/few"}},
}
PARAMS["rounds"] = copy.deepcopy(PARAMS["toycity"]) | {
    "rounds": {
        "r2": {"after": "train_intra", "easy_fraction": 0.7, "init": "results/train_intra/last.safetensors"},
        "r3": {"after": "train_intra_round/r2", "easy_fraction": 0.8, "init": "weights/random"},
    },
    "select": "label_free",
}
FOLDER = code_hash.FOLDER


JOBS = {preset: list(jobs(params).values()) for preset, params in PARAMS.items()}
every_preset = pytest.mark.parametrize("preset", PARAMS)


def module(job: Job) -> Any:
    return import_module(name_of(job))


def name_of(job: Job) -> str:
    return f"intrada.{'stages' if job.word in STAGES else 'commands'}.{job.word}"


def marks(job: Job) -> dict[str, Any]:
    return _marks(module(job))


@cache
def _marks(stage: Any) -> dict[str, Any]:
    hints = get_type_hints(stage.run, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items() if hasattr(hint, "__metadata__")}


def left_out(mark: Any) -> bool:
    """Whether the option may be missing on the command line."""
    kinds = (RoundOption, SetOption, FloatList, Option, Flag)
    return isinstance(mark, kinds) or getattr(mark, "optional", False)


def word_of(stage: str) -> str:
    """The command of a stage of dvc.yaml: without the block of params that adds such stages."""
    return re.sub("_(round|sources|target_labelled)$", "", stage.split("@")[0])


def hashes(job: Job) -> set[str]:
    """The files with the hashes of code among the deps, below their folder."""
    return {Path(dep).relative_to(FOLDER).as_posix() for dep in job.deps if Path(dep).is_relative_to(FOLDER)}


def values_of(job: Job, params: dict[str, Any]) -> dict[str, Any]:
    """The values under the keys that the job reads."""
    return {key: reduce(getitem, key.split("."), params) for key in job.params}


def test_every_stage_is_in_dvc_yaml() -> None:
    words = {word_of(name) for name in stages()}
    assert STAGES.keys() <= words <= STAGES.keys() | COMMANDS.keys()


@every_preset
def test_a_stage_runs_the_command_of_its_name_with_every_option(preset: str) -> None:
    for job in JOBS[preset]:
        assert word_of(job.name) == job.word
        optional = {name for name, mark in marks(job).items() if left_out(mark)}
        params_file = {"params"} if job.word in STAGES else set()  # the option of every stage
        assert {*job.options} - params_file | optional == set(marks(job)), job.name
        assert job.options.get("params", "params.yaml") in ("params.yaml", *job.deps), job.name


@every_preset
def test_params_are_exactly_what_the_stage_may_read(preset: str) -> None:
    for job in JOBS[preset]:
        keys = keys_of(getattr(module(job), "READS", ()), {"round": "", **job.options})
        if "results/validate/params.json" in job.deps:  # all values in one file
            assert set(keys) == PARAMS[preset].keys() and not job.params, job.name
        else:
            assert sorted(job.params) == sorted(keys), job.name


@every_preset
def test_paths_of_the_command_are_its_deps_and_outs(preset: str) -> None:
    for job in JOBS[preset]:
        given = {option: mark for option, mark in marks(job).items() if option in job.options}
        for option, mark in given.items():
            if isinstance(mark, In):
                assert any(Path(job.options[option]).is_relative_to(dep) for dep in job.deps), (
                    job.name,
                    option,
                )
            elif isinstance(mark, Out):
                assert job.options[option] in job.outs, (job.name, option)
            else:
                assert isinstance(mark, (Choice, RoundOption, SetOption, FloatList)), (job.name, option)
        written = {job.options[option] for option, mark in given.items() if isinstance(mark, Out)}
        assert set(job.outs) == written, job.name


@every_preset
def test_a_stage_depends_on_the_hashes_of_its_code_alone(preset: str) -> None:
    """Its own and those of the modules that params choose: what its fingerprint is made of."""
    for job in JOBS[preset]:
        if job.word == "validate":
            assert hashes(job) == set() and "intrada" in job.deps and "results/code" in job.outs
        else:
            assert hashes(job) == code().of_stage(job.word, values_of(job, PARAMS[preset])).keys(), job.name
            assert not [dep for dep in job.deps if dep.startswith("intrada")], job.name


@cache
def code() -> code_hash.Code:
    return code_hash.Code(code_hash.PACKAGE)


def choices() -> Iterator[Any]:
    for name in MODELS:
        yield pytest.param(lambda params, name=name: params["model"].update(name=name), id=f"model-{name}")
    for name in METHODS:
        yield pytest.param(lambda params, name=name: _all(params, "train_", method=name), id=f"method-{name}")
    for name in DATASETS:
        yield pytest.param(
            lambda params, name=name: _all(params["preprocess"], "", dataset=name), id=f"dataset-{name}"
        )


def _all(blocks: dict[str, Any], prefix: str, **values: str) -> None:
    for name, block in blocks.items():
        if name.startswith(prefix):
            block.update(values)


@pytest.mark.parametrize("choose", list(choices()))
def test_every_choice_brings_its_hashes(choose: Any) -> None:
    params = copy.deepcopy(PARAMS["rounds"])
    choose(params)
    for job in jobs(params).values():
        if job.word != "validate":
            assert hashes(job) == code().of_stage(job.word, values_of(job, params)).keys(), job.name


@pytest.mark.parametrize("file", ["dvc.yaml", "ablation/dvc.yaml"])
def test_every_stage_says_what_it_is_for(file: str) -> None:
    loaded: Any = plain_yaml.read(ROOT / file)
    assert all(block.get("do", block)["desc"] for block in loaded["stages"].values())
    assert len((ROOT / file).read_text(encoding="utf-8").splitlines()) < 370


@pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")  # DVC and ruamel.yaml
def test_dvc_reads_the_stages_as_these_tests_do(tmp_path: Path) -> None:
    """With two rounds: DVC has a YAML parser of its own, and templates, merge keys and `vars`."""
    shutil.copyfile(ROOT / "dvc.yaml", tmp_path / "dvc.yaml")
    (tmp_path / "params.yaml").write_text(plain_yaml.dump(PARAMS["rounds"]))
    Repo.init(str(tmp_path), no_scm=True).close()
    with Repo(str(tmp_path)) as repo:
        index = Index.from_file(repo, str(tmp_path / "dvc.yaml"))
        seen = {
            stage.name: (shlex.split(stage.cmd)[3:], paths(stage.outs, tmp_path)) for stage in index.stages
        }
    assert seen == {job.name: (job.argv, sorted(job.outs)) for job in jobs(PARAMS["rounds"]).values()}


def paths(entries: list[Any], folder: Path) -> list[str]:
    return sorted(Path(entry.fs_path).relative_to(folder).as_posix() for entry in entries)


@every_preset
def test_every_stage_has_an_output_that_is_a_file(preset: str) -> None:
    for job in JOBS[preset]:
        assert [out for out in job.outs if Path(out).suffix], job.name


@every_preset
def test_what_a_stage_makes_is_made_once_and_what_it_needs_is_made_by_another(preset: str) -> None:
    outs = [out for job in JOBS[preset] for out in job.outs]
    assert len(outs) == len(set(outs))
    for job in JOBS[preset]:
        for dep in job.deps:
            if dep.startswith(("results/", "data/preprocess/")):
                # a folder that holds outs of another stage is a dependency on all of them
                inside = [
                    out for out in outs if Path(dep).is_relative_to(out) or Path(out).is_relative_to(dep)
                ]
                assert inside, (job.name, dep)


def test_the_images_that_an_index_names_are_deps_too(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished)
    checked = 0
    for job in jobs(tree()).values():
        for option, mark in marks(job).items():
            if isinstance(mark, In) and mark.index:
                for path in tables.files_of(Path(job.options[option])):
                    assert any(path.is_relative_to(dep) for dep in job.deps), (job.name, path)
                    checked += 1
    assert checked > 100


@pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")  # DVC and ruamel.yaml
def test_stages_that_compute_ask_for_a_gpu_unless_the_params_keep_them_on_the_cpu() -> None:
    def asking(on_cpu: bool) -> set[str]:
        found = bridge.stages(ROOT, main=False, dry=True, on_cpu=on_cpu)
        return {stage.name.split("@")[0] for stage in found if stage.resources.get("gpu")}

    training = {"train_source", "train_inter", "train_intra"}
    assert asking(on_cpu=False) == training | {"score", "evaluate", "evaluate_snapshots"}
    assert asking(on_cpu=True) == set()


def test_snakemake_is_told_the_threads_that_a_stage_sets() -> None:
    told = {name: str(block.get("do", block)["meta"]["threads"]) for name, block in stages().items()}
    reads_compute = {name for name, threads in told.items() if threads != "1"}
    for name in reads_compute:
        key = "threads" if name.startswith("train") else "inference_threads"
        assert told[name] == f"${{compute.{key}}}"
    starts = ("train_", "score", "evaluate")
    assert reads_compute == {name for name in told if name.startswith(starts)}


@pytest.mark.parametrize("on_cpu, resources", [(True, {}), (False, {"gpu": 2})])
def test_a_stage_on_two_devices_asks_for_both_and_for_the_threads_of_two_processes(
    tmp_path: Path, on_cpu: bool, resources: dict[str, int]
) -> None:
    meta = {"threads": "3", "resources": {"gpu": "2"}}  # as DVC fills in the params
    stage = Definition("score", "score", [], [], [], meta)
    found = bridge._stage(stage, tmp_path, bridge.MAIN, on_cpu)
    assert (found.threads, found.resources) == (6, resources)


def test_a_stage_with_a_weight_file_outside_of_the_checkout_is_a_rule_without_it(tmp_path: Path) -> None:
    weights = tmp_path / "outside.pth"
    weights.touch()
    stage = Definition("train_source", "train_source", [weights], [], ["check"], {})
    found = bridge._stage(stage, tmp_path / "checkout", bridge.MAIN, True)
    assert found.inputs == [".snakemake/tokens/train_source", ".snakemake/done/check"]
