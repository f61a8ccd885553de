from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks import NEED_BF16, ROWS, Row
from benchmarks.__main__ import OUT, main
from intrada.core.errors import UserError


@pytest.mark.parametrize("name", ROWS)
def test_a_row_is_a_module_of_its_name_with_a_measure_function(name: str) -> None:
    module = import_module(ROWS[name])
    assert module.__name__ == f"benchmarks.rows.{name}" and callable(module.measure)


def test_the_table_and_its_file_have_the_ratio_and_the_load_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    row = ModuleType("one_row")
    vars(row)["measure"] = lambda: Row("one", 0.25, 1.0, 4.0, "s", "at least 2")
    monkeypatch.setitem(sys.modules, "one_row", row)
    monkeypatch.setitem(ROWS, "one", "one_row")
    monkeypatch.setattr("os.getloadavg", lambda: (1.5, 0.0, 0.0))
    main(["--only", "one"])
    written = json.loads(OUT.read_text())
    assert written["busy"] and written["rows"][0]["ratio"] == 4.0
    printed = capsys.readouterr().out
    assert "4.0000" in printed and "the machine was busy (load 1.5" in printed


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
