"""What every state of the studio's page must fulfil: nothing sticks out, everything can be read and hit."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

if find_spec("axe_playwright_python") is not None:  # if it is missing, the tests are skipped
    from axe_playwright_python.sync_playwright import Axe

STICKS_OUT = """
  () => document.documentElement.scrollWidth <= innerWidth ? [] :
    [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1)
      .map((e) => `${e.tagName}#${e.id} ${e.innerText}`)
"""
_CONTRAST = """
  () => {
    const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const light = (c) => linear(c / 255);
    const parse = (text) => text.match(/[\\d.]+/g).map(Number);
    const luminance = ([r, g, b]) => 0.2126 * light(r) + 0.7152 * light(g) + 0.0722 * light(b);
    const behind = (e) => {
      for (; e; e = e.parentElement) {
        const [r, g, b, a = 1] = parse(getComputedStyle(e).backgroundColor);
        if (a === 1) return [r, g, b];
      }
    };
    const low = [];
    for (const e of document.querySelectorAll("body *")) {
      const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
      if (!own || !e.checkVisibility() || e.closest(":disabled")) continue;
      const both = [luminance(parse(getComputedStyle(e).color)), luminance(behind(e))];
      const [a, b] = both.sort((x, y) => y - x);
      const ratio = (a + 0.05) / (b + 0.05);
      if (ratio < 4.5) low.push(`${e.tagName}.${e.className}#${e.id} ${ratio.toFixed(2)}`);
    }
    return low;
  }
"""


_SMALL = """
  () => [...document.querySelectorAll("button, select, textarea, summary, [type=range], a, label:has(input)")]
    .filter((e) => e.checkVisibility() && !e.matches(".skip:not(:focus)"))
    .map((e) => [e, e.getBoundingClientRect()])
    .filter(([, { width, height }]) => width < 43.9 || height < 43.9)
    .map(([e, { width, height }]) => `${e.tagName}#${e.id} ${e.innerText} ${width} x ${height}`)
"""


def assert_fit(page: Page, state: str) -> None:
    """Nothing sticks out, every text can be read, everything can be hit, and axe-core finds nothing."""
    assert not page.evaluate(STICKS_OUT), state
    assert page.evaluate(_CONTRAST) == [], state
    assert page.evaluate(_SMALL) == [], state
    found = Axe().run(page).response
    assert len(found["passes"]) > 15, state  # the check ran
    broken = {rule["id"]: [node["html"][:200] for node in rule["nodes"]] for rule in found["violations"]}
    assert not broken, state
