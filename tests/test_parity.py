"""Golden values of the published code: the small ones always, all of them with `-m parity`.

INTRADA_REFERENCE names the folder of all items; tests/golden is a part of it.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import parity
from tests.support.parity_items import ITEMS, item_module
from tests.support.parity_items.comparing import Comparison
from tests.support.parity_items.reference import Reference

GOLDEN = Path(__file__).parent / "golden"
SMALL = ("a_state_dict.json", "c_losses.npz", "f_hist.npz", "g_preprocess.npz", "h_lr.json")
SAMPLES = 25  # spoiled values of an item


class Recomputed:
    """A folder and what was found for its items, each computed once."""

    def __init__(self, folder: Path) -> None:
        self.reference = Reference(folder)
        self._found: dict[str, Any] = {}

    def found(self, name: str) -> Any:
        if name not in self._found:
            self._found[name] = item_module(name).compute(self.reference, name)
        return self._found[name]

    def judge(self, name: str, overrides: dict[str, Any] | None = None) -> parity.Verdict:
        reference = Reference(self.reference.folder, overrides or {})
        return parity.judge(reference, name, self.found(name))

    def comparisons(self, name: str) -> list[Comparison]:
        comparisons: list[Comparison] = item_module(name).compare(self.reference, name, self.found(name))
        return comparisons


@pytest.fixture(scope="module")
def small() -> Recomputed:
    return Recomputed(GOLDEN)


@pytest.fixture(scope="module")
def full() -> Recomputed:
    folder = os.environ.get("INTRADA_REFERENCE")
    if not folder:
        pytest.skip("no golden values of the published code; to run: INTRADA_REFERENCE=DIR, their folder")
    return Recomputed(Path(folder))


def assert_passes(recomputed: Recomputed, name: str) -> None:
    verdict = recomputed.judge(name)
    assert verdict.passed, str(verdict)
    assert not verdict.unchecked


def assert_spoiled_values_fail(recomputed: Recomputed, name: str, others: list[str]) -> None:
    samples = list(spoiled(recomputed, name))
    assert samples
    for where, overrides in samples:
        assert not recomputed.judge(name, overrides).passed, f"{name} passes although {where} is spoiled"
    for other in others:
        assert recomputed.judge(other, samples[0][1]).passed


def spoiled(recomputed: Recomputed, name: str) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Stored files with one value off by ten times its tolerance (or by the least step there is)."""
    rng = np.random.default_rng(0)
    comparisons = recomputed.comparisons(name)
    for i in rng.permutation(len(comparisons))[:SAMPLES]:
        comparison = comparisons[i]
        file = str(comparison.where[0]) if str(comparison.where[0]).startswith("pseudo/") else name
        content = {"": copy.deepcopy(recomputed.reference.stored(file))}
        keys = ("", *(comparison.where if file == name else ()))
        element = tuple(int(rng.integers(length)) for length in comparison.expected.shape)
        if spoil(content, keys, element, comparison):
            yield (comparison.where, element), {file: content[""]}


def spoil(
    content: Any, keys: tuple[str | int, ...], element: tuple[int, ...], comparison: Comparison
) -> bool:
    """Change one element under `keys` in place; False where the comparison is of something derived."""
    for key in keys[:-1]:
        content = content[key]
    if (isinstance(content, dict) and keys[-1] not in content) or (
        isinstance(content, list) and keys[-1] == "length"
    ):
        return False
    stored, value = content[keys[-1]], comparison.expected[element]
    if comparison.expected.dtype == object:
        new: Any = "spoiled"
    elif np.isnan(value):
        new = 0.5
    elif np.issubdtype(comparison.expected.dtype, np.integer) and not comparison.allowed[element]:
        new = int(value) ^ 1
    else:
        least = np.spacing(np.abs(value)) * 4 if value else 1e-9
        new = float(value + max(10 * comparison.allowed[element], least))
    if isinstance(stored, np.ndarray) and stored.ndim:
        stored[element] = new
    elif element:
        for index in element[:-1]:
            stored = stored[index]
        stored[element[-1]] = new
    else:
        content[keys[-1]] = np.asarray(new) if isinstance(stored, np.ndarray) else new
    return True


@pytest.mark.parametrize("name", SMALL)
def test_small_items_pass(small: Recomputed, name: str) -> None:
    assert_passes(small, name)


@pytest.mark.parametrize("name", SMALL)
def test_a_spoiled_value_fails_its_item_and_no_other(small: Recomputed, name: str) -> None:
    assert_spoiled_values_fail(small, name, [other for other in SMALL if other != name])


@pytest.mark.parity
@pytest.mark.parametrize("prefix", ITEMS)
def test_all_items_pass_and_a_spoiled_value_fails_its_item(full: Recomputed, prefix: str) -> None:
    names = [name for name in full.reference.manifest["items"] if name.startswith(prefix)]
    assert names
    for name in names:
        assert_passes(full, name)
        assert_spoiled_values_fail(full, name, [])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of tests/golden whose manifest may be edited."""
    return shutil.copytree(GOLDEN, tmp_path / "golden")


def edit(folder: Path, **changes: Any) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    for key, value in changes.items():
        manifest[key] = manifest[key] | value if isinstance(value, dict) else value
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_command_prints_a_line_an_item_and_exits_with_0(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    assert parity.main([".", "--only", "f_hist", "h_lr"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [["f_hist.npz", "pass"], ["h_lr.json", "pass"]]
    assert "max abs 0.00e+00" in lines[0] and "max rel 0.00e+00" in lines[0]


def test_a_missing_or_unknown_item_fails_and_the_others_are_still_checked(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "f_hist.npz").unlink()
    edit(folder, items=["f_hist.npz", "z_new.json", "h_lr.json"])
    assert parity.main([str(folder), "--json"]) == 1
    verdicts = json.loads(capsys.readouterr().out)
    assert {name: verdict["passed"] for name, verdict in verdicts.items()} == {
        "f_hist.npz": False,
        "z_new.json": False,
        "h_lr.json": True,
    }
    assert "FileNotFoundError" in verdicts["f_hist.npz"]["worst"]
    assert "nothing recomputes z_new.json" in verdicts["z_new.json"]["worst"]


def test_a_file_spoiled_on_disk_fails_on_the_command_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = json.loads((folder / "h_lr.json").read_text())
    stored["generator"]["2000"][1] *= 1 + 1e-8
    (folder / "h_lr.json").write_text(json.dumps(stored))
    assert parity.main([str(folder), "--only", "h_lr"]) == 1
    assert "FAIL" in (line := capsys.readouterr().out) and "at generator/2000" in line


def test_nothing_to_check_is_no_success(folder: Path) -> None:
    assert parity.main([str(folder), "--only", "x"]) == 1


def test_settings_and_tolerances_come_from_the_manifest(folder: Path) -> None:
    edit(folder, setting={"learning_rate": 1e-3})
    assert not parity.check(Reference(folder), "h_lr.json").passed
    edit(folder, tolerance={"forward_f64_rel": 10.0})
    assert parity.check(Reference(folder), "h_lr.json").passed


def test_what_an_item_holds_beyond_this_is_named(folder: Path) -> None:
    stored = json.loads((folder / "h_lr.json").read_text()) | {"extra": 1}
    (folder / "h_lr.json").write_text(json.dumps(stored))
    verdict = parity.check(Reference(folder), "h_lr.json")
    assert verdict.passed and verdict.unchecked == ["extra"] and "not compared: extra" in str(verdict)
