"""Links in raw data, before a run starts."""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from intrada.__main__ import main
from intrada.core.config.load import load
from intrada.core.errors import UserError
from intrada.pipeline import bridge, dvc_command, raw_data
from tests.support.tiny_project import PARAMS, change, tree, write_params

ROOT = Path("data/raw/mine")


@pytest.fixture(autouse=True)
def project(checkout: Path) -> None:
    """Params whose roots are one folder, and another folder beside it."""
    write_params(
        change(tree(), **{f"preprocess__{name}__root": str(ROOT) for name in ("source", "target", "val")})
    )
    for path in (ROOT / "images/1.png", Path("elsewhere/2.png"), Path("elsewhere/inner/3.png")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def check() -> None:
    raw_data.check_links(load(PARAMS))


def test_links_to_files_and_roots_that_are_links_are_followed() -> None:
    check()
    (ROOT / "images/2.png").symlink_to(Path("elsewhere/2.png").resolve())
    check()
    shutil.move(ROOT, "moved")
    ROOT.symlink_to(Path("moved").resolve())
    check()


def test_a_root_that_does_not_exist_has_no_links() -> None:
    shutil.rmtree(ROOT)
    check()


def test_a_folder_that_is_linked_later_stops_every_way_to_start(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """DVC does not see it, so no stage becomes stale and none can refuse it."""
    (ROOT / "images/more").symlink_to(Path("elsewhere").resolve())
    message = "data/raw/mine/images/more: a link to the folder "
    with pytest.raises(UserError, match=f"^{message}"):
        bridge.stages(Path().resolve(), main=True, dry=True, on_cpu=True)
    started: list[list[str]] = []
    monkeypatch.setattr(dvc_command.dvc_api, "run", lambda words, owner: started.append(words) or 0)
    monkeypatch.setattr(dvc_command.dvc_recovery, "prepare", lambda folder: None)
    monkeypatch.setattr(dvc_command.cache_objects, "refuse_wrong_sizes", lambda repo: None)
    repo = SimpleNamespace(tmp_dir=str(Path("temporary").resolve()))
    monkeypatch.setattr(dvc_command.dvc_api, "opened", lambda folder: nullcontext(repo))
    assert dvc_command.main(["repro"]) == 1 and message in capsys.readouterr().err
    assert dvc_command.main(["checkout"]) == 0 and started == [["checkout"]]
    assert main(["validate", "--params", "params.yaml", "--out", "params.json"]) == 1
    assert message in capsys.readouterr().err and not Path("params.json").exists()


def test_a_broken_link_is_named() -> None:
    for name in ("1.jpg", "0.jpg"):
        (ROOT / "images" / name).symlink_to("../gone.jpg")
    with pytest.raises(
        UserError,
        match=r"0\.jpg: a link to \.\./gone\.jpg, which does not exist; 1 more links are broken: .*1\.jpg",
    ):
        check()
