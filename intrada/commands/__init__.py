"""Commands that are not stages; they write no record to the execution log."""

from __future__ import annotations

START: dict[str, str] = {
    "init": "write a new project, which needs no checkout",
    "data": "describe your folders of images in params.yaml",
    "preset": "list the presets, or replace params.yaml by one",
    "compare": "compare finished runs in one page: results folders, revisions, experiments",
    "estimate": "print the memory and the time of the trainings",
    "suggest": "choose the target images that a person should label next",
    "validate": "check params.yaml and name its errors",
    "schema": "write the JSON Schema of params.yaml",
}
USE: dict[str, str] = {
    "verify": "check that all results belong together",
    "predict": "predict images and videos with a trained model",
    "export": "write a trained model as an ONNX file",
    "published": "evaluate a published checkpoint",
}
COMMANDS = START | USE  # summaries fit on a line of 80 characters
