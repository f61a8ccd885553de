"""Commands that are not stages; they write no record to the execution log."""

from __future__ import annotations

START: dict[str, str] = {
    "init": "write a new project, which needs no checkout",
    "data": "describe your folders of images in params.yaml",
    "preset": "list the presets, or replace params.yaml by one",
    "estimate": "print the memory and the time of the trainings",
    "validate": "check params.yaml and name its errors",
    "schema": "write the JSON Schema of params.yaml",
}
USE: dict[str, str] = {
    "compare": "compare finished runs or commits in one page",
    "suggest": "choose the images that a person should label next",
    "verify": "check that all results belong together",
    "predict": "predict images and videos with a trained model",
    "export": "write a trained model as an ONNX file",
    "published": "evaluate a published checkpoint",
}
COMMANDS = START | USE  # summaries fit on a line of 80 characters
