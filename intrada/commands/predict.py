"""Predict images and videos with a trained model.

Writes below OUT, all at the size of the image: prediction/ (PNGs of class indices, in the class colours),
entropy/ (grey, 255 = the largest possible), overlay/ (image mixed with the class colours), predictions.csv
and, for a video, NAME_overlay.mp4. Images and videos that cannot be read are listed in
predictions.failed.csv and at the end; the exit status is then 1. Other files in OUT are not touched. More:
docs/predict.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated

from intrada.commands import validate
from intrada.core import cli_types, files
from intrada.core.cli_types import ImageSize
from intrada.core.distributed.device import acquire_device
from intrada.core.errors import UserError
from intrada.core.failures import Failures
from intrada.core.plain_text import say
from intrada.core.stage import Argument, Context, Flag, Option, Out
from intrada.inference import cityscapes_server
from intrada.inference.deployment import prediction, sources, video
from intrada.inference.deployment.load import ModelFile, open_model
from intrada.inference.deployment.prediction import Frame, PredictionWriter, PredictOptions, Table
from intrada.inference.deployment.sources import Source
from intrada.inference.deployment.video import VideoError


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
    strict: Annotated[bool, Flag("stop at the first image or video that cannot be read")],
    params: Annotated[
        Path | None,
        Option("params file of its training; required only for a model of an older version", "PATH", Path),
    ],
) -> None:
    """Write OUT, and print how many images and frames were predicted.

    UserError at the end if images or videos could not be used; the others are done.
    """
    if size and own_size:
        raise UserError("--own-size", f"--size {size} too", "one of the two", "leave one of them out")
    failures = Failures(strict)
    opened = open_model(Path(model), params, validate.load(params) if params else None)
    classes = opened.spec.classes
    ids = cityscapes_server.table(classes) if label_ids else None
    inputs = sources.collect(images, out)
    for name, error in inputs.failed:
        failures.add(name, error)
    headers = list(_headers(inputs.videos, failures))  # errors before the long work
    options = _options(opened, None if own_size else size or opened.size, batch_size)
    writer = PredictionWriter(out, classes, alpha, ids)
    path = out / "predictions.csv"
    with prediction.table(path, classes) as table:
        _write(inputs.images, headers, every, options, writer, table, failures)
    say(f"{table.rows} images and frames: {path}")
    failures.finish(path, len(inputs.images) + len(inputs.videos) + len(inputs.failed))


def _write(
    images: list[Source],
    headers: list[tuple[Source, video.Facts]],
    every: int,
    options: PredictOptions,
    writer: PredictionWriter,
    table: Table,
    failures: Failures,
) -> None:
    """Write the results of all images, then of all videos, and their rows to `table`."""
    context = Context("predict", "", Path("runs"))
    with ThreadPoolExecutor(context.workers) as pool:
        frames = context.progress(_read(images, failures), len(images), "image")
        for predicted, _ in prediction.write_all(frames, options, writer, pool):
            table.add(predicted)
        for source, (rate, count) in headers:
            frames = context.progress(_frames(source, every, failures), math.ceil(count / every), "frame")
            try:
                with video.overlay(writer.folder / f"{source.name}_overlay.mp4", rate / every) as append:
                    for predicted, mixed in prediction.write_all(frames, options, writer, pool):
                        table.add(predicted)
                        append(mixed)
            except VideoError as error:
                failures.add(source.name, error)


def _headers(videos: list[Source], failures: Failures) -> Iterator[tuple[Source, video.Facts]]:
    """Yield each video that opens, with its frame rate and number of frames."""
    for source in videos:
        try:
            yield source, video.facts(source.path)
        except VideoError as error:
            failures.add(source.name, error)


def _options(opened: ModelFile, size: tuple[int, int] | None, batch_size: int) -> PredictOptions:
    """Load the model on its device. size: (width, height) of its input; None: that of each image."""
    device = acquire_device(opened.compute, opened.compute.inference_threads)
    return PredictOptions(opened.load(device), device, size, batch_size)


def _read(images: list[Source], failures: Failures) -> Iterator[Frame]:
    """Yield the images that can be read."""
    for source in images:
        try:
            image = files.read_image(source.path)
        except UserError as error:
            failures.add(source.name, error)
        else:
            yield Frame(source.name, image)


def _frames(source: Source, every: int, failures: Failures) -> Iterator[Frame]:
    """Yield the frames of a video, with names NAME/NUMBER; the first frame has number 0."""
    for number, image in video.read(source.path, every, partial(failures.add, source.name)):
        yield Frame(f"{source.name}/{number:06d}", image)
