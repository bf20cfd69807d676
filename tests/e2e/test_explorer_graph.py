"""The explorer's graph, in a real browser."""

from __future__ import annotations

import io
from urllib.parse import quote
from xml.etree import ElementTree as ET

import networkx as nx
import pytest
from PIL import Image

from atlas.formats.graphml import read_graphml
from tests.browser import becomes, begin, colours, expect, loaded, part, settled, until
from tests.builds import DEAD, ISOLATED, SIZE, key

pytestmark = pytest.mark.db
NODES = "#graph-list li"
#: Cytoscape's core of the page's picture.
CORE = "document.getElementById('graph-cy')._cyreg.cy"
EVIL = "<img src=x onerror=alert(1)><script>alert(2)</script>" + "w" * 3000


def drawn(page) -> int:
    """Wait for the picture; return how many nodes it has."""
    page.wait_for_selector("#graph-cy canvas")
    page.wait_for_selector(NODES)
    listed = page.locator(NODES)
    ask = f"{CORE}.nodes().length"
    return until(page, lambda: page.evaluate(ask), lambda n: n == listed.count())


def count(page, nodes: int) -> None:
    """Wait until the list has so many features."""
    page.wait_for_selector(f"{NODES}:nth-child({nodes})")
    page.wait_for_selector(f"{NODES}:nth-child({nodes + 1})", state="detached")


def graph(explorer: str, **query: str) -> str:
    return f"{explorer}/graph?" + "&".join(f"{k}={quote(v)}" for k, v in query.items())


@pytest.fixture
def communities(planted_atlas):
    return planted_atlas.communities(min_size=1)


def test_the_surroundings_of_a_feature_are_drawn(page, explorer, planted_atlas, screenshot):
    page.goto(graph(explorer, key=key(0), kinds="token"))
    near = {row["key"] for row in planted_atlas.neighbours(feature=key(0), limit=100)}
    assert drawn(page) == len(near) + 1
    keys = page.evaluate(f"{CORE}.nodes().map((node) => node.data('key'))")
    assert set(keys) == near | {key(0)}
    expect(page.locator("h1")).to_have_text("Around heart 0", use_inner_text=True)
    until(page, lambda: colours(page.locator("#graph-cy")), lambda n: n > 20)  # nodes and edges
    expect(page.locator("#graph-legend").first).to_contain_text("heart", use_inner_text=True)
    screenshot(page, "ego")


def test_kinds_and_thresholds_leave_edges_out_and_stay_in_the_address(page, explorer):
    page.goto(graph(explorer, key=key(0), kinds="token,implies,similar"))
    drawn(page)
    kinds = f"[...new Set({CORE}.edges().map((edge) => edge.data('kind')))].sort()"
    becomes(page, kinds, ["implies", "similar", "token"])
    page.get_by_label("similar", exact=True).uncheck()
    page.wait_for_selector("#graph-link[href*='kinds=token%2Cimplies&']")
    page.wait_for_selector("#graph-legend :text('near decoder vectors')", state="detached")
    becomes(page, kinds, ["implies", "token"])
    expect(page).to_have_url(part("kinds=token%2Cimplies"))
    page.reload()
    drawn(page)
    becomes(page, kinds, ["implies", "token"])
    page.goto(graph(explorer, key=key(0), kinds="token", least="1"))
    drawn(page)
    count(page, 1)


def test_a_link_to_the_address_of_before_shows_it_again(page, explorer):
    """The address was replaced meanwhile, which Dash does not see."""
    before = {"key": key(0), "kinds": "token,implies,similar"}
    page.goto(graph(explorer, **before))
    drawn(page)
    page.get_by_label("similar", exact=True).uncheck()
    page.wait_for_selector("#graph-link[href*='kinds=token%2Cimplies&']")
    page.evaluate(
        """(to) => {
          history.pushState({}, '', to); // as a link of Dash does
          window.dispatchEvent(new CustomEvent('_dashprivate_pushstate'));
        }""",
        graph("", **before),
    )
    page.wait_for_selector("#graph-link[href*='similar']")
    expect(page.get_by_label("similar", exact=True)).to_be_checked()


def test_a_click_expands_a_feature_and_shows_its_card(page, explorer):
    page.goto(graph(explorer, keys=key(7), kinds="token"))
    assert drawn(page) == 1
    place = settled(page, f"{CORE}.nodes()[0].renderedPosition()")
    page.locator("#graph-cy").click(position=place)
    page.wait_for_selector(f"{NODES}:nth-child(3)")
    expect(page.locator("#graph-card h3")).to_have_text(begin("heart 7"))
    expect(page.locator("#graph-card a:text('Feature page')").first).to_have_attribute(
        "href", begin("/feature?")
    )
    edges = page.locator("#graph-card td a[href^='/edge?']")
    edges.nth(page.locator(NODES).count() - 2).wait_for()
    expect(page.locator("#graph-link").first).to_have_attribute(
        "href", part(f"expanded={quote(key(7), safe='')}")
    )
    page.click("#graph-undo")
    count(page, 1)


