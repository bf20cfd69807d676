"""The explorer's communities, in a real browser."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest

from tests.browser import expect, loaded
from tests.builds import THEMES

pytestmark = pytest.mark.db
EVIL = "<img src=x onerror=alert(1)><script>alert(2)</script>" + "w" * 3000


@pytest.fixture
def communities(planted_atlas):
    return planted_atlas.communities(min_size=1)


def test_communities_are_listed_filtered_and_compared(page, explorer, communities, screenshot):
    page.goto(f"{explorer}/communities")
    page.wait_for_selector(".ag-row")
    rows = page.locator(".ag-center-cols-container .ag-row")
    expect(rows).to_have_count(len(communities))
    expect(page.locator("main").first).to_contain_text("modularity", use_inner_text=True)
    screenshot(page, "communities")
    boxes = page.locator(".ag-row input[type=checkbox]")
    boxes.nth(0).check()
    boxes.nth(1).check()
    page.click("text=Compare the two that are chosen")
    page.wait_for_selector("h2:text('What they have in common')")
    for title in ("Where they meet", "Features in both"):
        page.locator(f".panel:has(> h2:text-is('{title}')) >> text=Show Cypher").wait_for()
    screenshot(page, "compared")
    page.go_back()
    page.wait_for_selector(".ag-row")
    page.fill(".ag-floating-filter input[aria-label*='Label']", str(communities[0]["label"]))
    page.wait_for_selector(".ag-center-cols-container .ag-row:nth-child(2)", state="detached")
    page.click(".ag-row a")
    page.wait_for_url("**/communities?key=*")


def test_a_community_has_members_borders_and_what_it_is_joined_to(
    page, explorer, communities, screenshot
):
    first = communities[0]
    page.goto(f"{explorer}/communities?key={quote(first['key'])}")
    page.wait_for_selector("#community-grid .ag-row")
    members = page.locator("#community-grid .ag-center-cols-container .ag-row")
    expect(members).to_have_count(first["size"])
    for title in ("Borders", "Joined communities", "What it promotes", "Concepts"):
        panel = page.locator(f".panel:has(> h2:text-is('{title}'))")
        panel.locator("text=Show Cypher").wait_for()
        assert panel.locator("[role=alert]").count() == 0
    loaded(page)
    screenshot(page, "community")
    expect(page.locator("h1")).to_have_text(str(first["label"]), use_inner_text=True)
    expect(page.locator("main")).to_contain_text(re.compile("|".join(THEMES)))
    page.click("text=Show as a graph")
    page.wait_for_url("**/graph?community=*")
    page.wait_for_selector("#graph-cy canvas")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("key=none", "There is no community"),
        ("run=none", "no run"),
        ("key={0}&with={0}", "Both are the same"),
        ("key={0}&with=<script>", "There is no community"),
    ],
)
def test_bad_communities_are_answered_in_words(page, explorer, communities, query, said):
    page.goto(f"{explorer}/communities?{query.format(quote(communities[0]['key']))}")
    expect(page.locator("[role=alert]").first).to_contain_text(said, use_inner_text=True)


def test_two_are_chosen_and_compared_by_keys_alone(page, explorer, communities):
    page.goto(f"{explorer}/communities")
    page.wait_for_selector(".ag-row")
    for row in range(2):
        page.locator(".ag-row input[type=checkbox]").nth(row).focus()
        page.keyboard.press("Space")
    page.locator("a:text('Compare the two that are chosen')").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("h2:text('What they have in common')")


def test_a_huge_label_with_markup_is_text(page, explorer, planted_atlas, communities):
    change = "MATCH (c:Community {key: $key}) SET c.label = $label"
    first = communities[0]
    planted_atlas.driver.execute_query(change, key=first["key"], label=EVIL)
    try:
        page.goto(f"{explorer}/communities?run=synthetic")
        page.wait_for_selector(".ag-row :text('onerror')")
        page.goto(f"{explorer}/communities?key={quote(first['key'])}")
        page.wait_for_selector("h1:has-text('onerror')")
        assert page.locator("main img, main script").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    finally:
        planted_atlas.driver.execute_query(change, key=first["key"], label=first["label"])


@pytest.mark.parametrize("path", ["", "?key={0}", "?key={0}&with={1}"])
def test_nothing_is_wider_than_a_phone(narrow, explorer, communities, path, screenshot):
    names = [quote(row["key"]) for row in communities[:2]]
    narrow.goto(f"{explorer}/communities{path.format(*names)}")
    loaded(narrow)
    narrow.wait_for_timeout(500)
    assert narrow.evaluate("document.documentElement.scrollWidth") <= 380
    screenshot(narrow, f"phone-{len(path)}")
