"""Read a params file whole and say what is wrong with it, before any stage runs or any output is removed.

DVC runs this first whenever the file or the code changes, Snakemake while it reads the Snakefile. All
stages follow this one by the hashes of their code (intrada/pipeline/code_hash.py), so that a change of a
parameter concerns only the stages that read it. The report prints all values and depends on them in one file.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from intrada.core import files
from intrada.core.config import load as params_file
from intrada.core.config.schema import Params
from intrada.core.errors import UserError
from intrada.core.stage import In, Out
from intrada.data.datasets import DATASETS
from intrada.methods import METHODS
from intrada.models import MODELS
from intrada.pipeline import code_hash


def run(
    params: Annotated[Path, In("the params file")],
    out: Annotated[Path, Out("the values of the params file (JSON)")],
    code: Annotated[Path | None, Out("folder of the hashes of each stage's code", optional=True)] = None,
) -> None:
    """Write the values and the hashes, or raise UserError."""
    files.write_json(out, load(params).model_dump(mode="json"))
    if code:
        code_hash.write(code, code_hash.texts())


def load(path: Path) -> Params:
    """The params file, if each key is right by itself and together with the others."""
    chosen = params_file.load(path)
    for where, name, known in _names(chosen):
        if name not in known:
            raise UserError(f"{path}, {where}", repr(name), ", ".join(known), "choose one of these")
    if chosen.train_source.method != "source_only":
        found = f"method {chosen.train_source.method}"
        raise UserError(f"{path}, train_source", found, "source_only", "adapt in train_inter and train_intra")
    return chosen


def _names(chosen: Params) -> Iterable[tuple[str, str, Iterable[str]]]:
    """(where, the name there, the names allowed) for every name that a registry or the classes define."""
    classes = chosen.class_set.names
    for domain in ("source", "target", "val"):
        block = getattr(chosen.preprocess, domain)
        yield f"preprocess.{domain}.dataset", block.dataset, DATASETS
        for name in block.allow_absent:
            yield f"preprocess.{domain}.allow_absent", name, classes
    yield "model.name", chosen.model.name, MODELS
    for stage in ("train_source", "train_inter", "train_intra"):
        yield f"{stage}.method", getattr(chosen, stage).method, METHODS
    for name in chosen.rank.rare_classes:
        yield "rank.rare_classes", name, classes
