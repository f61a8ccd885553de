"""The commands preset, schema and validate; test_estimate.py has estimate."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from intrada.__main__ import main
from intrada.commands import preset, validate
from intrada.core.config import load as params_file
from intrada.core.config import plain_yaml
from intrada.core.config.schema import Params
from intrada.training import step_timing
from intrada.training.step_timing import StageTime
from tests.support.definition import ROOT

PRESETS = sorted(path.stem for path in (ROOT / "presets").glob("*.yaml"))


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the presets; toycity is active."""
    shutil.copytree(ROOT / "presets", tmp_path / "presets")
    shutil.copyfile(ROOT / "presets/toycity.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_valid_and_can_be_activated_and_estimated(
    checkout: Path, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # test_step_timing.py measures steps; it takes seconds for each large network
    times = [StageTime(1, 60.0, 1.0, 1.0, 1.0)] * 3
    monkeypatch.setattr(step_timing, "measure_all", lambda *_: times)
    assert main(["preset", name]) == 0
    assert (checkout / "params.yaml").read_bytes() == (ROOT / f"presets/{name}.yaml").read_bytes()
    _, *costs = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in costs] == ["train_source", "train_inter", "train_intra"]
    assert all("GiB and 60 s here" in line for line in costs)


def test_a_preset_that_this_machine_cannot_run_is_activated_without_an_estimate(
    checkout: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    cluster = (checkout / "presets/toycity.yaml").read_text().replace("device: cpu", "device: cuda")
    (checkout / "presets/cluster.yaml").write_text(cluster)
    assert main(["preset", "cluster"]) == 0
    assert (checkout / "params.yaml").read_text() == cluster
    assert "no estimate of memory and time: compute.device: cuda" in capsys.readouterr().out


def test_the_list_marks_the_active_preset(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["preset", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] if line[0] == " " else line.split()[1] for line in lines] == PRESETS
    assert [line.split()[1] for line in lines if line.startswith("*")] == ["toycity"]


def test_edits_are_not_overwritten(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    params = checkout / "params.yaml"
    params.write_text(params.read_text() + "# mine\n")
    assert main(["preset", "camvid_day_to_dusk"]) == 1
    assert params.read_text().endswith("# mine\n")
    assert "presets/my_experiment.yaml" in capsys.readouterr().err


def test_a_preset_of_ones_own_may_be_edited_and_chosen_again(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preset, "_show_costs", lambda _: None)
    own, params = checkout / "presets/mine.yaml", checkout / "params.yaml"
    for lr in ("1.0e-3", "2.0e-3", "3.0e-3"):
        own.write_text((checkout / "presets/toycity.yaml").read_text().replace("lr: 2.0e-3", f"lr: {lr}"))
        assert main(["preset", "mine"]) == 0
        assert params.read_text() == own.read_text() and f"lr: {lr}" in params.read_text()
    kept = {path.read_text() for path in (checkout / "logs/presets").iterdir()}
    assert len(kept) == 3 and params.read_text() in kept  # no version is lost


def test_an_edit_after_a_preset_of_ones_own_is_not_overwritten(
    checkout: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preset, "_show_costs", lambda _: None)
    own, params = checkout / "presets/my_experiment.yaml", checkout / "params.yaml"
    own.write_text(params.read_text() + "# own\n")
    assert main(["preset", "my_experiment"]) == 0
    edited = params.read_text() + "# and edited\n"
    params.write_text(edited)
    own.write_text(own.read_text() + "# changed, too\n")
    assert main(["preset", "my_experiment"]) == 1
    assert params.read_text() == edited
    assert (
        "cp params.yaml presets/my_experiment_2.yaml" in capsys.readouterr().err
    )  # no preset is overwritten


def test_an_edit_during_the_command_is_not_overwritten(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params, load = checkout / "params.yaml", validate.load

    def edit(path: Path) -> Params:
        params.write_text("# saved by an editor\n")
        return load(path)

    monkeypatch.setattr(validate, "load", edit)
    assert main(["preset", "toycity_plus"]) == 1
    assert params.read_text() == "# saved by an editor\n"


def test_force_replaces_an_edited_file_and_keeps_it(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(preset, "_show_costs", lambda _: None)
    params = checkout / "params.yaml"
    start = params.read_text()
    for number in ("", "2"):
        params.write_text(f"{start}# mine{number}\n")
        assert main(["preset", "--force", "toycity_plus"]) == 0
        assert f"the edited one is params.yaml.bak{number}" in capsys.readouterr().out
        assert (checkout / f"params.yaml.bak{number}").read_text() == f"{start}# mine{number}\n"
        assert params.read_bytes() == (checkout / "presets/toycity_plus.yaml").read_bytes()
    assert main(["preset", "--force", "toycity"]) == 0  # nothing to keep
    assert len([*checkout.glob("params.yaml.bak*")]) == 2


def test_what_the_command_wrote_is_replaced_without_a_word_after_its_preset_has_changed(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preset, "_show_costs", lambda _: None)
    assert main(["preset", "toycity_plus"]) == 0
    own = checkout / "presets/toycity_plus.yaml"
    own.write_text(own.read_text() + "# a newer version\n")
    assert main(["preset", "toycity"]) == 0
    assert not [*checkout.glob("params.yaml.bak*")]


def test_a_preset_is_shown(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["preset", "--show", "minent"]) == 0
    assert capsys.readouterr().out == (checkout / "presets/minent.yaml").read_text()


def test_the_values_that_differ_are_listed(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["preset", "--diff"]) == 0
    assert capsys.readouterr().out == "params.yaml has the content of presets/toycity.yaml\n"
    params = checkout / "params.yaml"
    params.write_text(params.read_text().replace("easy_fraction: 0.67", "easy_fraction: 0.5") + "# mine\n")
    assert main(["preset", "--diff"]) == 0
    title, *lines = capsys.readouterr().out.splitlines()
    assert title == "presets/toycity.yaml -> params.yaml: 1 value differs"
    assert lines == ["  rank.easy_fraction: 0.67 -> 0.5"]
    assert main(["preset", "--diff", "toycity_plus"]) == 0
    assert "  train_inter.bn_statistics: " in capsys.readouterr().out


def test_one_thing_at_a_time(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["preset", "--show", "--force", "minent"]) == 1
    assert "--show and --force" in capsys.readouterr().err


def test_an_unknown_preset_suggests_the_nearest(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["preset", "toycty"]) == 1
    assert "did you mean toycity?" in capsys.readouterr().err


def test_the_projects_schema_is_that_of_the_code(tmp_path: Path) -> None:
    assert main(["schema", "--out", str(tmp_path / "schema.yaml")]) == 0
    assert (tmp_path / "schema.yaml").read_text() == (
        ROOT / "workflow/schemas/params.schema.yaml"
    ).read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": {"name": "smal", "options": {}}}, "model.name: 'smal'"),
        ({"rank": {"rule": "mean_entropy", "easy_fraction": 0.5, "rare_classes": ["sheep"]}}, "'sheep'"),
        ({"classes": ["road", "raod"]}, "classes"),
    ],
)
def test_unknown_names_are_refused_and_no_stamp_is_written(
    checkout: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], message: str
) -> None:
    params = plain_yaml.parse((checkout / "params.yaml").read_text())
    (checkout / "params.yaml").write_text(plain_yaml.dump({**params, **change}))
    assert main(["validate", "--params", "params.yaml", "--out", "stamp.json"]) == 1
    assert message in capsys.readouterr().err
    assert not (checkout / "stamp.json").exists()


@pytest.mark.parametrize("name", PRESETS)
def test_validate_writes_all_values_of_the_params(checkout: Path, name: str) -> None:
    assert main(["validate", "--params", f"presets/{name}.yaml", "--out", "params.json"]) == 0
    values = json.loads((checkout / "params.json").read_text(encoding="utf-8"))
    assert Params.model_validate(values) == params_file.load(Path(f"presets/{name}.yaml"))