def test_keys_alone_expand_collapse_and_choose(page, explorer):
    page.goto(graph(explorer, keys=key(8), kinds="token"))
    drawn(page)
    page.focus(f"{NODES} button:text('Expand')")
    page.keyboard.press("Enter")
    page.wait_for_selector(f"{NODES}:nth-child(3)")
    page.wait_for_selector(f"{NODES} button:text('Collapse'):focus")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#graph-card h3")
    becomes(page, f"{CORE}.nodes(':selected').map((node) => node.data('key'))", [key(8)])
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    count(page, 1)


def test_an_edge_has_a_card_with_its_page(page, explorer):
    page.goto(graph(explorer, keys=f"{key(0)} {key(1)}", kinds="implies"))
    drawn(page)
    until(page, lambda: page.evaluate(f"{CORE}.edges().length"), bool)
    page.evaluate(f"{CORE}.edges()[0].emit('tap') && 0")
    page.wait_for_selector("#graph-card h3:text('implies')")
    link = page.locator("#graph-card a:text('Edge page')")
    expect(link).to_have_attribute("href", begin("/edge?a="))
    expect(page.locator("#graph-card").first).to_contain_text("→", use_inner_text=True)


def test_what_an_intervention_changed_is_an_edge(page, explorer, planted_atlas):
    make = """
    MATCH (a:Feature {key: $a}), (b:Feature {key: $b}) UNWIND [-3.0, -7.5] AS change
    CREATE (a)-[r:AFFECTS {key: 'x|' + toString(change), run: 'x', metric: 'mean'}]->(b)
    SET r.change = change
    """
    planted_atlas.driver.execute_query(make, a=key(0), b=key(ISOLATED))
    try:
        page.goto(graph(explorer, key=key(0), kinds="affects"))
        assert drawn(page) == 2
        becomes(page, f"{CORE}.edges().length", 1)  # the largest change of each pair
        assert "-7.5" in page.evaluate(f"{CORE}.edges()[0].data('tip')")
    finally:
        planted_atlas.driver.execute_query("MATCH ()-[r:AFFECTS {run: 'x'}]->() DELETE r")


def test_pointing_at_a_node_says_what_it_is(page, explorer):
    page.goto(graph(explorer, keys=key(2)))
    drawn(page)
    box = page.locator("#graph-cy").bounding_box()
    place = settled(page, f"{CORE}.nodes()[0].renderedPosition()")
    page.mouse.move(box["x"] + place["x"], box["y"] + place["y"])
    page.wait_for_selector("#graph-tip:has-text('heart 2')")


@pytest.mark.parametrize("by", ["shortest", "product", "weakest", "several"])
def test_a_path_between_two_features_is_shown(page, explorer, by, screenshot):
    ends = {"from": key(0), "to": key(2 * SIZE)}
    page.goto(graph(explorer, **ends, by=by))
    drawn(page)
    expect(page.locator("h1")).to_have_text("From heart 0 to river 16", use_inner_text=True)
    until(page, lambda: page.evaluate(f"{CORE}.edges('.path').length"), lambda n: n >= 3)
    steps = page.locator(".panel:has(h2:text-is('Paths')) tbody tr")
    steps.nth(3).wait_for()
    expect(page.locator(".panel:has(h2:text-is('Paths'))").first).to_contain_text(
        "Show Cypher", use_inner_text=True
    )
    screenshot(page, f"path-{by}")


def test_no_path_is_said(page, explorer):
    page.goto(graph(explorer, **{"from": key(0), "to": key(ISOLATED)}))
    page.wait_for_selector("text=No chain of at most six edges")


def test_members_of_a_community_are_drawn(page, explorer, communities):
    first = communities[0]
    page.goto(graph(explorer, community=first["key"]))
    assert drawn(page) == first["size"]
    expect(page.locator("a:text('Community page')").first).to_have_attribute(
        "href", begin("/communities?key=")
    )


@pytest.mark.parametrize(
    "layout", ["cose", "fcose", "concentric", "circle", "breadthfirst", "dagre", "klay", "preset"]
)
def test_every_layout_puts_the_features_apart(page, explorer, layout):
    page.goto(graph(explorer, key=key(0), layout=layout))
    drawn(page)
    places = settled(page, f"{CORE}.nodes().map((node) => [node.position().x, node.position().y])")
    assert len({(round(x), round(y)) for x, y in places}) == len(places) > 3


def test_the_picture_is_saved_as_png_svg_and_graphml(page, explorer, tmp_path):
    page.goto(graph(explorer, key=key(0), kinds="token,implies"))
    nodes, edges = drawn(page), settled(page, f"{CORE}.edges().length")

    def saved(button: str) -> bytes:
        with page.expect_download() as download:
            page.click(button)
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        return path.read_bytes()

    png = saved("#graph-png")
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert Image.open(io.BytesIO(png)).width > 200
    root = ET.fromstring(saved("#graph-svg"))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert len(list(root.iter("{http://www.w3.org/2000/svg}path"))) >= nodes + edges
    assert any("heart" in (one.text or "") for one in root.iter())
    file = saved("#graph-graphml")
    read = nx.read_graphml(io.BytesIO(file), force_multigraph=True)
    assert (len(read), read.number_of_edges()) == (nodes, edges)
    tables = read_graphml(io.BytesIO(file))
    assert (tables.nodes.num_rows, tables.edges.num_rows) == (nodes, edges)


