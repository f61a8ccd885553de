"""The report's page in Chromium without network: mouse and keyboard, light and dark theme, a phone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.chromium import PHONE, Watched, needs_chromium
from tests.support.chromium import browser as browser
from tests.support.report_tree import tree, write_report

FOCUS = """() => {
  const element = document.activeElement;
  const name = element === document.body ? "" : element.id || element.textContent.slice(0, 8);
  return [name, getComputedStyle(element).outlineStyle];
}"""
pytestmark = [needs_chromium, pytest.mark.slow]


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


def picture(page: Any, side: str) -> str:
    """Return the alternative text of the large picture on a side: "layer of name"."""
    return str(page.locator(f"#side-{side} [data-part=image]").get_attribute("alt"))


def wipe(page: Any) -> float:
    return float(page.locator("#wipe").input_value())


def test_the_page_opens_without_console_messages_and_requests_nothing_else(
    watched: Watched, url: str
) -> None:
    watched.page.wait_for_function("document.querySelector('.plane img').naturalWidth > 0")
    for layer in watched.page.locator("#right option").all_inner_texts():
        watched.page.locator("#right").select_option(label=layer)
    assert watched.messages == []
    assert [request for request in watched.requests if request[:5] not in ("data:", "blob:")] == [url]


def test_a_header_sorts_by_click_and_by_enter_both_ways_with_absent_numbers_last(page: Any) -> None:
    header = page.locator("table.sortable").nth(1).locator("th").nth(2)
    assert column(page, 1, 3) == ["40.0", "60.1", "-"] and header.get_attribute("aria-sort") == "none"
    header.locator("button").click()
    header.locator("button").click()
    assert column(page, 1, 3) == ["60.1", "40.0", "-"] and header.get_attribute("aria-sort") == "descending"
    header.locator("button").focus()
    page.keyboard.press("Enter")
    assert column(page, 1, 3) == ["40.0", "60.1", "-"] and header.get_attribute("aria-sort") == "ascending"
    page.locator("table.sortable").nth(1).locator("th button").first.click()
    assert column(page, 1, 1) == ["car", "road", "sky"] and header.get_attribute("aria-sort") == "none"


def test_a_picture_is_chosen_by_the_list_and_by_number_for_either_side(page: Any) -> None:
    assert (picture(page, "left"), picture(page, "right")) == ("source of w", "intra of w")
    page.locator("#left").select_option("label")
    page.locator("#following").click()
    assert (picture(page, "left"), picture(page, "right")) == ("label of v", "intra of v")
    page.keyboard.press("2")
    page.keyboard.press("Shift+1")
    assert (picture(page, "left"), picture(page, "right")) == ("image of v", "entropy of v")
    page.keyboard.press("Control+3")
    assert picture(page, "right") == "entropy of v", "Control+3 belongs to the browser"


def test_wrong_pixels_are_computed_from_the_prediction_and_the_label(page: Any) -> None:
    page.locator("#following").click()
    page.locator("#right").select_option("wrong intra")
    shown = page.locator("#side-right [data-part=map]")
    shown.evaluate("image => image.decode()")
    colors = shown.evaluate("""image => {
      const context = document.createElement("canvas").getContext("2d");
      context.drawImage(image, 0, 0);
      return [0, 1].map(x => [...context.getImageData(x, 0, 1, 1).data.slice(0, 3)]);
    }""")
    assert colors == [[255, 255, 255], [214, 31, 60]], "the label of v is road at the left, sky at the right"
    page.locator("#previous").click()
    assert picture(page, "right") == "wrong intra: none for this image of w" and not shown.is_visible()


def test_arrows_move_from_image_to_image_and_stop_at_the_ends(page: Any) -> None:
    page.keyboard.press("ArrowLeft")
    assert picture(page, "left") == "source of w"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    described = page.locator("#description").inner_text()
    assert described.startswith("2 of 2: v, hard, entropy 0.500; correct pixels: source 25.0 %")
    assert page.locator("#thumbnails [aria-current=true]").inner_text() == "hard 0.500"
    page.locator("#previous").click()
    assert picture(page, "left") == "source of w"


def test_arrows_outside_the_viewer_do_nothing(page: Any) -> None:
    page.locator("table.sortable th button").first.focus()
    page.keyboard.press("ArrowRight")
    assert picture(page, "left") == "source of w"


def test_the_line_is_moved_by_mouse_and_by_keys(page: Any) -> None:
    stage = page.locator("#stage")
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, middle)
    page.mouse.up()
    assert abs(wipe(page) - 80) < 1
    assert page.locator("#side-right").evaluate("side => getComputedStyle(side).clipPath").endswith("80%)")
    page.locator("#wipe").focus()
    page.keyboard.press("ArrowLeft")
    assert wipe(page) < 80 and picture(page, "left") == "source of w"


def test_zoom_enlarges_and_a_drag_moves_the_image(page: Any) -> None:
    plane = page.locator("#side-left .plane")
    plane.scroll_into_view_if_needed()
    before = plane.bounding_box()
    page.locator("#zoom-in").click()
    page.keyboard.press("+")
    enlarged = plane.bounding_box()
    assert enlarged["width"] == pytest.approx(2.25 * before["width"], rel=0.01)
    box = page.locator("#stage").bounding_box()
    page.mouse.move(box["x"] + 50, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 90, box["y"] + 50)
    page.mouse.up()
    assert plane.bounding_box()["x"] == pytest.approx(enlarged["x"] + 40, abs=1)
    for _ in range(2):
        page.keyboard.press("-")
    assert plane.bounding_box() == before, "at 100 % the image is in the middle"


def test_the_pixel_under_the_pointer_is_named(page: Any) -> None:
    page.locator("#following").click()
    plane = page.locator("#side-left .plane")
    plane.scroll_into_view_if_needed()
    box = plane.bounding_box()
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.2 * box["height"])
    assert page.locator("#pixel").inner_text() == "Here: source road, inter road, intra road, label sky."


def test_images_are_sorted_by_the_selected_order(page: Any) -> None:
    assert page.locator("#thumbnails button").all_inner_texts() == ["easy 0.250", "hard 0.500"]
    page.locator("#order").select_option("entropy down")
    assert page.locator("#thumbnails button").all_inner_texts() == ["hard 0.500", "easy 0.250"]
    assert picture(page, "left") == "source of v"
    page.locator("#order").select_option("accuracy up")
    assert picture(page, "left") == "source of v", "an image without a label comes last"


def test_tab_reaches_every_control_and_shows_the_focus(page: Any) -> None:
    names = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(FOCUS)
        names.add(name)
        assert outline != "none" or name == "", name  # after the last control the body has the focus
    assert {"theme", "previous", "following", "order", "left", "wipe", "opacity", "mIoU"} <= names


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_follows_the_system_until_its_button_is_pressed(
    browser: Any, url: str, scheme: str
) -> None:
    watched = Watched(browser, url, color_scheme=scheme)

    def brightness(selector: str, key: str) -> float:
        text = watched.page.locator(selector).first.evaluate(f"element => getComputedStyle(element).{key}")
        return sum(map(float, text[4:-1].split(","))) / 3

    def contrast() -> float:
        """Return the brightness of background minus text, -255..255; text of charts has that of the page."""
        assert brightness("svg.chart text", "fill") == brightness("body", "color")
        return brightness("body", "backgroundColor") - brightness("body", "color")

    button = watched.page.locator("#theme")
    assert (contrast() > 100) == (scheme == "light")
    assert button.get_attribute("aria-pressed") == str(scheme == "dark").lower()
    button.click()
    assert (contrast() < -100) == (scheme == "light")
    assert button.get_attribute("aria-pressed") == str(scheme == "light").lower()
    watched.context.close()


def test_a_phone_touches_the_same_controls(browser: Any, url: str) -> None:
    watched = Watched(browser, url, viewport=PHONE, is_mobile=True, has_touch=True)
    watched.page.locator("#following").tap()
    assert picture(watched.page, "left") == "source of v" and watched.messages == []
    watched.context.close()


def test_without_javascript_everything_but_the_viewer_is_shown(browser: Any, url: str) -> None:
    watched = Watched(browser, url, java_script_enabled=False)
    assert (
        watched.page.locator(".case img:visible").count() == 16
        and not watched.page.locator("#viewer").is_visible()
    )
    assert watched.page.locator("svg.chart:visible").count() >= 3
    assert column(watched.page, 0, 2) == ["50.0", "57.3", "58.7"]
    watched.context.close()
