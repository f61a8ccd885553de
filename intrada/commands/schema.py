"""Write the JSON Schema of params.yaml, for editors that complete and check it."""

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
    """The schema says types, ranges and names of the keys; `validate` also looks at how they fit together."""
    with files.atomic_file(out) as temporary:
        temporary.write_text(plain_yaml.dump(Params.model_json_schema()), encoding="utf-8")
