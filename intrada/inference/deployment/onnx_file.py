"""Write a trained model as an ONNX file that runs without this project: pixels in, logits and entropy out.

The batch size is free. Height and width are fixed: the SAME padding of efficientnet_lite0 depends on them,
and torch's exporter takes minutes for such a network if they are free.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from intrada.core import files, seeding
from intrada.core.errors import UserError
from intrada.data.resize import resize_image
from intrada.methods.entropy import TINY, pixel_entropy, self_information
from intrada.models import all_options
from intrada.models.base import SegmentationModel, upsample
from intrada.models.model_info import ModelSpec

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
INPUT, OUTPUTS = "image", ("logits", "entropy")
# The forms of the input: name -> its description in the metadata; both are N x 3 x height x width.
BGR_UINT8, RGB_FLOAT = "bgr_uint8", "rgb_float"
FORMS = {
    BGR_UINT8: "uint8, N x 3 x height x width, blue green red, 0..255; normalised inside",
    RGB_FLOAT: "float32, N x 3 x height x width, red green blue, 0..1; normalised inside",
}
# What float32 in another order of summation may differ by; a wrong operator differs by far more.
LOGIT_TOLERANCE = 1e-4  # of the largest logit, at least of 1
ENTROPY_TOLERANCE = 1e-2
AREA = 24  # pixels of a side of the areas in the smooth images
EQUAL_PIXELS = 0.999  # where two classes tie, the last digit decides
RUNS, LEAST_RUNS, TIME_LIMIT = 9, 3, 10.0  # of the timing; after so many seconds the least runs are enough


class Exported(nn.Module):
    """image (N, 3, H, W) in one of FORMS -> logits (N, C, H, W) and entropy (N, H, W) in 0..1, float32."""

    def __init__(self, segmenter: SegmentationModel, form: str) -> None:
        super().__init__()
        self.segmenter, self.form = segmenter, form

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        if self.form == RGB_FLOAT:
            image = image.flip(1) * 255
        inner = self.segmenter.main_logits(self.segmenter.normalise(image))
        logits = upsample(inner, (image.shape[2], image.shape[3]))
        # The exporter's optimiser takes self_information's 1e-30 for 0, and 0 * log(0) is nan.
        probabilities = logits.softmax(1).clamp(min=TINY)
        return logits, pixel_entropy(self_information(probabilities))


class Difference(NamedTuple):
    """Difference between torch and onnxruntime on one image.

    logit, entropy: the largest absolute differences; largest: the largest absolute logit; equal: fraction of
    the pixels that have the same class.
    """

    image: str
    logit: float
    largest: float
    entropy: float
    equal: float

    @property
    def is_small(self) -> bool:
        """Whether all differences are within the tolerances; False for nan."""
        return (
            self.logit <= LOGIT_TOLERANCE * max(1.0, self.largest)
            and self.entropy <= ENTROPY_TOLERANCE
            and self.equal >= EQUAL_PIXELS
        )


def require() -> None:
    """Raise UserError with the command to install what `write` needs, if a package is missing."""
    for name in PACKAGES:
        try:
            import_module(name)
        except ModuleNotFoundError as error:
            raise UserError(
                "export",
                f"the package {error.name} is not installed",
                "an environment with the extra `export`",
                f"pip install {' '.join(PACKAGES)}",
            ) from error


def write(
    path: Path,
    segmenter: SegmentationModel,
    size: tuple[int, int],
    opset: int,
    metadata: dict[str, str],
    form: str = BGR_UINT8,
) -> list[Difference]:
    """Write `path`, atomically, and compare it with `segmenter` (in evaluation mode, on the CPU).

    size: (width, height) of the images; opset: of ONNX; metadata: text by name, stored in the file; form: of
    the input, a key of FORMS.
    UserError, and no file, if they differ by more than rounding.
    """
    model = _converted(Exported(segmenter, form).eval(), size, opset)
    expected = Exported(segmenter, BGR_UINT8).eval()
    for key, text in (metadata | {INPUT: FORMS[form], "input": form}).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, text
    with files.atomic_file(path) as temporary:
        temporary.write_bytes(model.SerializeToString())
        differences = [_difference(expected, temporary, form, *named) for named in _images(size).items()]
        if not all(difference.is_small for difference in differences):
            raise UserError(
                path,
                "; ".join(map(describe, differences)),
                f"logits equal to {LOGIT_TOLERANCE:g} of the largest, entropies to {ENTROPY_TOLERANCE:g}, "
                f"{EQUAL_PIXELS:.1%} equal pixels",
                "nothing was written; try another --opset, or other versions of torch, onnx and onnxruntime",
            )
    return differences


def describe(difference: Difference) -> str:
    """Return one line with the numbers of a comparison."""
    return (
        f"{difference.image} image: logits up to {difference.largest:.3g} differ by at most "
        f"{difference.logit:.2g}, entropy by {difference.entropy:.2g}, {difference.equal:.2%} of the pixels "
        "have the same class"
    )


def measure(path: Path, size: tuple[int, int], form: str) -> str:
    """Return a line with the time that onnxruntime takes for an image on the CPU: the median of several runs.

    One image at a time, with onnxruntime's default number of threads, after a run that is not counted.
    """
    runtime = import_module("onnxruntime")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    image = _as_input(_images(size)["smooth"][:1], form)
    session.run(None, {INPUT: image})
    seconds, start = list[float](), time.perf_counter()
    while len(seconds) < RUNS and (len(seconds) < LEAST_RUNS or time.perf_counter() - start < TIME_LIMIT):
        before = time.perf_counter()
        session.run(None, {INPUT: image})
        seconds.append(time.perf_counter() - before)
    median = 1000 * statistics.median(seconds)
    return (
        f"onnxruntime {runtime.__version__} on the CPU: {median:.3g} ms for an image of {size[0]}x{size[1]} "
        f"pixels (median of {len(seconds)} runs)"
    )


def metadata(spec: ModelSpec, source: Mapping[str, Any]) -> dict[str, str]:
    """Return the ONNX file's metadata: `classes` and `colors` (RGB) as JSON lists, network, training.

    source: the metadata of the model file.
    """
    training = {key: str(source[key]) for key in ("method", "iteration", "intrada") if key in source}
    return training | {
        "model": spec.name,
        "options": json.dumps(all_options(spec.name, spec.options), sort_keys=True),
        "classes": json.dumps(spec.classes.names),
        "colors": json.dumps([list(entry.color) for entry in spec.classes.classes]),
    }


def _converted(exported: Exported, size: tuple[int, int], opset: int) -> Any:
    # of a batch of 1 the exporter would fix 1
    example = torch.from_numpy(_as_input(np.zeros((2, 3, size[1], size[0]), np.uint8), exported.form))
    batch = {INPUT: {0: torch.export.Dim("batch")}}
    program = torch.onnx.export(
        exported,
        (example,),
        dynamo=True,
        verbose=False,
        opset_version=opset,
        dynamic_shapes=batch,
        input_names=[INPUT],
        output_names=list(OUTPUTS),
    )
    assert program is not None  # only the old exporter returns none
    model = program.model_proto
    if (opsets := [entry.version for entry in model.opset_import if not entry.domain]) != [opset]:
        raise UserError(
            "--opset",
            f"{opset}, but torch's exporter wrote {opsets}",
            "an opset that the exporter supports",
            "omit --opset",
        )
    return model


def _images(size: tuple[int, int]) -> dict[str, NDArray[np.uint8]]:
    """Return the test images, (2, 3, H, W) uint8 by name: noise, and areas of colour; equal in every run."""
    random = seeding.stream(0, "export")
    noise = random.integers(0, 256, (2, 3, size[1], size[0]), np.uint8)
    coarse = random.integers(0, 256, (2, size[1] // AREA + 2, size[0] // AREA + 2, 3), np.uint8)
    smooth = [resize_image(colors, size).transpose(2, 0, 1) for colors in coarse]
    return {"random": noise, "smooth": np.stack(smooth)}


def _as_input(images: NDArray[np.uint8], form: str) -> NDArray[Any]:
    """Return images (N, 3, H, W) uint8 BGR in the form of the input."""
    return images if form == BGR_UINT8 else np.ascontiguousarray(images[:, ::-1]) / np.float32(255)


@torch.inference_mode()
def _difference(
    exported: Exported, path: Path, form: str, name: str, images: NDArray[np.uint8]
) -> Difference:
    """Compare the file at `path`, whose input has this form, with the model on images (N, 3, H, W) BGR."""
    runtime = import_module("onnxruntime")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    logits, entropy = session.run(list(OUTPUTS), {INPUT: _as_input(images, form)})
    expected, expected_entropy = (values.numpy() for values in exported(torch.from_numpy(images)))
    return Difference(
        name,
        float(np.abs(logits - expected).max()),
        float(np.abs(expected).max()),
        float(np.abs(entropy - expected_entropy).max()),
        float((logits.argmax(1) == expected.argmax(1)).mean()),
    )
