"""Choose the target images that a person should label next, by a run of the pipeline up to `score`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from intrada.core import cli_types, failures, files
from intrada.core.config.load import load
from intrada.core.config.schema import Params
from intrada.core.errors import UserError
from intrada.core.plain_text import say
from intrada.core.stage import Option, Out
from intrada.data import tables
from intrada.data.datasets import open_dataset
from intrada.evaluation import suggestion

SCORES, TARGET = Path("results/score/scores.csv"), Path("data/preprocess/target/index.csv")
DEFAULT_OUT = Path("label_next.csv")


def run(
    images: Annotated[int, Option("how many images to choose", "N", cli_types.count("--images"), 10)],
    params: Annotated[Path, Option("params file of the project", "PATH", Path, Path("params.yaml"))],
    scores: Annotated[Path, Option(f"scores of the images; default: {SCORES}", "PATH", Path, SCORES)],
    target: Annotated[Path, Option(f"index of the images; default: {TARGET}", "PATH", Path, TARGET)],
    out: Annotated[
        Path | None, Out(f"CSV with the chosen images; default: {DEFAULT_OUT}", optional=True)
    ] = None,
) -> None:
    """Print the chosen images, the most entropic first, and write them as a CSV file.

    The images come from the half with the highest entropy, spread over it, without near-duplicates such as
    neighbouring frames of a video. Their paths are those of the raw images, in which people label; of the
    resized images if the raw ones are gone.
    """
    scored, index = tables.read(scores, tables.SCORES), tables.read(target, tables.INDEX)
    failures.refuse_incomplete(scores, scored["image"])
    if unknown_ids := sorted(set(scored["image"]) - set(index["id"])):
        found = f"{len(unknown_ids)} images that are not in {target}, {unknown_ids[0]} first"
        raise UserError(scores, found, "scores of these images", "run score again, or name both files")
    if scored.empty:
        raise UserError(scores, "no image", "at least one", "check the stage that wrote it")
    table = suggestion.table(scored, index, images, suggestion.fingerprint_of_file)
    raw = _raw_images(load(params))
    table["path"] = [raw.get(name, path) for name, path in zip(table["image"], table["path"], strict=True)]
    written = out or DEFAULT_OUT
    files.write_csv(written, table)
    width = max(map(len, table["path"]))
    say(f"{'image':{width}}  {'entropy':>7}  rank of {len(scored)}")
    for row in table.itertuples():
        say(f"{row.path:{width}}  {row.entropy:7.3f}  {row.rank}")
    if len(table) < images:
        say(f"{len(table)} of {images}: the others are near-duplicates of these, or there are no more")
    say(f"label these images next; the list is in {written}")


def _raw_images(params: Params) -> dict[str, str]:
    """Return the path of each raw target image by its id; {} if the raw data are gone or unreadable."""
    block = params.preprocess.target
    try:
        dataset = open_dataset(block.dataset, Path(block.root), block.split, block.options, params.class_set)
        return {item.id: item.image.as_posix() for item in dataset.survey().items}
    except UserError:
        return {}
