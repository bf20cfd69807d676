"""The pages of a feature, of an edge and of the search, in a real browser."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from ingest.load_evidence import load_evidence
from queries.followups.evidence import save_evidence
from tests.browser import expect, loaded, part, until
from tests.builds import DEAD, SAE, key
from tests.followup_evidence import planted_evidence

if TYPE_CHECKING:
    from atlas.api import Atlas

pytestmark = pytest.mark.db
WEIGHTS = "1" * 64
EVIL = "<script>alert(1)</script>"
_MORE = """
MATCH (a:Feature {key: $a}), (b:Feature {key: $b}), (later:Feature {key: $later}), (s:Sae)
MATCH (i:Intervention {kind: 'ablate'})-[:ON]->(a)
MATCH (x:Context {key: 'letters/0/0'})
SET s.neuronpedia_id = 'toy/1-res'
SET x.tokens = ['The', ' heart', $evil, ' own0', '.'], x.text = 'The heart' + $evil + ' own0.'
CREATE (i)-[:CAUSED]->(:Effect {key: 'e', run: i.run, metric: 'centred_logit',
  target: ' beats', change: -1.25, low: -1.5, high: -1.0, q: 0.001, prompts: 8})
CREATE (a)-[:FEEDS {key: 'f', run: 'synthetic', n: 9, d: 3, lift: 4.0, phi: 0.5, mutual: true,
  weight: 0.75, causal_weight: -0.5, q: 0.001, p: 0.0001}]->(later)
CREATE (:Explanation {key: 'x', text: 'beating hearts', method: 'by hand', score: 0.5})
  -[:EXPLAINS {run: 'synthetic', source: 'a file'}]->(a)
WITH a MATCH (a)-[r:FIRES_IN]->(x:Context) WHERE r.rank > 2 SET r.bin = 4 - r.rank
"""
"""A measured promotion, an edge to a later layer, an explanation, bins, and a text with markup."""


@pytest.fixture(scope="module", autouse=True)
def known(planted_atlas: Atlas, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Add what experiments found to the planted atlas."""
    folder = tmp_path_factory.mktemp("evidence")
    load_evidence(planted_atlas.driver, save_evidence(planted_evidence(digest=WEIGHTS), folder))
    planted_atlas.driver.execute_query(_MORE, a=key(0), b=key(1), later=key(20), evil=EVIL)


def feature(explorer: str, index: int | str = 0, more: str = "") -> str:
    name = key(index) if isinstance(index, int) else index
    return f"{explorer}/feature?key={quote(name)}{more}"


def edge(explorer: str, a: int, b: int) -> str:
    return f"{explorer}/edge?a={quote(key(a))}&b={quote(key(b))}"


def panel(page: Any, title: str) -> Any:
    """Return a panel by its title, once it is loaded."""
    found = page.locator(".panel", has=page.get_by_role("heading", name=title, exact=True))
    found.wait_for()
    expect(found.get_by_text("Loading ...")).to_have_count(0)
    return found


def text(page: Any, title: str) -> str:
    return panel(page, title).inner_text()


def headings(page: Any) -> list[int]:
    found = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(h => h.tagName[1])")
    return [int(level) for level in found]


def test_a_feature_page_tells_all_that_is_known(page, explorer, screenshot):
    page.goto(feature(explorer))
    page.wait_for_selector("h1 >> text=heart 0")
    assert "20 positions" in text(page, "Statistics")
    assert "tokens" in text(page, "Statistics"), "what the label was made from"
    marks = panel(page, "Strongest contexts").locator("mark")
    expect(marks.first).to_have_attribute("title", "3")
    expect(page.locator("mark.peak").first).to_have_text("heart", use_inner_text=True)
    assert "1.25" in text(page, "Promotion as measured"), "what its ablation lowers it promotes"
    assert "heart 1" in text(page, "Fires on the same tokens")
    assert "heart 1" in text(page, "Hierarchy")
    assert "heart 1" in text(page, "Similar by decoder")
    assert "river 20" in text(page, "Across layers")
    assert "domain-heart" in text(page, "Concepts")
    assert "beating hearts" in text(page, "Explanations")
    effects = text(page, "Known effects")
    for what in ("Features that it changes", "heart 1", "-1.5", "Findings of studies", "found"):
        assert what in effects
    assert "demo" not in text(page, "Provenance")
    assert "synthetic" in text(page, "Provenance")
    screenshot(page, "feature")


