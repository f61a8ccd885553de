from __future__ import annotations

import logging
import re
import shutil
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import get_type_hints

import pytest

import intrada
from intrada.__main__ import main
from intrada.cli import WORDS
from intrada.core import plain_text
from intrada.core.stage import Argument, Settings
from intrada.stages import STAGES, rank
from tests.support.definition import ROOT
from tests.support.tiny_project import PARAMS

RANK = ["rank", "--scores", "scores.csv", "--out", "split.csv"]


def shown(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """Return the output of `--help` on one line, because argparse wraps lines."""
    with pytest.raises(SystemExit) as caught:
        main([*argv, "--help"])
    assert caught.value.code == 0
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("word", WORDS)
def test_help_explains_every_option_of_every_command(
    word: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")  # no hyphenation of long words
    module = import_module(f"intrada.{'stages' if word in STAGES else 'commands'}.{word}")
    text = shown(capsys, word)
    assert " ".join((module.__doc__ or "?").split()) in text
    hints = get_type_hints(module.run, include_extras=True)
    marks = [(name, mark) for name, hint in hints.items() for mark in getattr(hint, "__metadata__", ())]
    for name, mark in marks:
        option = "--set KEY=VALUE" if isinstance(mark, Settings) else f"--{name.replace('_', '-')}"
        assert (name.upper() if isinstance(mark, Argument) else option) in text
        assert mark.help and " ".join(mark.help.split()) in text
    assert ("--params PATH" in text) == (word in STAGES or "params" in hints)


@pytest.mark.parametrize("word", STAGES)
def test_every_argument_of_a_stage_is_an_option_or_given_by_the_runner(word: str) -> None:
    hints = get_type_hints(import_module(f"intrada.stages.{word}").run, include_extras=True)
    bare = {name for name, hint in hints.items() if not hasattr(hint, "__metadata__")}
    assert bare <= {"params", "context", "return"}


def test_help_lists_every_command_on_a_line_with_its_summary(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    lines = {" ".join(line.split()) for line in text.splitlines()}
    assert {f"{word} {summary}" for word, summary in WORDS.items()} <= lines
    titles = [line for line in text.splitlines() if re.fullmatch(r"[a-z ]+:", line)]
    assert titles == ["start here:", "stages of the pipeline:", "look and use:", "options:"]
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2
    assert capsys.readouterr().err == text


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"intrada {intrada.__version__}\n"


@pytest.mark.parametrize(
    "argv, hint",
    [
        (["rnak"], "no command 'rnak' (did you mean rank?)"),
        (["evalute", "--name", "inter"], "did you mean evaluate?"),
        (["zzz"], "no command 'zzz'; `intrada --help` lists all commands"),
        ([*RANK, "--sets", "seed=1"], "--sets seed=1 (did you mean --set?)"),
        (["predict", "m", "i", "--out", "o", "--ownsize"], "(did you mean --own-size?)"),
        (["--vrsion"], "(did you mean --version?)"),
    ],
)
def test_the_nearest_command_or_option_is_named(
    argv: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2
    assert hint in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv, details",
    [(["rank"], False), (["-v", "rank"], True), (["rank", "-v"], True), (["rank", "-q"], False)],
)
def test_details_are_printed_if_they_are_asked_for(
    argv: list[str], details: bool, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("scores.csv").write_text("image,entropy,pixels_sky\n")
    assert main([*argv, *RANK[1:]]) == 1  # no images
    error = capsys.readouterr().err
    assert ("intrada rank --params params.yaml --scores scores.csv --out split.csv" in error) == details
    assert ("fingerprint of params, inputs and code: " in error) == details
    assert "error: scores: no column" in error


def test_quiet_hides_notes_but_no_result(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for argv, level in ((["-q", "validate"], logging.WARNING), (["validate"], logging.INFO)):
        assert main(argv) == 0
        assert plain_text.shown() == level
        assert capsys.readouterr().out == "params.yaml is valid\n"


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("bash"), reason="the completion script is run by bash")
def test_bash_completes_commands_options_and_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--print-completion", "bash"]) == 0
    script = capsys.readouterr().out

    def completed(line: str) -> set[str]:
        words = line.split(" ")
        setup = (
            f"COMP_WORDS=({' '.join(words)!s} ''); COMP_CWORD={len(words)}"
            if line.endswith(" ")
            else (f"COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}")
        )
        run = f"{script}\n{setup}; _shtab_intrada; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        done = subprocess.run(["bash", "-c", run], capture_output=True, text=True, check=True)
        return set(done.stdout.split())

    assert completed("intrada ra") == {"rank"}
    assert completed("intrada rank --s") == {"--scores", "--set"}
    assert completed("intrada preprocess --domain s") == {"source"}


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("fish"), reason="no fish on the PATH; to run: apt install fish (Debian)")
def test_fish_completes_them_and_says_a_line_of_each(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["--print-completion", "fish"]) == 0
    script = tmp_path / "script"
    script.write_text(capsys.readouterr().out)

    def completed(line: str) -> list[str]:
        command = ["fish", "--no-config", "-c", f"source {script}; complete -C {line!r}"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    assert completed("intrada ra") == [f"rank\t{WORDS['rank']}"]
    assert {"--scores", "--set"} <= {line.split("\t")[0] for line in completed("intrada rank --s")}
    assert completed("intrada preprocess --domain s") == ["source\tthe domain to preprocess"]


@pytest.mark.slow
def test_zsh_says_a_line_of_each_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--print-completion", "zsh"]) == 0
    script = capsys.readouterr().out
    assert all(f"\n    {name}:'{text}'\n" in script for name, text in WORDS.items())


@pytest.mark.parametrize("argv", [["rank", "--scores"], ["predict", "model"], [*RANK, "--lambda", "0.5"]])
def test_a_wrong_command_line_exits_with_2_and_the_usage(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("usage: intrada")


def test_a_value_outside_the_choices_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["toycity", "--domain", "val", "--out", "a", "--table", "b"])
    assert "source" in capsys.readouterr().err


def test_a_user_error_exits_with_1_and_fits_on_a_screen(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    PARAMS.write_text(PARAMS.read_text().replace("easy_fraction: 0.67", "easy_fraction: 6.7"))
    assert main(RANK) == 1
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert lines[0].startswith("error: params.yaml: rank.easy_fraction = 6.7")
    assert [line.split(":")[0] for line in lines[1:]] == ["  allowed", "  do next"]
    assert sum(-(-len(line) // 80) for line in lines) <= 24


def test_the_params_file_is_an_option(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*RANK, "--params", "other.yaml"]) == 1
    assert "other.yaml: no such file" in capsys.readouterr().err


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_exits_with_128_and_its_number(
    checkout: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
    code: int,
) -> None:
    Path("scores.csv").write_text("image,entropy,pixels_sky\n")
    monkeypatch.setattr(rank.ranking, "rank", lambda *_: signal.raise_signal(number))
    assert main(RANK) == code
    expected = f"stopped by {number.name}; run the same command again to continue\n"
    assert capsys.readouterr().err == expected


def test_a_bug_of_this_project_keeps_its_traceback(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("scores.csv").write_text("image,entropy,pixels_sky\n")
    monkeypatch.setattr(rank.ranking, "rank", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(RANK)


def test_a_command_writes_no_record_to_the_execution_log(checkout: Path) -> None:
    assert main(["validate", "--params", "params.yaml", "--out", "stamp.json"]) == 0
    assert Path("stamp.json").exists() and not Path("logs").exists()


def test_a_signal_during_the_imports_ends_with_one_line() -> None:
    script = """
import signal, sys
from importlib.abc import MetaPathFinder
class Signal(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "pandas":
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Signal())
from intrada.__main__ import main
sys.exit(main(["rank", "--help"]))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 130
    assert done.stderr == "stopped by SIGINT; run the same command again to continue\n"


@pytest.mark.slow
def test_an_evaluation_does_not_import_the_compiler_of_torch() -> None:
    """It takes as long to import as torch itself."""
    script = """
import sys
from pathlib import Path
from intrada.core.config import load as params_file
from intrada.core.distributed.device import acquire_device
from intrada.stages import evaluate
acquire_device(params_file.load(Path("params.yaml")).compute, 1)
print([name for name in sys.modules if name.startswith(("torch._dynamo", "torch._inductor"))])
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
