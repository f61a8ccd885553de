"""Commands beside the stages: they leave no line in the execution log."""

from __future__ import annotations

COMMANDS: dict[str, str] = {
    "validate": "read params.yaml and say what is wrong with it",
}
