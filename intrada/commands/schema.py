"""Write the JSON Schema of params.yaml, with which an editor completes and checks the file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from intrada.core import files
from intrada.core.config import plain_yaml
from intrada.core.config.schema import Params
from intrada.core.stage import Out


def run(
    out: Annotated[Path, Out("the schema (YAML); the project's own is workflow/schemas/params.schema.yaml")],
) -> None:
    """Write the types, ranges and names of the keys. `validate` also checks combinations of values."""
    with files.atomic_file(out) as temporary:
        temporary.write_text(plain_yaml.dump(Params.model_json_schema()), encoding="utf-8")
