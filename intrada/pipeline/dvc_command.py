"""`python -m intrada.pipeline.dvc_command repro ...`: `dvc repro ...` that also starts after a kill.

It runs `dvc_recovery`, which repairs the state that a killed DVC left, refuses a cache with files of the
wrong size, and then runs the unchanged DVC. Before `repro` it refuses links in raw data that DVC does not
follow. At SIGTERM it waits until the running stage has ended; a training saves its checkpoint.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from intrada.core import garbage, signals
from intrada.core.errors import UserError
from intrada.core.plain_text import complain, show
from intrada.pipeline import cache_objects, dvc_api, dvc_recovery, owners, raw_data


def main(argv: Sequence[str] | None = None) -> int:
    """Run DVC with the arguments `argv` (None: of the command line); return its exit status.

    The status is 1 after a UserError, 143 after a SIGTERM between two stages.
    """
    show()
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--cd", type=Path, default=Path(), metavar="FOLDER")  # one of DVC's own options
    try:
        folder = parser.parse_known_args(words)[0].cd
        if "repro" in words:
            raw_data.check_links_of(folder)
        with dvc_api.opened(folder) as repo:
            temporary = Path(repo.tmp_dir)
        owner = owners.register(temporary, owners.DVC)
        owners.refuse_elsewhere(temporary, (owners.DVC, owners.SNAKEMAKE, owners.JOB))
        dvc_recovery.prepare(folder)
        with dvc_api.opened(folder) as repo:
            cache_objects.refuse_wrong_sizes(repo)
    except UserError as error:
        complain(*str(error).splitlines())
        return 1
    try:
        with signals.left_to_children():
            return dvc_api.run(words, owner)
    except signals.Stopped as stop:
        complain(stop)
        return stop.code


if __name__ == "__main__":
    garbage.search_rarely()  # before DVC is imported
    sys.exit(main())
