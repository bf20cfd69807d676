"""Every view of the explorer: accessible, usable by keys, as narrow as a phone, in either theme.

Accessibility is judged by axe-core, the engine of Deque's tools, which is held in its Python
package: nothing is fetched.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from atlas.web.app import create_app
from atlas.web.settings import WebSettings
from tests.browser import becomes, loaded
from tests.builds import key
from tests.e2e.conftest import Served

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atlas.api import Atlas

pytestmark = pytest.mark.db
A, B = quote(key(0)), quote(key(1))
VIEWS = {
    "map": "/",
    "search": "/search?q=heart",
    "search-nothing": "/search?q=zzzzqqq",
    "feature": f"/feature?key={A}",
    "feature-unknown": "/feature?key=none",
    "edge": f"/edge?a={A}&b={B}",
    "graph": f"/graph?key={A}",
    "graph-path": f"/graph?from={A}&to={B}",
    "graph-empty": "/graph",
    "communities": "/communities",
    "community": "/communities?key={community}",
    "communities-two": "/communities?key={community}&with={other}",
    "lab": f"/lab?key={A}",
    "console": "/console",
    "console-query": "/console?query=communities",
    "runs": "/runs",
    "runs-one": "/runs?run=synthetic",
    "missing": "/nothing",
}
#: Axe's judgement of a fault; the others are moderate and minor.
SERIOUS = ("critical", "serious")


@pytest.fixture(scope="module")
def places(planted_atlas: Atlas) -> dict[str, str]:
    """Return the two largest communities, by the names that addresses have."""
    found = planted_atlas.cypher(
        "MATCH (c:Community) RETURN c.key AS key ORDER BY c.size DESC, key"
    )
    return {"community": quote(found[0]["key"]), "other": quote(found[1]["key"])}


def opened(page: Any, url: str) -> None:
    """Open a view and wait until all of its parts are there."""
    page.goto(url)
    page.wait_for_selector("#main h1")
    page.wait_for_load_state("networkidle")
    loaded(page)


def faults(page: Any, *, rules: list[str] | None = None) -> list[str]:
    """Return what axe calls serious: the rule, and the first elements that break it."""
    from axe_playwright_python.sync_playwright import Axe

    options = {"runOnly": {"type": "rule", "values": rules}} if rules else {}
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{fault['id']}: {fault['help']}: {[node['html'][:200] for node in fault['nodes'][:3]]}"
        for fault in found
        if fault["impact"] in SERIOUS
    ]


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_is_accessible_in_both_themes_by_keys_and_on_a_phone(
    page, explorer, places, screenshot, name
):
    opened(page, explorer + VIEWS[name].format(**places))
    screenshot(page, f"{name}-light")
    assert faults(page) == []
    walk_by_the_tab_key(page)
    page.emulate_media(color_scheme="dark")
    assert faults(page, rules=["color-contrast"]) == [], "in the dark"
    page.set_viewport_size({"width": 380, "height": 760})
    page.wait_for_timeout(200)
    screenshot(page, f"{name}-phone-dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= 380
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels)), levels


def walk_by_the_tab_key(page: Any) -> None:
    """Check that the focus can be seen, goes on, and can skip to the content."""
    page.evaluate("document.activeElement.blur()")
    seen: list[str] = []
    for _ in range(11):  # all that the frame has; a page may have none
        page.keyboard.press("Tab")
        seen.append(page.evaluate(_FOCUSED))
    assert "unseen" not in seen, seen
    assert seen[0] == "To the content"
    assert len(set(seen)) > 9, "the focus is caught"
    page.focus(".skip")
    page.keyboard.press("Enter")
    becomes(page, "document.activeElement.id", "main")


_FOCUSED = """(() => {
  const at = document.activeElement, box = at.getBoundingClientRect(), look = getComputedStyle(at);
  const ring = look.outlineStyle !== 'none' || look.boxShadow !== 'none';
  if (box.width < 1 || box.height < 1 || !ring) return 'unseen';
  return (at.textContent || at.id || at.name || at.tagName).slice(0, 60);
})()"""


@pytest.fixture(scope="module")
def guarded(planted_atlas: Atlas) -> Iterator[str]:
    """Return the address of an explorer that asks for a user and a password."""
    chosen = WebSettings(user="ada", password="a long password", lab=False)
    served = Served(create_app(planted_atlas, chosen))
    yield served.url
    served.stop()


def test_the_way_in_is_accessible_and_keys_suffice(page, guarded, screenshot):
    page.goto(guarded)
    page.wait_for_selector("#user")
    screenshot(page, "enter")
    assert faults(page) == []
    page.wait_for_selector("#user:focus")
    page.keyboard.type("ada")
    page.keyboard.press("Tab")
    page.keyboard.type("a long password")
    page.keyboard.press("Enter")
    page.wait_for_selector("#map[data-ready]")
    assert "a long password" not in page.content()
    assert page.locator("nav a[href='/lab']").count() == 0


def test_the_keyboard_alone_leads_from_the_search_to_a_feature(page, explorer):
    opened(page, explorer)
    page.focus("#q")
    page.keyboard.type("heart")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?q=heart*")
    first = page.locator("#main a.feature").first
    first.wait_for()
    first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/feature?*")
    page.wait_for_selector("#main h1")
