"""Skip tests whose optional package is not installed."""

from __future__ import annotations

from typing import Any

import pytest


def needs(module: str, extra: str) -> Any:
    """Import a module; if it is not installed, skip the test and name the extra that installs it."""
    reason = f"{module} is not installed; to run: pip install --editable '.[{extra}]'"
    return pytest.importorskip(module, reason=reason)
