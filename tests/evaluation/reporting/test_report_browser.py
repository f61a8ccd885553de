"""The report's page in Chromium without network: mouse and keyboard, light and dark theme, a phone."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from intrada.evaluation.reporting import drawing
from tests.support.chromium import PHONE, Watched, needs_chromium
from tests.support.chromium import browser as browser
from tests.support.report_tree import tree, write_report

FOCUS = """() => {
  const element = document.activeElement;
  const name = element === document.body ? "" : element.id || element.textContent.slice(0, 8);
  return [name, getComputedStyle(element).outlineStyle];
}"""
pytestmark = needs_chromium


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("project")
        patch.chdir(folder)
        tree()
        return (folder / write_report() / "index.html").as_uri()


@pytest.fixture
def watched(browser: Any, url: str) -> Iterator[Watched]:
    watched = Watched(browser, url)
    yield watched
    watched.context.close()


@pytest.fixture
def page(watched: Watched) -> Any:
    return watched.page


def column(page: Any, table: int, number: int) -> list[str]:
    cells = page.locator("table.sortable").nth(table).locator(f"tbody tr td:nth-child({number})")
    return [text.split("\n")[0].strip() for text in cells.all_inner_texts()]


def large(page: Any) -> str:
    """Return the alternative text of the large image: "layer of name"."""
    return str(page.locator("#large").get_attribute("alt"))


def pressed(page: Any) -> list[str]:
    return [text[-5:] for text in page.locator('#layers [aria-pressed="true"]').all_inner_texts()]


def test_the_page_opens_without_console_messages_and_requests_nothing_else(
    watched: Watched, url: str
) -> None:
    watched.page.wait_for_function("document.getElementById('large').naturalWidth > 0")
    for number in range(6):
        watched.page.locator("#layers button").nth(number).click()
    assert watched.messages == []
    assert [request for request in watched.requests if not request.startswith("data:")] == [url]


def test_a_header_sorts_by_click_and_by_enter_both_ways_with_absent_numbers_last(page: Any) -> None:
    header = page.locator("table.sortable").nth(1).locator("th").nth(1)
    assert column(page, 1, 2) == ["40.0", "60.1", "-"] and header.get_attribute("aria-sort") == "none"
    header.locator("button").click()
    header.locator("button").click()
    assert column(page, 1, 2) == ["60.1", "40.0", "-"] and header.get_attribute("aria-sort") == "descending"
    header.locator("button").focus()
    page.keyboard.press("Enter")
    assert column(page, 1, 2) == ["40.0", "60.1", "-"] and header.get_attribute("aria-sort") == "ascending"
    page.locator("table.sortable").nth(1).locator("th button").first.click()
    assert column(page, 1, 1) == ["car", "road", "sky"] and header.get_attribute("aria-sort") == "none"


def test_a_layer_is_selected_by_click_and_by_number_for_all_images(page: Any) -> None:
    assert large(page) == "image of w" and pressed(page) == ["image"]
    before = page.locator("#thumbnails img").first.get_attribute("src")
    page.locator("#layers").get_by_role("button", name="intra").click()
    assert large(page) == "intra of w" and pressed(page) == ["intra"]
    assert page.locator("#thumbnails img").first.get_attribute("src") != before
    page.keyboard.press("2")
    assert large(page) == "entropy of w"
    page.keyboard.press("9")
    page.keyboard.press("Control+1")
    assert large(page) == "entropy of w", "9 is no layer, and Control+1 belongs to the browser"


def test_arrows_move_from_image_to_image_and_stop_at_the_ends(page: Any) -> None:
    page.keyboard.press("ArrowLeft")
    assert large(page) == "image of w"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert (
        large(page) == "image of v"
        and "2 of 2: v, hard, entropy 0.5" in page.locator("#description").inner_text()
    )
    assert page.locator("#thumbnails [aria-current=true]").inner_text() == "hard 0.500"
    page.locator("#previous").click()
    assert large(page) == "image of w"


def test_arrows_outside_the_gallery_do_nothing(page: Any) -> None:
    page.locator("table.sortable th button").first.focus()
    page.keyboard.press("ArrowRight")
    assert large(page) == "image of w"


def test_the_description_has_the_pixel_accuracy_or_says_that_there_is_no_label(page: Any) -> None:
    page.keyboard.press("6")
    assert "this image has no label" in page.locator("#description").inner_text()
    assert not page.locator("#large").is_visible()
    page.keyboard.press("ArrowRight")
    assert page.locator("#large").is_visible()
    assert "pixel accuracy in percent: source 25.0" in page.locator("#description").inner_text()


def test_images_are_sorted_by_the_selected_order(page: Any) -> None:
    assert page.locator("#thumbnails button").all_inner_texts() == ["easy 0.250", "hard 0.500"]
    page.locator("#order").select_option("entropy down")
    assert page.locator("#thumbnails button").all_inner_texts() == ["hard 0.500", "easy 0.250"]
    assert large(page) == "image of v"
    page.locator("#order").select_option("accuracy up")
    assert large(page) == "image of v", "an image without a label comes last"


def test_tab_reaches_every_control_and_shows_the_focus(page: Any) -> None:
    names = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(FOCUS)
        names.add(name)
        assert outline != "none" or name == "", name  # after the last control the body has the focus
    assert {"theme", "previous", "following", "order", "mIoU", "1image"} <= names


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_follows_the_system_until_its_button_is_pressed(
    browser: Any, url: str, scheme: str
) -> None:
    watched = Watched(browser, url, color_scheme=scheme)

    def brightness(selector: str, key: str) -> float:
        text = watched.page.locator(selector).first.evaluate(f"element => getComputedStyle(element).{key}")
        return sum(map(float, text[4:-1].split(","))) / 3

    def contrast() -> float:
        """Return the brightness of background minus text, -255..255; the figures have the same text colour."""
        shown = watched.page.locator("figure .scroll img:visible")
        drawn = [base64.b64decode(image.get_attribute("src").split(",")[1]).decode() for image in shown.all()]
        difference = brightness("body", "backgroundColor") - brightness("body", "color")
        text = drawing.TEXT if difference > 0 else drawing.DARK[drawing.TEXT]
        assert len(drawn) == 3 and all(text in svg for svg in drawn)
        return difference

    button = watched.page.locator("#theme")
    assert (contrast() > 100) == (scheme == "light")
    assert button.get_attribute("aria-pressed") == str(scheme == "dark").lower()
    button.click()
    assert (contrast() < -100) == (scheme == "light")
    assert button.get_attribute("aria-pressed") == str(scheme == "light").lower()
    watched.context.close()


def test_on_a_phone_only_tables_and_figures_scroll_sideways(browser: Any, url: str) -> None:
    watched = Watched(browser, url, viewport=PHONE, is_mobile=True, has_touch=True)
    assert watched.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    watched.page.locator("#layers button").nth(2).tap()
    assert large(watched.page) == "source of w" and watched.messages == []
    watched.context.close()


def test_without_javascript_the_tables_figures_and_a_hint_are_shown(browser: Any, url: str) -> None:
    watched = Watched(browser, url, java_script_enabled=False)
    assert "needs a browser with JavaScript" in watched.page.locator("body").inner_text()
    assert watched.page.locator("figure .scroll img:visible").count() == 3 and column(watched.page, 0, 2) == [
        "50.0",
        "57.3",
        "58.7",
    ]
    watched.context.close()
