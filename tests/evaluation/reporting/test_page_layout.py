"""The page measured in Chromium at the sizes of a phone, a desk and a large screen, in both themes, printed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import page_content
from tests.support.chromium import Watched, needs_chromium
from tests.support.chromium import browser as browser

SIZES = {390: 844, 1440: 900, 2560: 1440}
PAPER = 703  # CSS pixels between the margins of a sheet of A4
KINDS = (True, False)  # with and without labels
pytestmark = needs_chromium

# texts: the visible pieces of text with their element and box
TEXTS = """
const visible = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
const texts = (root = document.body) => {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  const found = [];
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    const skipped = element.closest("script, style, title, option, .skip, .stage, .tag, [hidden]");
    if (skipped || !node.textContent.trim() || !visible(element)) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects()) if (box.width > 1) found.push({ element, box, text: node.textContent.trim() });
  }
  return found;
};
"""
OUTSIDE = """() => [...document.querySelectorAll("body *")].filter((element) => {
  const inside = element.closest(".scroll, #thumbnails, .stage, .skip, svg");
  return !inside && element.getBoundingClientRect().right > document.documentElement.clientWidth + 1;
}).map((element) => `${element.tagName} ${element.className} ${element.textContent.slice(0, 30)}`)"""
OVERLAPS = f"""() => {{ {TEXTS}
  const found = texts().filter(({{ element }}) => !element.closest(".top, .scroll svg")).sort((a, b) => a.box.top - b.box.top);
  const clashes = [];
  found.forEach((one, index) => {{
    for (let next = index + 1; next < found.length && found[next].box.top < one.box.bottom - 3; next += 1) {{
      const other = found[next];
      const across = Math.min(one.box.right, other.box.right) - Math.max(one.box.left, other.box.left);
      const down = Math.min(one.box.bottom, other.box.bottom) - Math.max(one.box.top, other.box.top);
      if (across > 2 && down > 3) clashes.push(`${{one.text}} / ${{other.text}}`);
    }}
  }});
  return clashes;
}}"""
CONTRAST = f"""() => {{ {TEXTS}
  const parse = (color) => {{
    const values = color.match(/[\\d.]+(e-?\\d+)?/g).map(Number);
    return color.startsWith("color(") ? values.map((value, i) => (i < 3 ? 255 * value : value)) : values;
  }};
  const luminance = (color) => color.slice(0, 3).map((value) => value / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
    .reduce((sum, value, i) => sum + value * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {{
    const cell = element.previousElementSibling;
    if (cell?.classList.contains("cell")) return parse(getComputedStyle(cell).fill);
    for (let node = element; node; node = node.parentElement) {{
      const color = parse(getComputedStyle(node).backgroundColor);
      if (color[3] === undefined || color[3] > 0.5) return color;
    }}
    return [255, 255, 255];
  }};
  return texts().map(({{ element, text }}) => {{
    const style = getComputedStyle(element);
    const [one, two] = [luminance(parse(element.closest("svg") ? style.fill : style.color)), luminance(behind(element))];
    return [(Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05), text];
  }}).filter(([ratio]) => ratio < 4.5).map(([ratio, text]) => `${{ratio.toFixed(2)}} ${{text}}`);
}}"""
HEADERS = f"""() => {{ {TEXTS}
  const edges = (cell) => {{
    const boxes = texts(cell).map(({{ box }}) => box);
    return boxes.length && [Math.min(...boxes.map((box) => box.left)), Math.max(...boxes.map((box) => box.right))];
  }};
  const wrong = [];
  for (const table of document.querySelectorAll("table")) {{
    if (!visible(table)) continue;
    [...table.tHead.rows[0].cells].forEach((header, column) => {{
      const cell = table.tBodies[0].rows[0].cells[column];
      if (header.classList.contains("wide-column") || !visible(header) || cell.querySelector(".change, .swatch, .key")) return;
      const [above, below] = [edges(header), edges(cell)];
      const side = getComputedStyle(header).textAlign === "left" ? 0 : 1;
      if (above && below && Math.abs(above[side] - below[side]) > 3) wrong.push(header.textContent);
    }});
  }}
  return wrong;
}}"""
# for each section, the share of its width between its leftmost and rightmost picture, chart, card or text
WIDTHS = """() => [...document.querySelectorAll("section")].map((section) => {
  const boxes = [...section.querySelectorAll("img, .card, .facts, .advice li, pre, table, p, summary")]
    .filter((element) => element.checkVisibility()).map((element) => element.getBoundingClientRect());
  const [left, right] = [Math.min(...boxes.map((box) => box.left)), Math.max(...boxes.map((box) => box.right))];
  return [section.id, (right - left) / document.documentElement.clientWidth];
}).filter(([id, share]) => share < 0.67 && id !== "provenance")"""
# for each section but the last, which has no line, the pixels between its lowest content and its end
ENDS = """() => [...document.querySelectorAll("section")].slice(0, -1).map((section) => {
  const bottoms = [...section.querySelectorAll("*")].filter((element) => element.checkVisibility())
    .map((element) => element.getBoundingClientRect().bottom);
  return Math.round(section.getBoundingClientRect().bottom - Math.max(...bottoms));
})"""
NAMED = """() => {
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  const repeated = ids.filter((id, index) => ids.indexOf(id) !== index);
  const nameless = [...document.querySelectorAll("img:not([alt]), svg:not([aria-label]), [tabindex]:not([aria-label]):not(pre), section:not([aria-labelledby]):not([aria-label])")];
  const inputs = [...document.querySelectorAll("input, select")].filter((element) => !element.labels.length);
  const levels = [...document.querySelectorAll("h1, h2, h3")].map((element) => Number(element.tagName[1]));
  const jumps = levels.filter((level, index) => index && level > levels[index - 1] + 1);
  return [...repeated, ...nameless.map((element) => element.outerHTML.slice(0, 80)), ...inputs.map((element) => element.id), ...jumps];
}"""


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, str]:
    """The pages of invented results, with and without labels."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("pages")
        patch.chdir(folder)
        return {labelled: page_content.write(folder, labelled) for labelled in KINDS}


@pytest.fixture(scope="module", params=KINDS, ids=["labels", "no labels"])
def page(browser: Any, urls: dict[bool, str], request: pytest.FixtureRequest) -> Iterator[Any]:
    watched = Watched(browser, urls[request.param])
    yield watched.page
    watched.context.close()


def test_nothing_overflows_or_overlaps_at_any_size(page: Any) -> None:
    for width, height in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate(OUTSIDE) == [], width
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(OVERLAPS) == [], width


def test_header_cells_are_over_their_columns_and_sections_fill_the_width(page: Any) -> None:
    for width, height in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate(HEADERS) == [], width
        assert page.evaluate(WIDTHS) == [], width


def test_all_sections_end_at_one_distance_above_their_line(page: Any) -> None:
    for width, height in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        assert len(set(page.evaluate(ENDS))) == 1, width


def test_every_text_has_a_contrast_of_at_least_4_5(page: Any) -> None:
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(CONTRAST) == [], scheme
    page.emulate_media(color_scheme="light")


def test_the_first_screen_has_the_result_and_the_facts(page: Any) -> None:
    page.set_viewport_size({"width": 1440, "height": SIZES[1440]})
    page.evaluate("scrollTo(0, 0)")
    for selector in (".sentence", ".ladder", ".facts"):
        box = page.locator(selector).bounding_box()
        assert box["y"] + box["height"] <= SIZES[1440], selector


def test_a_screen_reader_finds_names_and_an_outline(page: Any) -> None:
    assert page.evaluate(NAMED) == []


def test_it_is_printed_in_light_colours_without_controls(page: Any) -> None:
    page.set_viewport_size({"width": PAPER, "height": 1000})
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator("#viewer").is_visible() and not page.locator("nav").is_visible()
    assert page.evaluate(OUTSIDE) == [] and page.evaluate(OVERLAPS) == [] and page.evaluate(CONTRAST) == []
    page.emulate_media(media="screen", color_scheme="light")