def test_the_edges_are_a_table_that_keys_open(page, explorer):
    page.goto(graph(explorer, key=key(0), kinds="token,implies"))
    drawn(page)
    edges = settled(page, f"{CORE}.edges().length")
    assert page.locator("#graph-edges tbody tr:visible").count() == 0
    page.focus("summary:text('Edges as a table')")
    page.keyboard.press("Enter")
    page.wait_for_selector("#graph-edges caption:has-text('strongest first')")
    expect(page.locator("#graph-edges tbody tr:visible")).to_have_count(edges)
    expect(page.locator("#graph-edges a[href^='/edge?']")).to_have_count(edges)
    page.get_by_label("implies", exact=True).uncheck()
    page.wait_for_selector("#graph-edges td:has-text('implies')", state="detached")


def test_tab_reaches_every_control_and_the_arrows_move_a_slider(page, explorer):
    page.goto(graph(explorer, key=key(0), kinds="token"))
    drawn(page)
    met = set()
    page.focus("main h1 ~ * summary")
    for _ in range(40):
        page.keyboard.press("Tab")
        met.add(page.evaluate("document.activeElement.closest('[id^=graph-]')?.id"))
        if "graph-graphml" in met:
            break
    assert {"graph-layout", "graph-undo", "graph-png", "graph-svg", "graph-graphml"} <= met
    slider = page.locator("#graph-least [role=slider], [aria-label='Strength at least']").first
    slider.focus()
    page.keyboard.press("End")
    page.wait_for_selector("#graph-link[href*='least=1&']")
    count(page, 1)


def test_text_in_the_picture_has_the_colour_of_the_theme(page, explorer):
    page.goto(graph(explorer, keys=key(0)))
    drawn(page)
    colour = f"{CORE}.nodes()[0].style('color')"
    before = settled(page, colour)
    page.click("#theme")
    until(page, lambda: page.evaluate(colour), lambda now: now != before)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("key=toy/blocks.9/none/3", "There is no SAE"),
        ("key=<script>", "No feature"),
        ("community=none", "There is no community"),
        (f"key={key(0)}&kinds=love", "There is no kind"),
        (f"key={key(0)}&limit=x", "The limit is"),
        (f"key={key(0)}&least=<script>", "The least is"),
        (f"key={key(0)}&npmi=-7", "The npmi is"),
        (f"key={key(0)}&q=1e", "The q is"),
        (f"keys={','.join(map(str, range(10_000)))}", "These are 10,000 features"),
        (f"key={key(0)}&layout=heap", "There is no layout"),
        (f"key={key(0)}&run=none", "no run"),
        (f"from={key(0)}&to={key(0)}", "Both ends"),
        (f"from={key(0)}&to={key(1)}&by=luck", "There is no path"),
    ],
)
def test_bad_addresses_are_answered_in_words(page, explorer, query, said):
    page.goto(f"{explorer}/graph?{query}")
    expect(page.locator("[role=alert]").first).to_contain_text(said, use_inner_text=True)
    assert page.locator("main script").count() == 0


def test_without_anything_to_show_it_says_how_to_begin(page, explorer):
    page.goto(f"{explorer}/graph")
    page.fill("#graph-ask-from", key(0))
    page.fill("#graph-ask-to", key(9))
    page.locator("form:has(#graph-ask-to) button").click()
    page.wait_for_url("**/graph?from=*")
    drawn(page)


def test_features_without_edges_or_label_are_drawn(page, explorer):
    page.goto(graph(explorer, keys=f"{key(ISOLATED)} {key(DEAD)}"))
    assert drawn(page) == 2
    expect(page.locator("#graph-count").first).to_contain_text(
        "2 features, 0 edges", use_inner_text=True
    )
    page.click(f"{NODES}:nth-child(2) button:text('Show')")
    page.wait_for_selector("#graph-card h3")


def test_a_huge_label_with_markup_is_text(page, explorer, planted_atlas):
    change = "MATCH (n:Feature {key: $key}) SET n.label = $label"
    planted_atlas.driver.execute_query(change, key=key(0), label=EVIL)
    try:
        page.goto(graph(explorer, key=key(0)))
        drawn(page)
        page.click(f"{NODES}:first-child button:text('Show')")
        page.wait_for_selector("#graph-card h3:has-text('onerror')")
        assert page.locator("main img, main script").count() == 0
    finally:
        planted_atlas.driver.execute_query(change, key=key(0), label="heart 0")


@pytest.mark.parametrize("path", ["", "?key={key}", "?from={key}&to={other}"])
def test_nothing_is_wider_than_a_phone(narrow, explorer, path, screenshot):
    narrow.goto(f"{explorer}/graph{path.format(key=key(0), other=key(2 * SIZE))}")
    loaded(narrow)
    narrow.wait_for_timeout(500)
    assert narrow.evaluate("document.documentElement.scrollWidth") <= 380
    screenshot(narrow, f"phone-{len(path)}")
