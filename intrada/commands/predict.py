"""Predict images and videos with a trained model.

Writes below OUT, all at the size of the image: prediction/ (PNGs of class indices, in the class colours),
entropy/ (grey, 255 = the largest possible), overlay/ (image mixed with the class colours), predictions.csv
and, for a video, NAME_overlay.mp4. Other files in OUT are not touched. More: docs/predict.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

from intrada.commands import validate
from intrada.core import cli_types, files
from intrada.core.cli_types import ImageSize
from intrada.core.distributed.device import acquire_device
from intrada.core.errors import UserError
from intrada.core.stage import Argument, Context, Flag, Option, Out
from intrada.inference import cityscapes_server
from intrada.inference.deployment import prediction, sources, video
from intrada.inference.deployment.load import ModelFile, open_model
from intrada.inference.deployment.prediction import Frame, PredictionWriter, PredictOptions
from intrada.inference.deployment.sources import Source


def run(
    model: Annotated[str, Argument("a model of a training stage (.safetensors)", required=True)],
    images: Annotated[
        list[str],
        Argument("images, videos, folders (their images) and quoted globs", required=True, many=True),
    ],
    out: Annotated[Path, Out("folder for the results")],
    size: Annotated[
        ImageSize | None,
        Option(
            "size of the network's input; default: that of the training",
            "WIDTHxHEIGHT",
            cli_types.size,
        ),
    ],
    own_size: Annotated[bool, Flag("do not resize the images for the network")],
    batch_size: Annotated[
        int,
        Option("images in a batch; default: 1", "N", cli_types.count("--batch-size"), 1),
    ],
    every: Annotated[
        int, Option("use every N-th frame of a video; default: 1", "N", cli_types.count("--every"), 1)
    ],
    alpha: Annotated[
        float,
        Option("weight of the class colours in overlays, 0 to 1; default: 0.5", "A", cli_types.alpha, 0.5),
    ],
    label_ids: Annotated[bool, Flag("also write label_ids/: PNGs of Cityscapes' label ids")],
    params: Annotated[
        Path | None,
        Option("params file of its training; required only for a model of an older version", "PATH", Path),
    ],
) -> None:
    """Write OUT, and print how many images and frames were predicted."""
    if size and own_size:
        raise UserError("--own-size", f"--size {size} too", "one of the two", "leave one of them out")
    opened = open_model(Path(model), params, validate.load(params) if params else None)
    classes = opened.spec.classes
    ids = cityscapes_server.table(classes) if label_ids else None
    inputs = sources.collect(images, out)
    headers = [(source, video.facts(source.path)) for source in inputs.videos]  # errors before the long work
    options = _options(opened, None if own_size else size or opened.size, batch_size)
    writer = PredictionWriter(out, classes, alpha, ids)
    context = Context("predict", "", Path("runs"))
    with (
        prediction.table(out / "predictions.csv", classes) as table,
        ThreadPoolExecutor(context.workers) as pool,
    ):
        frames = context.progress(_read(inputs.images), len(inputs.images), "image")
        for predicted, _ in prediction.write_all(frames, options, writer, pool):
            table.add(predicted)
        for source, (rate, count) in headers:
            frames = context.progress(_frames(source, every), math.ceil(count / every), "frame")
            with video.overlay(out / f"{source.name}_overlay.mp4", rate / every) as append:
                for predicted, mixed in prediction.write_all(frames, options, writer, pool):
                    table.add(predicted)
                    append(mixed)
    print(f"{table.rows} images and frames: {out / 'predictions.csv'}")


def _options(opened: ModelFile, size: tuple[int, int] | None, batch_size: int) -> PredictOptions:
    """Load the model on its device. size: (width, height) of its input; None: that of each image."""
    device = acquire_device(opened.compute, opened.compute.inference_threads)
    return PredictOptions(opened.load(device), device, size, batch_size)


def _read(images: list[Source]) -> Iterator[Frame]:
    for source in images:
        yield Frame(source.name, files.read_image(source.path))


def _frames(source: Source, every: int) -> Iterator[Frame]:
    """Yield the frames of a video, with names NAME/NUMBER; the first frame has number 0."""
    for number, image in video.read(source.path, every):
        yield Frame(f"{source.name}/{number:06d}", image)
