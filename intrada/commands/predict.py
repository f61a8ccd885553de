"""Predict images and videos with a trained model.

Writes below OUT, all at the size of the image: prediction/ (PNGs of class indices, in the class colours),
entropy/ (grey, 255 = the largest possible), overlay/ (image mixed with the class colours), predictions.csv
and, for a video, NAME_overlay.mp4. With --format coco or cvat also the images and a file of their predictions
that annotation tools read. Images and videos that cannot be read are listed in
predictions.failed.csv and at the end; the exit status is then 1. Other files in OUT are not touched. More:
docs/predict.md.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated

from intrada.commands import validate
from intrada.core import cli_types
from intrada.core.cli_types import ImageSize
from intrada.core.config.window_block import Window
from intrada.core.distributed.device import acquire_device
from intrada.core.errors import UserError
from intrada.core.failures import Failures
from intrada.core.plain_text import logger, say
from intrada.core.stage import Argument, Context, Flag, Option, Out
from intrada.inference import cityscapes_server
from intrada.inference.deployment import frames, prediction, sources, summary, video
from intrada.inference.deployment.annotations import FORMATS, MASKS, Request
from intrada.inference.deployment.api import TTA
from intrada.inference.deployment.load import ModelFile, open_model
from intrada.inference.deployment.prediction import PredictionWriter, PredictOptions, Table
from intrada.inference.deployment.sources import Source, Sources
from intrada.inference.deployment.video import VideoError

log = logger(__name__)
BatchSize = Annotated[
    int, Option("images in a batch; default: 1", "N", cli_types.count("--batch-size"), default=1)
]
Every = Annotated[
    int, Option("use every N-th frame of a video; default: 1", "N", cli_types.count("--every"), default=1)
]
Alpha = Annotated[
    float,
    Option(
        "weight of the class colours in overlays, 0 to 1; default: 0.5", "A", cli_types.alpha, default=0.5
    ),
]
Tta = Annotated[
    str | None,
    Option(
        "average the predictions of each image and of its mirror image",
        "flip",
        cli_types.choice("--tta", TTA),
    ),
]
InputSize = Annotated[
    ImageSize | None,
    Option("size of the network's input; default: that of the training", "WIDTHxHEIGHT", cli_types.size),
]
WindowSize = Annotated[
    ImageSize | None,
    Option(
        "predict overlapping windows of this size and average them, for a network trained on crops",
        "WIDTHxHEIGHT",
        partial(cli_types.size, option="--window"),
    ),
]
Stride = Annotated[
    ImageSize | None,
    Option(
        "pixels from one window to the next; default: half of the window",
        "WIDTHxHEIGHT",
        partial(cli_types.size, option="--stride"),
    ),
]
Workers = Annotated[
    int | None,
    Option(
        "threads that read and write images; default: one for each core", "N", cli_types.count("--workers")
    ),
]
Format = Annotated[
    str,
    Option(
        "masks: PNGs only (default); coco, cvat: also files with which a person corrects the predictions",
        "FORMAT",
        cli_types.choice("--format", FORMATS),
        default=MASKS,
    ),
]
Hardest = Annotated[
    int | None,
    Option("of these files: only the N images of the highest entropy", "N", cli_types.count("--hardest")),
]


def run(
    model: Annotated[str, Argument("a model of a training stage (.safetensors)", required=True)],
    images: Annotated[
        list[str],
        Argument(
            "images, videos, folders (their images), quoted globs, tables with a column `path`",
            required=True,
            many=True,
        ),
    ],
    out: Annotated[Path, Out("folder for the results")],
    size: InputSize,
    own_size: Annotated[bool, Flag("do not resize the images for the network")],
    window: WindowSize,
    stride: Stride,
    batch_size: BatchSize,
    tta: Tta,
    every: Every,
    alpha: Alpha,
    label_ids: Annotated[bool, Flag("also write label_ids/: PNGs of Cityscapes' label ids")],
    format: Format,
    hardest: Hardest,
    workers: Workers,
    strict: Annotated[bool, Flag("stop at the first image or video that cannot be read")],
    params: Annotated[
        Path | None,
        Option("params file of its training; required only for a model of an older version", "PATH", Path),
    ],
) -> None:
    """Write OUT, and print a summary of the predictions.

    UserError at the end if images or videos could not be used; the others are done.
    """
    if size and own_size:
        raise UserError("--own-size", f"--size {size} too", "one of the two", "leave one of them out")
    parts = _window(window, stride)
    opened = open_model(Path(model), params, validate.load(params) if params else None)
    classes = opened.spec.classes
    ids = cityscapes_server.table(classes) if label_ids else None
    inputs, failures = _collect(images, out, strict)
    request = Request(format, hardest)
    request.check(classes, inputs)
    headers = list(_headers(inputs.videos, failures))  # errors before the long work
    options = _options(opened, None if own_size else size or opened.size, batch_size, tta, parts)
    network_input = summary.describe_input(options, opened.size)
    log.info("input of the network: %s", network_input)
    path, start = out / "predictions.csv", time.perf_counter()
    job = _Job(inputs.images, headers, every, options, PredictionWriter(out, classes, alpha, ids), workers)
    with prediction.table(path, classes) as table:
        job.run(table, failures)
    seconds = time.perf_counter() - start
    say(*summary.lines(table, path, network_input, seconds, len(failures.errors)))
    say(*request.write(out, path, inputs, every, classes, opened.size))
    failures.finish(path, len(inputs.images) + len(inputs.videos) + len(inputs.failed))


@dataclass(frozen=True)
class _Job:
    """The inputs and settings of a prediction. headers: of each video; workers: None for one per core."""

    images: list[Source]
    headers: list[tuple[Source, video.Facts]]
    every: int
    options: PredictOptions
    writer: PredictionWriter
    workers: int | None

    def run(self, table: Table, failures: Failures) -> None:
        """Write the results of all images, then of all videos, and their rows to `table`."""
        context = Context("predict", "", Path("runs"))
        workers = self.workers or context.workers
        with ThreadPoolExecutor(workers) as pool:
            read = frames.of_images(self.images, failures, pool, workers)
            shown = context.progress(read, len(self.images), "image")
            for predicted, _ in prediction.write_all(shown, self.options, self.writer, pool):
                table.add(predicted)
            for source, (rate, count) in self.headers:
                read = frames.of_video(source, self.every, failures)
                shown = context.progress(read, math.ceil(count / self.every), "frame")
                path = self.writer.folder / f"{source.name}_overlay.mp4"
                try:
                    with video.overlay(path, rate / self.every) as append:
                        for predicted, mixed in prediction.write_all(shown, self.options, self.writer, pool):
                            table.add(predicted)
                            append(mixed)
                except VideoError as error:
                    failures.add(source.name, error)


def _collect(words: list[str], out: Path, strict: bool) -> tuple[Sources, Failures]:
    """Return the files that `words` name, and the failures so far: names that no result can have."""
    failures, inputs = Failures(strict), sources.collect(words, out)
    for name, error in inputs.failed:
        failures.add(name, error)
    return inputs, failures


def _headers(videos: list[Source], failures: Failures) -> Iterator[tuple[Source, video.Facts]]:
    """Yield each video that opens, with its frame rate and number of frames."""
    for source in videos:
        try:
            yield source, video.facts(source.path)
        except VideoError as error:
            failures.add(source.name, error)


def _window(size: ImageSize | None, stride: ImageSize | None) -> Window | None:
    """Return the windows of --window and --stride. UserError for a stride alone, or above the size."""
    if size is None:
        if stride:
            raise UserError("--stride", str(stride), "a stride together with --window", "add --window")
        return None
    step = stride or ImageSize(max(1, size[0] // 2), max(1, size[1] // 2))
    if step[0] > size[0] or step[1] > size[1]:
        fix = "choose a smaller stride, such as half of the window"
        raise UserError("--stride", str(step), f"at most the window, {size}", fix)
    return Window(size=list(size), stride=list(step))


def _options(
    opened: ModelFile,
    size: tuple[int, int] | None,
    batch_size: int,
    tta: str | None,
    window: Window | None,
) -> PredictOptions:
    """Load the model on its device. size: (width, height) of its input; None: that of each image."""
    device = acquire_device(opened.compute, opened.compute.inference_threads)
    predictor = replace(opened.load(device), window=window)
    return PredictOptions(predictor.with_flip() if tta else predictor, device, size, batch_size)
