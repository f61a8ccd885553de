"""Commands beside the stages: they leave no line in the execution log."""

from __future__ import annotations

COMMANDS: dict[str, str] = {
    "estimate": "say how much memory and time the trainings of a preset need",
    "export": "write a trained model as an ONNX file, checked against the model",
    "predict": "labels, overlays and entropies of images and videos by a trained model",
    "preset": "put a complete params file in place, or list them",
    "published": "evaluate a published checkpoint by one command",
    "schema": "write the JSON Schema of params.yaml",
    "validate": "read params.yaml and say what is wrong with it",
    "verify": "check that all artifacts belong together",
}
