"""`python -m intrada.pipeline.job PROJECT/STAGE --log FILE`: one job of Snakemake, `dvc repro -s STAGE`.

What DVC and the stage print goes to FILE. One line on the terminal says if DVC had nothing to compute. While
a job runs, and after it failed, a file with its name is in UNFINISHED. From these the main process prints the
messages of the failed stages, after Snakemake's own.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from intrada.core import garbage, locks, signals
from intrada.core.errors import UserError
from intrada.core.plain_text import complain, show
from intrada.pipeline import bridge, driver, dvc_api, owners

FORCED, UNFINISHED = bridge.STATE / "forced", bridge.STATE / "unfinished"
LINES = 20  # of the output of a failed stage


def main(argv: Sequence[str] | None = None) -> int:
    """Run one job; return the exit status of DVC."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("job", help="`./rank`, `ablation/collect`")
    parser.add_argument("--log", type=Path, required=True)
    options = parser.parse_args(argv)
    project, _, name = options.job.rpartition("/")
    rule = options.log.stem
    force = ["-f"] if rule in _lines(FORCED) else []
    UNFINISHED.mkdir(parents=True, exist_ok=True)
    # absolute, because DVC changes the working directory
    note, marker, log = (path.absolute() for path in (UNFINISHED / rule, bridge.MARKERS / rule, options.log))
    note.write_text(str(options.log), encoding="utf-8")
    os.environ[driver.VARIABLE] = driver.SNAKEMAKE
    terminal = _redirect(log)
    show()
    temporary = Path(project, owners.TEMPORARY).absolute()
    running = bridge.STATE.absolute() / "running" / f"{rule}.lock"
    words = ["--cd", project, "--wait-for-lock", "repro", "-s", *force, name]
    try:
        owner = owners.register(temporary, owners.JOB)
        owners.refuse_elsewhere(temporary, [owners.DVC])
        # DVC's own lock ends at the host
        with locks.acquire(running, f"the stage {name}"), signals.left_to_children():
            status = dvc_api.run(words, owner)
    except UserError as error:
        complain(*str(error).splitlines())
        status = 1
    except signals.Stopped as stop:
        complain(stop)
        status = stop.code
    sys.stdout.flush()
    sys.stderr.flush()
    if status == 0:
        marker.touch()
        note.unlink()
        os.write(terminal, _remark(name, rule, log.read_text(errors="replace")).encode())
    return status


def begin(forced: Iterable[str]) -> None:
    """Prepare a run of Snakemake. forced: the rules whose jobs compute, though up to date or in the cache."""
    UNFINISHED.mkdir(parents=True, exist_ok=True)
    for note in UNFINISHED.glob("*"):
        note.unlink()
    FORCED.write_text("".join(f"{rule}\n" for rule in sorted(forced)), encoding="utf-8")


def failures() -> str:
    """Return the messages of the stages that failed in this run, "" if there are none."""
    logs = [Path(note.read_text(encoding="utf-8")) for note in sorted(UNFINISHED.glob("*"))]
    return "".join(
        f"\n{log.stem} has failed; the whole output is in {log}\n{message(log.read_text(errors='replace'))}\n"
        for log in logs
        if log.exists()
    )


def message(output: str) -> str:
    """Return the end of what a failed stage printed, without DVC's lines and without control characters.

    output: of `dvc repro`.
    """
    visible = "".join(char if char.isprintable() or char.isspace() else repr(char)[1:-1] for char in output)
    lines = [line.expandtabs() for line in visible.splitlines() if line.strip()]
    own = [
        line
        for line in lines
        if not re.match(
            r"Running stage |> |ERROR: failed to reproduce .* exited with -?\d+$|Having any", line
        )
    ]
    return "\n".join((own or lines)[-LINES:])


def _remark(name: str, rule: str, output: str) -> str:
    """Return the line for the terminal. output: of a `dvc repro` that succeeded."""
    if "Running stage" in output:
        return ""
    how = f"to compute it again: snakemake --forcerun {rule}"
    if "is cached - skipping run" in output:
        return f"{name}: nothing computed, the result is from the cache ({how})\n"
    return f"{name}: nothing computed, it is up to date ({how})\n"


def _redirect(log: Path) -> int:
    """Send stdout and stderr of this process and its children to `log`; return a copy of the terminal's."""
    log.parent.mkdir(parents=True, exist_ok=True)
    terminal = os.dup(1)
    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    return terminal


def _lines(path: Path) -> set[str]:
    return set(path.read_text(encoding="utf-8").splitlines()) if path.exists() else set()


if __name__ == "__main__":
    garbage.search_rarely()  # before DVC is imported
    sys.exit(main())
