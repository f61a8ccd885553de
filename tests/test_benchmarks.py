from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from torch import nn

from benchmarks import NEED_BF16, ROWS, Row, iteration, machine
from benchmarks.__main__ import OUT, main
from intrada.core.errors import UserError


@pytest.mark.parametrize("name", ROWS)
def test_a_row_is_a_module_of_its_name_with_a_measure_function(name: str) -> None:
    module = import_module(ROWS[name])
    assert module.__name__ == f"benchmarks.rows.{name}" and callable(module.measure)


def test_the_table_and_its_file_have_the_ratio_the_machine_and_what_others_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    row = ModuleType("one_row")
    vars(row)["measure"] = lambda: Row("one", 0.25, 1.0, 4.0, "s", "at least 2")
    monkeypatch.setitem(sys.modules, "one_row", row)
    monkeypatch.setitem(ROWS, "one", "one_row")
    monkeypatch.setattr("benchmarks.machine._busy_seconds", iter([100.0, 1e6]).__next__)
    main(["--only", "one"])
    written = json.loads(OUT.read_text())
    assert written["rows"][0]["ratio"] == 4.0 and written["rows"][0]["others"] > 0.1
    assert written["machine"]["processor"] and written["machine"]["peak_gflops"]["float32"] > 0
    printed = capsys.readouterr().out
    assert "4.0000" in printed and "not reliable: one" in printed
    assert written["machine"]["processor"] in printed


def test_a_row_s_own_work_and_that_of_its_children_is_not_another_program_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In ten seconds all programs work for 15 s: 7 here, 5 in a child, 3 elsewhere: .3 cores."""
    monkeypatch.setattr("time.perf_counter", iter([0.0, 10.0]).__next__)
    monkeypatch.setattr("benchmarks.machine._busy_seconds", iter([100.0, 115.0]).__next__)
    used = {machine.resource.RUSAGE_SELF: [1.0, 8.0], machine.resource.RUSAGE_CHILDREN: [2.0, 7.0]}
    monkeypatch.setattr(
        "resource.getrusage", lambda who: SimpleNamespace(ru_utime=used[who].pop(0), ru_stime=0.0)
    )
    assert machine.Others().cores() == pytest.approx(0.3)


def test_the_tolerance_follows_from_the_number_of_terms() -> None:
    """Two layers of 3 x 3 x 3 and 5 x 1 x 1 terms: 32, of which the root is 5.66."""
    network = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.Conv2d(5, 2, 1))
    assert iteration.summation_error(network) == pytest.approx(4 * 2**-24 * 32**0.5)


def test_the_processor_has_a_name(tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text("processor\t: 0\nmodel name\t: A Chip @ 3 GHz\n")
    assert machine.processor(file) == "A Chip @ 3 GHz"
    assert machine.processor(tmp_path / "none")


def test_a_row_for_a_gpu_is_skipped_with_a_message_and_refused_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    name = "advent_iteration_cuda"
    with pytest.raises(UserError, match="sees no CUDA device"):
        main(["--only", name])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("benchmarks.__main__.ROWS", {name: ROWS[name]})
    main([])
    assert json.loads(OUT.read_text())["rows"] == []
    assert f"{name} is skipped" in capsys.readouterr().out


@pytest.mark.parametrize("name", NEED_BF16)
def test_a_row_in_bf16_is_skipped_with_a_message_if_bf16_is_emulated(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("benchmarks.__main__.has_bf16", lambda device: False)
    monkeypatch.setattr("benchmarks.__main__.ROWS", {name: ROWS[name]})
    main([])
    assert json.loads(OUT.read_text())["rows"] == []
    assert f"{name} is skipped: this machine emulates bf16" in capsys.readouterr().out