def test_markup_in_a_context_is_text(page, explorer):
    page.goto(feature(explorer))
    assert EVIL in text(page, "Strongest contexts")
    page.goto(f"{explorer}/search?q=heart&where=context")
    assert EVIL in text(page, "Contexts")
    assert page.locator("main script").count() == 0


def test_weaker_firings_are_shown_by_their_part(page, explorer):
    page.goto(feature(explorer))
    assert "Half 1 of 2 (weakest)" in text(page, "Activations")
    expect(panel(page, "Contexts drawn from all its firings").locator("figure")).to_have_count(2)


def test_a_neighbour_says_why(page, explorer):
    page.goto(feature(explorer, 0, "&rows=2"))
    near = panel(page, "Fires on the same tokens")
    expect(near.locator("tbody tr")).to_have_count(2)
    expect(near.get_by_text("More rows")).to_have_attribute("href", part("rows=10"))
    near.get_by_role("link", name="why").first.click()
    page.wait_for_url("**/edge?*")
    page.get_by_role("heading", name="A and B fire on the same tokens").wait_for()


def test_cypher_can_be_seen_and_copied(page, explorer):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(feature(explorer))
    near = panel(page, "Fires on the same tokens")
    near.get_by_text("Show Cypher").click()
    expect(near.locator("pre")).to_contain_text(f'"feature": "{key(0)}"', use_inner_text=True)
    near.locator(".copy").click()
    read = "navigator.clipboard.readText()"
    copied = until(page, lambda: page.evaluate(read), lambda text: text.startswith(":param"))
    assert "CO_OCCURS" in copied


def test_links_lead_elsewhere_by_name(page, explorer):
    page.goto(feature(explorer))
    page.wait_for_selector("h1 >> text=heart 0")
    neuronpedia = page.get_by_role("link", name="Neuronpedia")
    expect(neuronpedia).to_have_attribute("href", "https://www.neuronpedia.org/toy/1-res/0")
    expect(neuronpedia).to_have_attribute("rel", "noopener noreferrer")
    browser = page.get_by_role("link", name="Neo4j Browser").get_attribute("href")
    assert browser.startswith("http://127.0.0.1:")
    assert quote(key(0)) in browser
    page.get_by_role("link", name="Features with a like label").click()
    page.wait_for_url("**/search?*")
    assert panel(page, "Features with a like label").locator("tbody tr").count() > 5


