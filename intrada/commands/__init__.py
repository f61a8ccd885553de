"""Commands that are not stages; they write no record to the execution log."""

from __future__ import annotations

COMMANDS: dict[str, str] = {
    "estimate": "print how much memory and time the trainings of a preset need",
    "export": "write a trained model as an ONNX file, and compare the file with the model",
    "predict": "write labels, overlays and entropies of images and videos with a trained model",
    "preset": "replace params.yaml by a preset, or list the presets",
    "published": "evaluate a published checkpoint with one command",
    "schema": "write the JSON Schema of params.yaml",
    "validate": "check params.yaml and name its errors",
    "verify": "check that all artifacts are consistent with the records of their runs",
}
