"""The commands of dvc.yaml, with its templates resolved by DVC for any values of the params."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from intrada.core.config import plain_yaml
from intrada.pipeline import dvc_api


def commands(folder: Path, values: Mapping[str, Any]) -> dict[str, str]:
    """Return the command of each stage of the dvc.yaml in `folder`, by DVC's name of the stage.

    values: those of the params file. UserError if DVC cannot read the file.
    """
    path = folder / "dvc.yaml"
    with dvc_api.opened(folder) as repo, TemporaryDirectory() as place, dvc_api.reading(path):
        # The resolver reads params.yaml of the folder that it is told, and nothing else there.
        Path(place, "params.yaml").write_text(plain_yaml.dump(dict(values)), encoding="utf-8")
        tree = plain_yaml.parse_generated(path.read_text(encoding="utf-8"))
        found = dvc_api.get("dvc.parsing:DataResolver")(repo, place, tree).resolve()["stages"]
    return {name: str(block["cmd"]) for name, block in found.items()}