def test_a_dead_feature_has_a_page(page, explorer):
    page.goto(feature(explorer, DEAD))
    page.wait_for_selector(f"h1 >> text=planted/{DEAD}")
    expect(page.locator("main")).to_contain_text("never fires", use_inner_text=True)
    assert "No edge of this kind" in text(page, "Fires on the same tokens")
    assert "No intervention on it" in text(page, "Known effects")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "names no feature"),
        (f"{SAE}/999", "There is no feature"),
        (EVIL, EVIL),
        ("x" * 5000, "5,000 characters"),
        ("nothing of the kind", "No feature has the key"),
        ("heart", "ambiguous"),
    ],
)
def test_what_is_no_feature_is_said(page, explorer, name, said):
    page.goto(feature(explorer, name))
    expect(page.locator("main [role=alert]").first).to_contain_text(said, use_inner_text=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_a_feature_may_be_named_by_its_index(page, explorer):
    page.goto(feature(explorer, "3", "&rows=many"))
    page.wait_for_selector("h1 >> text=heart 3")


def test_an_edge_is_explained(page, explorer, screenshot):
    page.goto(edge(explorer, 0, 1))
    told = text(page, "A and B fire on the same tokens")
    for what in ("Both fire on 10 positions", "lift", "z within", "Test: two, and both pass"):
        assert what in told
    assert "brings B with it" in text(page, "A brings B with it")
    assert "near decoder vectors" in text(page, "A and B have near decoder vectors")
    measured = text(page, "Interventions")
    assert "A to B" in measured
    assert "ablate" in measured
    both = panel(page, "Contexts of both")
    expect(both.locator("figure")).to_have_count(4)
    assert both.locator("mark.fire-a.both").count() == both.locator("mark.fire-b.both").count() > 0
    colours = {
        one.evaluate("e => getComputedStyle(e).backgroundColor")
        for one in (both.locator("mark.fire-a").nth(1), both.locator("mark.fire-b").nth(1))
    }
    assert len(colours) == 2
    assert "domain-heart" in text(page, "In common")
    assert "synthetic" in text(page, "Provenance")
    screenshot(page, "edge")


def test_other_edges_are_explained_too(page, explorer):
    page.goto(edge(explorer, 20, 0))
    told = text(page, "B fires where the later A fires")
    assert "causal weight" in told
    page.goto(edge(explorer, 0, 12))
    assert "No statistical relation between the two" in text(page, "Relations")
    page.goto(edge(explorer, 0, 0))
    expect(page.locator("main [role=alert]").first).to_contain_text(
        "the same feature", use_inner_text=True
    )
    page.goto(f"{explorer}/edge?a=3")
    expect(page.locator("main [role=alert]").first).to_contain_text(
        "two features", use_inner_text=True
    )


def test_the_header_searches(page, explorer, screenshot):
    page.goto(f"{explorer}/search")
    page.fill("header input[type=search]", "heart")
    page.press("header input[type=search]", "Enter")
    page.wait_for_url("**/search?q=heart")
    expect(panel(page, "Labels by meaning").locator("tbody tr")).to_have_count(8)
    assert "heart" in text(page, "Labels by words")
    assert "·heart" in text(page, "Tokens")
    expect(panel(page, "Contexts").locator("mark.found").first).to_have_text(
        "heart", use_inner_text=True
    )
    expect(page.locator("#search-q")).to_have_value("heart")
    screenshot(page, "search")
    page.get_by_role("link", name="Tokens").first.click()
    page.wait_for_url("**where=token")
    expect(panel(page, "Fire on it").locator("tbody tr")).to_have_count(8)
    panel(page, "Promote it").locator("a.feature").first.click()
    page.wait_for_url("**/feature?*")


def test_searches_find_keys_and_concepts(page, explorer):
    page.goto(f"{explorer}/search?q=12")
    assert "goal 12" in text(page, "Key")
    page.goto(f"{explorer}/search?q={quote(key(5))}&where=key")
    assert "heart 5" in text(page, "Key")
    page.goto(f"{explorer}/search?q=domain-goal&where=concept")
    assert "goal 8" in text(page, "Features about it")
    page.goto(f"{explorer}/search?q=nothing&where=key")
    assert "No feature" in text(page, "Key")


@pytest.mark.parametrize("asked", ["<script>evil</script>", "qqqq zzzz", '"AND (', "é" * 300])
def test_a_search_may_find_nothing(page, explorer, asked):
    page.goto(f"{explorer}/search?q={quote(asked)}&where=label")
    assert "No label has such a word" in text(page, "Labels by words")
    assert page.locator("main script").count() == 0


def test_searches_have_limits(page, explorer):
    for asked, said in (("x" * 2000, "2,000 characters"), ("a " * 100, "100 words")):
        page.goto(f"{explorer}/search?q={quote(asked)}")
        expect(page.locator("main [role=alert]").first).to_contain_text(said, use_inner_text=True)
    page.goto(f"{explorer}/search")
    page.wait_for_selector("text=Type what a label may say")


def test_keys_alone_lead_from_a_feature_to_its_edge(page, explorer):
    page.goto(feature(explorer))
    near = panel(page, "Fires on the same tokens")
    near.get_by_text("Show Cypher").focus()
    page.keyboard.press("Enter")
    near.locator("pre").wait_for(state="visible")
    near.get_by_role("link", name="why").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/edge?*")


@pytest.mark.parametrize("path", ["feature", "edge", "search"])
def test_pages_fit_a_phone_and_have_an_outline(narrow, explorer, screenshot, path):
    urls = {"feature": feature(explorer), "edge": edge(explorer, 0, 1),
            "search": f"{explorer}/search?q=heart"}  # fmt: skip
    narrow.goto(urls[path])
    loaded(narrow)
    narrow.wait_for_timeout(500)
    assert narrow.evaluate("document.documentElement.scrollWidth") <= 380
    levels = headings(narrow)
    assert levels[0] == 1
    assert all(low <= high + 1 for high, low in pairwise(levels))
    ids = narrow.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
    assert not re.search("None|undefined|NaN", narrow.locator("main").inner_text())
    screenshot(narrow, f"{path}-phone")
