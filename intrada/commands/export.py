"""Write a trained model as an ONNX file, and check the file against the model.

In: `image`, uint8, N x 3 x height x width, blue green red, 0..255 (it is normalised inside). Out: `logits`,
N x classes x height x width, and `entropy`, N x height x width, 0..1. N is free, height and width are those
of --size. The class names and colours are in its metadata. docs/predict.md shows how to use it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from intrada.commands import validate
from intrada.core import cli_types
from intrada.core.cli_types import ImageSize
from intrada.core.distributed.device import acquire_device
from intrada.core.stage import Argument, Option, Out
from intrada.inference.deployment import onnx_file
from intrada.inference.deployment.load import open_model
from intrada.models.weights import read_metadata

# The first opset that torch's exporter makes by itself, and the last that it and onnxruntime know.
FIRST, LAST, DEFAULT = 18, 23, 20


def run(
    model: Annotated[str, Argument("a model of a training stage (.safetensors)", required=True)],
    out: Annotated[Path, Out("the ONNX file, such as model.onnx")],
    size: Annotated[
        ImageSize | None,
        Option("of the images; left out: the size of its training", "WIDTHxHEIGHT", cli_types.size),
    ],
    opset: Annotated[
        int,
        Option(f"of ONNX; left out: {DEFAULT}", "N", cli_types.count("--opset", FIRST, LAST), DEFAULT),
    ],
    params: Annotated[
        Path | None,
        Option(
            "params of its training, which a model of an older version needs; left out: none", "PATH", Path
        ),
    ],
) -> None:
    """Write OUT and print how far it is from the model on random and on smooth images."""
    onnx_file.require()
    opened = open_model(Path(model), params, validate.load(params) if params else None)
    on_cpu = opened.compute.model_copy(update={"device": "cpu"})
    member = opened.load(acquire_device(on_cpu, on_cpu.inference_threads)).members[0]
    metadata = onnx_file.metadata(opened.spec, read_metadata(opened.path))
    found = onnx_file.write(out, member, size or opened.size, opset, metadata)
    for each in found:
        print(onnx_file.describe(each))
    print(out)
