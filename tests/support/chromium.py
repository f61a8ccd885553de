"""A real headless Chromium without network, as the tests of pages use it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from tests.support.optional import needs

# as in CI: a missing browser is a failure, not a skip
REQUIRED = os.environ.get("INTRADA_REQUIRE_BROWSER") == "1"
playwright = import_module("playwright.sync_api") if REQUIRED else needs("playwright.sync_api", "dev")

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
DESK, PHONE = {"width": 1100, "height": 800}, {"width": 390, "height": 844}
MISSING = "no Chromium or Chrome on the PATH; to run: apt install chromium fonts-dejavu-core (Debian)"
needs_chromium = pytest.mark.skipif(CHROMIUM is None and not REQUIRED, reason=MISSING)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """To be imported by a test module."""
    if CHROMIUM is None:
        pytest.fail(MISSING)
    with playwright.sync_playwright() as api:
        # root, as in a container, has no sandbox
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        found = api.chromium.launch(executable_path=CHROMIUM, args=options)
        yield found
        found.close()


class Watched:
    """A page with everything that it asked for and complained of."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.context = browser.new_context(**{"viewport": DESK, "offline": True, **options})
        self.page = self.context.new_page()
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(address)
