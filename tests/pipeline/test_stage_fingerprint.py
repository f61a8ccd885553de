"""What changes the fingerprint of a stage."""

from __future__ import annotations

import functools
import os
import time
from pathlib import Path

import numpy as np
import pytest

from intrada.core import files, hash_cache, hashing
from intrada.pipeline import provenance
from intrada.stages import preprocess, score
from tests.support.stage_execution import PREPROCESS, SCORE, append, fingerprint, stubbed
from tests.support.stage_execution import folder as folder  # a fixture
from tests.support.stage_execution import package as package  # a fixture
from tests.support.tiny_project import change, tree, write_params


def test_the_fingerprint_changes_with_params_and_inputs_that_the_stage_reads() -> None:
    found = [fingerprint()]
    write_params(change(tree(), seed=5, train_inter__iterations=3))
    os.utime("scores.csv")
    assert fingerprint() == found[0]
    write_params(change(tree(), rank__easy_fraction=0.5))
    found.append(fingerprint())
    text = Path("scores.csv").read_text()
    Path("scores.csv").write_text(text.replace("0.3", "0.4"))
    found.append(fingerprint())
    assert len(set(found)) == 3


def test_the_fingerprint_changes_with_an_image_of_an_index(monkeypatch: pytest.MonkeyPatch) -> None:
    stubbed(monkeypatch, score)
    before = fingerprint("score", SCORE)
    files.write_image(Path("a.png"), np.ones((2, 3, 3), np.uint8))
    assert fingerprint("score", SCORE) != before


def test_a_second_start_reads_no_image_and_has_the_same_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    stubbed(monkeypatch, score)
    clock, original, read = time.time_ns, hashing.file_hash, list[Path]()
    before = fingerprint("score", SCORE)
    hash_cache.PATH.unlink(missing_ok=True)  # on a busy machine some files were old enough
    monkeypatch.setattr(hash_cache.time, "time_ns", lambda: clock() + 60 * 10**9)  # the files are old
    monkeypatch.setattr(hashing, "file_hash", lambda path: read.append(path) or original(path))
    assert fingerprint("score", SCORE) == before
    assert {Path("index.csv"), Path("a.png"), SCORE["model"], SCORE["out"]} <= set(read)
    read.clear()
    monkeypatch.setattr(score, "run", functools.wraps(score.run)(lambda *arguments, **options: None))
    assert fingerprint("score", SCORE) == before
    assert read == []
    files.write_image(Path("a.png"), np.ones((2, 3, 3), np.uint8))
    assert fingerprint("score", SCORE) != before


def test_raw_data_are_known_by_size_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    stubbed(monkeypatch, preprocess)
    before = fingerprint("preprocess", PREPROCESS)
    assert fingerprint("preprocess", PREPROCESS) == before
    os.utime("raw/a.png", (1, 1))
    assert fingerprint("preprocess", PREPROCESS) != before


@pytest.mark.parametrize(
    "module, moved",
    [
        ("methods/ranking.py", True),
        ("core/files.py", True),
        ("stages/rank.py", True),
        ("stages/score.py", False),
        ("training/trainer.py", False),
    ],
)
def test_the_fingerprint_changes_with_the_code_that_the_stage_imports(
    package: Path, module: str, moved: bool
) -> None:
    before = fingerprint()
    append(package / module, "# a comment\n")
    assert fingerprint() == before
    append(package / module, "EDITED = 1\n")
    assert (fingerprint() != before) == moved


def test_the_fingerprint_changes_with_the_version_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    before, installed = fingerprint(), provenance.version
    monkeypatch.setattr(provenance, "version", lambda name: "0" if name == "torch" else installed(name))
    assert fingerprint() != before
