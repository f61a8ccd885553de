"""Validate a params file before any stage runs and before any output is removed.

DVC runs this stage first when the file or the code has changed, Snakemake before it plans its jobs.
Every stage depends on it through the hashes of its code (intrada/pipeline/code_hash.py), so a changed
parameter makes only the stages stale that read it. The report prints all values and depends on their file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

from intrada.core.config import load as params_file
from intrada.core.config.schema import Params
from intrada.core.errors import UserError
from intrada.core.json_file import write_json
from intrada.core.plain_text import logger, say
from intrada.core.stage import In, Out
from intrada.data.datasets import DATASETS, MISSING
from intrada.methods import METHODS
from intrada.models import MODELS
from intrada.pipeline import code_hash, output_guard, raw_data

log = logger(__name__)

TRAININGS = ("train_source", "train_inter", "train_intra")
OUTPUTS = ("data/preprocess", "results", "runs", "logs")  # folders that the pipeline writes


def run(
    params: Annotated[Path, In("the params file; default: params.yaml", default="params.yaml")],
    out: Annotated[Path | None, Out("the values of the params file (JSON)", optional=True)] = None,
    code: Annotated[Path | None, Out("folder of the hashes of each stage's code", optional=True)] = None,
) -> None:
    """Write the values and the hashes. UserError if the file is not valid; notes on missing files.

    Without OUT, only print that the file is valid.
    """
    chosen = load(params)
    raw_data.check_links(chosen)
    for note in missing_files(chosen):
        log.warning(f"note: {note}")  # DVC's own error for a missing dependency has no advice
    if out:
        write_json(out, chosen.model_dump(mode="json"))
    else:
        say(f"{params} is valid")
    if code:
        code_hash.write(code, code_hash.texts())


def missing_files(params: Params) -> Iterator[str]:
    """Yield a note on each root and each `init` that does not exist and that no stage writes."""
    generated = [block.root for block in (params.toycity.source, params.toycity.target) if block]
    named = {f"{key}.root": block.root for key, block in params.domains.items()}
    named |= {f"{name}.init": getattr(params, name).init for name in TRAININGS}
    named |= {f"rounds.{name}.init": block.init for name, block in params.rounds.items()}
    for key, path in named.items():
        is_written = any(Path(path).is_relative_to(folder) for folder in (*generated, "results"))
        if not is_written and not Path(path).exists():
            yield f"{key}: {path} does not exist in {Path.cwd()}; {MISSING}"


def load(path: Path) -> Params:
    """Return the params of a file. UserError for an invalid value, name or combination of values."""
    chosen = params_file.load(path)
    _refuse_raw_data_in_the_way(path, chosen)
    for where, name, known in _names(chosen):
        if name not in known:
            raise UserError(f"{path}, {where}", repr(name), ", ".join(known), "choose one of these")
    if chosen.train_source.method != "source_only":
        found = f"method {chosen.train_source.method}"
        raise UserError(f"{path}, train_source", found, "source_only", "adapt in train_inter and train_intra")
    return chosen


def _refuse_raw_data_in_the_way(path: Path, chosen: Params) -> None:
    """Raise UserError for raw data among the outputs of stages, which DVC removes before it runs a stage."""
    drawn = [block.root for block in (chosen.toycity.source, chosen.toycity.target) if block]
    for name, block in chosen.domains.items():
        root = block.root
        for output in (*OUTPUTS, *(toy for toy in drawn if root not in drawn)):
            if how := output_guard.relation(Path(root), Path(output)):
                raise UserError(
                    f"{path}, {name}.root",
                    f"{root} {how} {output}, which stages write and DVC removes",
                    f"a folder of raw data outside of {', '.join(OUTPUTS)}, through links too",
                    "move the data below data/raw or to another disk, and name them there",
                )


def _names(chosen: Params) -> Iterable[tuple[str, str, Iterable[str]]]:
    """Yield (key, name, allowed names) for every name that a registry or the classes define."""
    classes = chosen.class_set.names
    for key, block in chosen.domains.items():
        yield f"{key}.dataset", block.dataset, DATASETS
        for name in block.allow_absent:
            yield f"{key}.allow_absent", name, classes
    yield "model.name", chosen.model.name, MODELS
    for stage in TRAININGS:
        yield f"{stage}.method", getattr(chosen, stage).method, METHODS
    for name in chosen.rank.rare_classes:
        yield "rank.rare_classes", name, classes
