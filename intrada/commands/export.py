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
from intrada.inference.deployment.load import load, metadata

# The first opset that torch's exporter makes by itself, and the last that it and onnxruntime know.
FIRST, LAST, DEFAULT = 18, 23, 20


def run(
    model: Annotated[str, Argument("a model of a training stage (.safetensors)", needed=True)],
    out: Annotated[Path, Out("the ONNX file, such as model.onnx")],
    size: Annotated[
        ImageSize | None,
        Option("of the images; left out: that of preprocess.target", "WIDTHxHEIGHT", cli_types.size),
    ],
    opset: Annotated[
        int,
        Option(f"of ONNX; left out: {DEFAULT}", "N", cli_types.count("--opset", FIRST, LAST), DEFAULT),
    ],
    params: Annotated[
        Path,
        Option("params of the model's training; left out: params.yaml", "PATH", Path, Path("params.yaml")),
    ],
) -> None:
    """Write OUT and print how far it is from the model on random and on smooth images."""
    onnx_file.require()
    chosen = validate.load(params)
    classes = chosen.class_set
    on_cpu = chosen.compute.model_copy(update={"device": "cpu"})
    device = acquire_device(on_cpu, on_cpu.inference_threads)
    predictor = load(Path(model), params, chosen, classes, device)
    width, height = chosen.preprocess.target.size
    onnx_metadata = onnx_file.metadata(classes, metadata(Path(model)))
    found = onnx_file.write(out, predictor.members[0], size or (width, height), opset, onnx_metadata)
    for each in found:
        print(onnx_file.describe(each))
    print(out)
