"""The status page of a guard in trouble, in a real headless Chromium: on a phone, light and dark, and on paper."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from guard_server.side_apps import create_admin_app
from scripts.fetch_chromium import fetch
from tests.guard_server.adapters.conftest import ADMIN_KEY, digest, versions
from tests.guard_server.status.troubled import HOSTILE, Versions, troubled, troubled_config
from tests.ops.browser import Tab, browser
from tests.served import served

__all__ = ["versions"]
_SCHEMES = ("light", "dark")
_PHONES = (320, 360)
# Every text that can be seen: its colour, and the colour of what it stands on (WCAG 2.2, relative luminance and contrast ratio).
_CONTRASTS = r"""
(() => {
  const parse = (colour) => colour.match(/[\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map((one) => one / 255)
    .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4))
    .reduce((sum, one, at) => sum + one * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
      if (colour[3] !== 0) throw new Error("a half transparent ground");
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement, text = walker.currentNode.textContent.trim();
    if (!text || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const [one, other] = [luminance(parse(style.color)), luminance(ground(element))];
    found.push({text, ratio: (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05), size: parseFloat(style.fontSize)});
  }
  return found;
})()
"""
_SHAPES = r"""
(() => {
  const rgb = (colour) => colour.match(/[\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map((one) => one / 255)
    .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4))
    .reduce((sum, one, at) => sum + one * [0.2126, 0.7152, 0.0722][at], 0);
  const card = luminance(rgb(getComputedStyle(document.querySelector(".card")).backgroundColor));
  return [...document.querySelectorAll(".line, .limit, .dot")].map((shape) => {
    const style = getComputedStyle(shape);
    const own = luminance(rgb(style.stroke === "none" ? style.fill : style.stroke));
    return (Math.max(own, card) + 0.05) / (Math.min(own, card) + 0.05);
  });
})()
"""
_TOO_WIDE = """
[...document.querySelectorAll("body *")]
  .filter((one) => one.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5)
  .map((one) => one.outerHTML.slice(0, 120))
"""


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browser(fetch(), tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.fixture
async def url(tmp_path: Path, base_model: Path, versions: Versions) -> AsyncIterator[str]:
    """The page of a guard to which everything has happened."""
    config = troubled_config(tmp_path, base_model, versions)
    async with troubled(config, versions, tmp_path) as guarded:
        status = guarded.app.state.status
        with served(create_admin_app(guarded.lifecycle, (digest(ADMIN_KEY),), status)) as root:
            yield f"{root}/ui"


def opened(tab: Tab, url: str, password: str | None = ADMIN_KEY) -> Tab:
    """Open the page afresh."""
    tab.password, tab.challenges = password, 0
    tab.complaints.clear()
    tab.asked.clear()
    tab.show(1280)
    tab.open(url)
    return tab


def faint(tab: Tab) -> list[dict[str, Any]]:
    """Return the texts whose contrast is under WCAG's 4.5:1."""
    found = tab.evaluate(_CONTRASTS)
    assert len(found) > 50
    return [text for text in found if text["ratio"] < 4.5]


async def test_the_browser_asks_for_the_key_and_shows_the_page_without_a_complaint(tab: Tab, url: str):
    await asyncio.to_thread(opened, tab, url)
    assert tab.evaluate("document.title") == "p2p-guard: ready"
    assert (tab.challenges, tab.asked, tab.complaints) == (1, [url], [])
    # Its style is let in by the policy, and applied.
    assert tab.evaluate("getComputedStyle(document.querySelector('.card')).borderTopLeftRadius") == "12px"


async def test_without_the_key_nothing_is_shown(tab: Tab, url: str):
    # Another origin to the browser, which knows no password for it.
    await asyncio.to_thread(opened, tab, url.replace("127.0.0.1", "localhost"), None)
    assert tab.challenges == 1
    assert "writer" not in tab.evaluate("document.body.innerText")


async def test_a_hostile_path_is_text(tab: Tab, url: str):
    await asyncio.to_thread(opened, tab, url)
    assert tab.evaluate("document.querySelectorAll('script, img').length") == 0
    assert HOSTILE.replace("/", "|") in tab.evaluate("document.body.innerText")


@pytest.mark.parametrize("scheme", _SCHEMES)
@pytest.mark.parametrize("width", _PHONES)
async def test_a_phone_shows_it_without_scrolling_sideways(tab: Tab, url: str, width: int, scheme: str):
    await asyncio.to_thread(opened, tab, url)
    tab.show(width, scheme=scheme)
    assert tab.evaluate("[innerWidth, document.documentElement.scrollWidth]") == [width, width]
    assert tab.evaluate(_TOO_WIDE) == []
    assert min(text["size"] for text in tab.evaluate(_CONTRASTS)) >= 12


@pytest.mark.parametrize("scheme", _SCHEMES)
async def test_every_text_and_line_can_be_told_from_its_ground(tab: Tab, url: str, scheme: str):
    await asyncio.to_thread(opened, tab, url)
    tab.show(1280, scheme=scheme)
    assert faint(tab) == []
    # Lines and points: 3:1, WCAG 2.2, 1.4.11.
    shapes = tab.evaluate(_SHAPES)
    assert len(shapes) >= 6
    assert min(shapes) >= 3


async def test_the_two_schemes_differ(tab: Tab, url: str):
    await asyncio.to_thread(opened, tab, url)
    grounds = []
    for scheme in _SCHEMES:
        tab.show(1280, scheme=scheme)
        grounds.append(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert grounds == ["rgb(243, 245, 248)", "rgb(15, 20, 27)"]


async def test_on_paper_it_is_dark_on_white_whatever_the_scheme(tab: Tab, url: str):
    await asyncio.to_thread(opened, tab, url)
    tab.show(794, 1123, scheme="dark", media="print")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert faint(tab) == []
    assert tab.evaluate(_TOO_WIDE) == []
    printed = tab.pdf()
    assert printed.startswith(b"%PDF")
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 3
