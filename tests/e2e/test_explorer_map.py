"""The explorer's frame and its map, in a real browser."""

from __future__ import annotations

import pytest

from tests.browser import becomes, begin, colours, expect, part, settled, until
from tests.builds import key

pytestmark = pytest.mark.db
WEBGL = True
READY = "#map[data-ready]"


def shown(page) -> int:
    return int(page.wait_for_selector(READY).get_attribute("data-ready"))


def test_every_feature_with_a_place_is_drawn_by_webgl(page, explorer, planted_atlas, screenshot):
    page.goto(explorer)
    count = planted_atlas.cypher("MATCH (f:Feature) WHERE f.map_x IS NOT NULL RETURN count(f) AS n")
    assert shown(page) == count[0]["n"]
    expect(page.locator("#map").first).to_have_attribute("data-drawn", "webgl")
    until(
        page, lambda: colours(page.locator("#map")), lambda n: n > 20
    )  # of the points, with smooth edges
    screenshot(page, "map")


def test_a_filter_leaves_what_fits_it(page, explorer, planted_atlas):
    hits = planted_atlas.cypher(
        "MATCH (f:Feature) WHERE toLower(f.label) CONTAINS 'heart' RETURN count(f) AS n"
    )[0]["n"]
    page.goto(explorer)
    assert shown(page) > hits > 0
    page.focus("#map-label")
    page.keyboard.type("heart")
    page.wait_for_selector(f'#map[data-ready="{hits}"]')
    expect(page.locator("#map-link").first).to_have_attribute("href", part("label=heart"))
    page.fill("#map-label", "zzzz")
    page.wait_for_selector('#map[data-ready="0"]')
    until(
        page, lambda: colours(page.locator("#map")), lambda n: n < 20
    )  # no point is drawn any more
    page.goto(f"{explorer}/?label=heart")
    assert shown(page) == hits


def test_keys_alone_point_at_a_feature_and_open_it(page, explorer):
    page.goto(explorer)
    shown(page)
    page.focus("#map")
    page.keyboard.press("Control+ArrowLeft")
    page.wait_for_timeout(200)
    assert page.locator("#map-tip .card").count() == 0, "shortcuts are the browser's"
    page.keyboard.press("+")
    page.wait_for_selector("#map-tip .card")
    told = page.inner_text("#map-tip .dim")
    page.keyboard.press("Enter")
    page.wait_for_url("**/feature?*")
    assert told.split("/")[-1] in page.url


def test_a_lasso_lists_features(page, explorer):
    page.goto(explorer)
    count = shown(page)
    page.click("#map-lasso")
    expect(page.locator("#map-lasso")).to_have_text("Lasso: on")
    settled(page, "document.getElementById('map').getBoundingClientRect().y")
    box = page.locator("#map").bounding_box()
    x, y, w, h = (box[name] for name in ("x", "y", "width", "height"))
    page.mouse.move(x + 2, y + 2)
    page.mouse.down()
    for px, py in ((x + w - 2, y + 2), (x + w - 2, y + h - 2), (x + 2, y + h - 2)):
        page.mouse.move(px, py, steps=4)
    page.mouse.up()
    page.wait_for_selector("#map-list li")
    expect(page.locator("#map-list p").first).to_have_text(begin(f"{count} features"))
    expect(page.locator("#map-list a[href^='/graph']").first).to_have_attribute(
        "href", part("keys=")
    )


def test_the_frame_has_a_theme_a_skip_link_and_no_unknown_page(page, explorer):
    page.goto(explorer)
    shown(page)
    ground = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(ground)
    expect(page.locator("#theme").first).to_have_attribute("aria-pressed", "false")
    page.click("#theme")
    until(page, lambda: page.evaluate(ground), lambda now: now != before)
    page.reload()
    shown(page)
    page.wait_for_selector("#theme[aria-pressed=true]")
    until(page, lambda: page.evaluate(ground), lambda now: now != before)
    page.keyboard.press("Tab")
    becomes(page, "document.activeElement.textContent", "To the content")
    page.goto(f"{explorer}/nothing")
    page.wait_for_selector("text=There is no such page")
    page.goto(f"{explorer}/?run=none")
    expect(page.locator("[role=alert]").first).to_contain_text("no run 'none'", use_inner_text=True)


def test_nothing_is_wider_than_a_phone(narrow, explorer, screenshot):
    narrow.goto(explorer)
    shown(narrow)
    assert narrow.evaluate("document.documentElement.scrollWidth") <= 380
    screenshot(narrow, "map-phone")


def test_a_label_with_markup_is_text(page, explorer, planted_atlas):
    evil = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    old = planted_atlas.cypher("MATCH (f:Feature {key: $key}) RETURN f.label AS label", key=key(0))
    change = "MATCH (f:Feature {key: $key}) SET f.label = $label"
    planted_atlas.driver.execute_query(change, key=key(0), label=evil)
    try:
        page.goto(f"{explorer}/?label=onerror")
        page.wait_for_selector("#main h1")
        assert page.locator("main img, main script").count() == 0
    finally:
        planted_atlas.driver.execute_query(change, key=key(0), label=old[0]["label"])
