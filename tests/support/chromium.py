"""A headless Chromium without network for the tests of HTML pages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from tests.support.optional import needs

# set in CI: a missing browser fails the tests instead of skipping them
REQUIRED = os.environ.get("INTRADA_REQUIRE_BROWSER") == "1"
playwright = import_module("playwright.sync_api") if REQUIRED else needs("playwright.sync_api", "dev")

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
DESK, PHONE = {"width": 1100, "height": 800}, {"width": 390, "height": 844}
MISSING = "no Chromium or Chrome on the PATH; to run: apt install chromium fonts-dejavu-core (Debian)"
needs_chromium = pytest.mark.skipif(CHROMIUM is None and not REQUIRED, reason=MISSING)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """The browser; a test module imports this fixture."""
    if CHROMIUM is None:
        pytest.fail(MISSING)
    with playwright.sync_playwright() as api:
        # Chromium has no sandbox for root, the usual user of a container
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = api.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


class Watched:
    """A page that records its requests (URLs) and its console messages and errors."""

    def __init__(self, browser: Any, url: str, **options: Any) -> None:
        self.requests: list[str] = []
        self.messages: list[str] = []
        self.context = browser.new_context(**{"viewport": DESK, "offline": True, **options})
        self.page = self.context.new_page()
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.goto(url)
