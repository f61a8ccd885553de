"""Write JSON; apart from tables and images, since the modules that DVC and Snakemake start need no pandas."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from intrada.core.atomic import atomic_file


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write `values` as indented JSON, atomically; ValueError for nan, which JSON cannot hold."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(json_bytes(values))


def json_bytes(values: Mapping[str, Any]) -> bytes:
    """Return the content of the file that `write_json` writes. ValueError for nan."""
    return (json.dumps(values, indent=2, allow_nan=False) + "\n").encode()
