"""Write the JSON Schema of params.yaml, with which an editor completes and checks the file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from intrada.core import files
from intrada.core.config import plain_yaml
from intrada.core.config.schema import Params
from intrada.core.stage import Out

OWN = "workflow/schemas/params.schema.yaml"


def run(
    out: Annotated[Path, Out(f"the schema (YAML); the project's own is {OWN}", replaces=OWN)],
) -> None:
    """Write the types, ranges and names of the keys. `validate` also checks combinations of values."""
    with files.atomic_file(out) as temporary:
        temporary.write_text(plain_yaml.dump(Params.model_json_schema()), encoding="utf-8")
