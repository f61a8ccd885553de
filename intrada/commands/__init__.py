"""Commands beside the stages: they leave no line in the execution log."""

from __future__ import annotations

COMMANDS: dict[str, str] = {
    "estimate": "say how much memory and time the trainings of a preset need",
    "preset": "put a complete params file in place, or list them",
    "published": "evaluate a published checkpoint by one command",
    "schema": "write the JSON Schema of params.yaml",
    "validate": "read params.yaml and say what is wrong with it",
    "verify": "check that all artifacts belong together",
}
