"""Write a trained model as an ONNX file, and compare the file with the model.

Input: `image`, N x 3 x height x width, uint8 BGR 0..255, or with --input rgb_float float32 RGB 0..1;
normalised inside. Outputs: `logits`, N x classes x height x width, and `entropy`, N x height x width, 0..1. N
is dynamic; height and width are those of --size. The metadata contains the class names and colours, and the
form of the input. docs/predict.md shows how to use the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from intrada.commands import validate
from intrada.core import cli_types
from intrada.core.cli_types import ImageSize
from intrada.core.distributed.device import acquire_device
from intrada.core.plain_text import say
from intrada.core.stage import Argument, Option, Out
from intrada.inference.deployment import onnx_file
from intrada.inference.deployment.load import open_model
from intrada.models.weights import read_metadata

# The oldest opset that torch's exporter writes, and the newest that it and onnxruntime support.
FIRST, LAST, DEFAULT = 18, 23, 20


def run(
    model: Annotated[str, Argument("a model of a training stage (.safetensors)", required=True)],
    out: Annotated[Path, Out("the ONNX file, such as model.onnx")],
    size: Annotated[
        ImageSize | None,
        Option("size of the images; default: that of the training", "WIDTHxHEIGHT", cli_types.size),
    ],
    input: Annotated[
        str,
        Option(
            "form of the input: bgr_uint8 (0..255, default) or rgb_float (float32, 0..1)",
            "FORM",
            cli_types.choice("--input", [*onnx_file.FORMS]),
            onnx_file.BGR_UINT8,
        ),
    ],
    opset: Annotated[
        int,
        Option(f"ONNX opset; default: {DEFAULT}", "N", cli_types.count("--opset", FIRST, LAST), DEFAULT),
    ],
    params: Annotated[
        Path | None,
        Option("params file of its training; required only for a model of an older version", "PATH", Path),
    ],
) -> None:
    """Write OUT; print its differences from the model on random and on smooth images, and its speed."""
    onnx_file.require()
    opened = open_model(Path(model), params, validate.load(params) if params else None)
    on_cpu = opened.compute.model_copy(update={"device": "cpu"})
    member = opened.load(acquire_device(on_cpu, on_cpu.inference_threads)).members[0]
    metadata = onnx_file.metadata(opened.spec, read_metadata(opened.path))
    pixels = size or opened.size
    differences = onnx_file.write(out, member, pixels, opset, metadata, input)
    for difference in differences:
        say(onnx_file.describe(difference))
    say(onnx_file.measure(out, pixels, input), out)
