"""Look at folders of images and labels, and print the blocks of params.yaml that describe them.

Of each folder: the pairs of images and labels, sizes, what is left out, the ids or colours of the labels with
their shares of the pixels; then recommended sizes, batches, iterations and learning rates, each with its
reason. The first folder is the source, the second the target, the third the evaluation data. A folder with
train/ and val/ is used by these; the evaluation data are else the target's. One folder alone is only shown.

What an id or a colour means is asked, never made up: guesses have a reason, and the rest a question mark,
which --names and --target-names answer. --write puts the blocks into params.yaml, of which it keeps a copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from intrada.core import cli_types
from intrada.core.config import edit_yaml, overrides, plain_yaml
from intrada.core.config import load as params_file
from intrada.core.config.replace import replace
from intrada.core.config.schema import Params
from intrada.core.errors import UserError
from intrada.core.plain_text import say
from intrada.core.stage import Argument, Context, Flag, Option, Settings
from intrada.data import own_blocks, own_data
from intrada.data.own_blocks import Meanings, Names
from intrada.data.own_data import Folder

if TYPE_CHECKING:
    from intrada.training.recommend import Advice

ACTIVE = Path("params.yaml")
SHOWN = ("classes", "preprocess")
ROLES = ("source", "target", "val")
EXAMPLE = "--names '0=sky, 1=road, 255=ignore'"


def meanings(text: str) -> Names:
    """Parse `0=sky, 1=road, 255=ignore`, value -> name of its class. UserError for anything else."""
    found: Names = {}
    for entry in text.split(","):
        value, sign, name = (part.strip() for part in entry.partition("="))
        if not sign or not value or not name or value in found:
            fix = f"write, for example, {EXAMPLE}"
            raise UserError("--names", repr(entry.strip()), "VALUE=NAME, each value once, with commas", fix)
        found[value.lower()] = name
    return found


def run(
    folders: Annotated[list[str], Argument("source, target, evaluation data", required=True, many=True)],
    names: Annotated[
        Names,
        Option(f"classes of the source's ids or colours, such as {EXAMPLE[8:]}", "ID=NAME,...", meanings, {}),
    ],
    target_names: Annotated[
        Names,
        Option("the same for target and evaluation data, if theirs differ", "ID=NAME,...", meanings, {}),
    ],
    minutes: Annotated[
        int | None,
        Option(
            "minutes that the three trainings together may take; default: 60, with a GPU 720",
            "N",
            cli_types.count("--minutes", high=10**5),
        ),
    ],
    write: Annotated[bool, Flag("put the blocks into params.yaml; the old one is kept as params.yaml.bak")],
    settings: Annotated[Sequence[str], Settings()] = (),
) -> None:
    """Print what the folders hold and the blocks that describe them; with `--write` also write these."""
    if len(folders) > len(ROLES):
        fix = "give source, target and evaluation data, in this order"
        raise UserError("intrada data", f"{len(folders)} folders", f"1 to {len(ROLES)} folders", fix)
    context = Context("data", "", Path("runs"))
    found = own_data.look([Path(folder) for folder in folders], context)
    known = own_blocks.meanings(found, names, target_names)
    for role, folder in found.items():
        say(*_described(role, folder), *_values(folder, known[role]), "")
    if len(folders) == 1:
        say(f"next: the same with a second folder, the target, writes the blocks of {ACTIVE}")
        return
    base = params_file.load(ACTIVE, settings)
    before = ACTIVE.read_text(encoding="utf-8")
    blocks = own_blocks.blocks(found, known)
    say("recommended, for these images and this machine:")
    advice = _advice(found, base, minutes)
    say(*(f"  {one.title:26} {one.shown:10} {one.reason}" for one in advice), "")
    values = blocks | {key: value for one in advice for key, value in one.keys.items()}
    changed = edit_yaml.edit(before, values | overrides.parse(settings))
    params_file.validate(ACTIVE, plain_yaml.parse(changed))
    _finish(before, changed, own_blocks.questions(found, known, base), write)


def _finish(before: str, changed: str, questions: Sequence[str], write: bool) -> None:
    """Print the blocks or write them, then the questions and what to do next."""
    if write:
        backup = replace(ACTIVE, changed.encode(), before.encode(), backup=True)
        say(f"{ACTIVE} describes these data now" + (f"; the old one is {backup}" if backup else ""))
    else:
        tree: Any = plain_yaml.parse(changed)
        say(f"for {ACTIVE} (--write puts it there, with the values above):")
        say(*edit_yaml.block({name: tree[name] for name in SHOWN}).splitlines())
    say(*(f"? {question}" for question in questions))
    run = "intrada check, then snakemake --cores all --resources gpu=1"
    say(f"next: {run}" if write else "next: the same with --write")


def _advice(found: Mapping[str, Folder], params: Params, minutes: int | None) -> list[Advice]:
    """Return the recommended values for the trainings on these images."""
    from intrada.core.distributed.device import acquire_device  # here, since torch takes seconds to import
    from intrada.training.recommend import recommend

    images = {role: len(found[role].survey.items) for role in ("source", "target")}
    sizes = {role: folder.sizes[0] for role, folder in found.items()}
    device = acquire_device(params.compute, params.compute.threads)
    return recommend(params, images, sizes, device, minutes)


def _described(role: str, folder: Folder) -> Iterator[str]:
    """Yield what was found in a folder."""
    survey, part = folder.survey, folder.part
    yield f"{folder.root}: {role}" + (f", its {part.split} images" if part.split else "")
    if folder.split != "all":
        yield f"  split     {folder.split}: the last third of the images is kept for evaluation"
    usual, *others = folder.sizes
    more = f", and {len(others)} other sizes" if others else ""
    yield f"  images    {len(survey.items)} at {part.images}, {usual[0]}x{usual[1]} pixels{more}"
    if part.labels is None:
        yield "  labels    none"
    else:
        missing = len(survey.unlabelled)
        state = f"{missing} images have none" if missing else "every image has one"
        yield f"  labels    {len(survey.items) - missing} at {part.labels}, {part.encoding}; {state}"
        if survey.orphans:
            first = survey.orphans[0].name
            yield f"            {len(survey.orphans)} labels without an image, such as {first}"
    for reason, paths in folder.ignored.items():
        yield f"  left out  {len(paths)} {reason}, such as {paths[0]}"


def _values(folder: Folder, meanings: Meanings) -> Iterator[str]:
    """Yield the values of the labels, each with its share of the pixels and what it means."""
    if folder.values is None:
        return
    values = folder.values
    all_of = "" if values.read == values.total else f" of {values.read} of {values.total} labels"
    yield f"  {'id' if folder.part.encoding == 'ids' else 'colour':9} share of the pixels{all_of}"
    for value, share in values.shares.items():
        meaning = meanings[value]
        name = meaning.name if meaning.kind == "answer" else f"{meaning.name.removesuffix('?')}?"
        percent = f"{share:6.1%}" if share >= 0.0005 else "<0.1%"
        yield f"  {value:9} {percent:>6}  {name}" + (f"  ({meaning.reason})" if meaning.reason else "")
    if values.unreadable:
        yield f"            {values.unreadable} labels cannot be read; `intrada check` names them"
