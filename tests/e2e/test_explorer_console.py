"""The console in a real browser: statements that only read, and their answers."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from atlas.web.pages.console import run as console_run
from tests.browser import begin, expect, part
from tests.builds import key

pytestmark = pytest.mark.db
ROWS = "#console-table .ag-center-cols-container [role=row]"

_ENDLESS = "UNWIND range(1, 100000) AS a UNWIND range(1, 100000) AS b RETURN sum(sqrt(a * b)) AS s"

_FOCUSED = "(at => at.id || at.type || at.tagName)(document.activeElement)"


def cypher(explorer, text, **more):
    rest = "".join(f"&{name}={quote(value)}" for name, value in more.items())
    return f"{explorer}/console?cypher={quote(text)}{rest}"


def test_a_query_of_the_catalogue_is_chosen_filled_in_and_run(page, explorer, screenshot):
    page.goto(f"{explorer}/console?query=hubs&limit=3")
    page.wait_for_selector(ROWS)
    expect(page.locator(ROWS)).to_have_count(3)
    expect(page.locator("#console-count")).to_have_text(begin("3 rows"))
    field = page.locator("[id*='\"limit\"']").first
    expect(field).to_have_value("3")
    field.fill("2")
    page.click("#console-run")
    page.wait_for_selector("#console-count:has-text('2 rows')")
    expect(page, "what is shown is in the address").to_have_url(part("limit=2"))
    expect(page.locator("#cypher-console").first).to_contain_text("$limit")
    expect(page.locator(f"{ROWS} a").first).to_have_attribute("href", begin("/feature?key="))
    screenshot(page, "table")


def test_a_query_that_is_only_chosen_is_not_run(page, explorer):
    page.goto(cypher(explorer, "RETURN 1 AS one"))
    page.wait_for_selector(ROWS)
    page.locator("[id*='cypher']").first.fill("RETURN 2 AS two")
    page.click("#console-run")
    page.wait_for_selector(f"{ROWS}:has-text('2')")
    page.click("#console-query")
    page.locator(".dash-dropdown-search").fill("neighbours")
    page.locator("label:has-text('(neighbours)')").first.click()
    page.wait_for_selector("[id*='\"feature\"']")
    page.wait_for_timeout(700)
    assert page.locator("#console-result [role=alert]").count() == 0
    assert "cypher=" in page.url, "what is shown is still that of before"


def test_a_name_is_a_key_in_the_cypher_that_is_shown(page, explorer):
    page.goto(f"{explorer}/console?query=neighbours&feature=0&limit=3")
    page.wait_for_selector(ROWS)
    expect(page.locator("#cypher-console").first).to_contain_text(key(0))


def test_an_answer_is_a_graph_where_nodes_come_back(page, explorer, screenshot):
    page.goto(f"{explorer}/console?query=neighbours&feature={quote(key(0))}&view=graph")
    page.wait_for_selector("#console-graph canvas")
    expect(page.locator(".answer .picture").first).to_have_attribute(
        "aria-label", part("relationships")
    )
    screenshot(page, "graph")
    page.goto(cypher(explorer, "RETURN 1 AS one", view="graph"))
    page.wait_for_selector("text=no picture")


def test_a_statement_that_writes_is_refused(page, explorer, planted_atlas):
    count = "MATCH (n) RETURN count(n) AS n"
    before = planted_atlas.cypher(count)[0]["n"]
    for text in (
        "CREATE (n:Wrong) RETURN n",
        "MATCH (n) DETACH DELETE n",
        "CALL db.clearQueryCaches()",
        "LOAD CSV FROM 'file:///etc/passwd' AS line RETURN line",
        "MATCH (f:Feature) CALL (f) { SET f.label = 'x' } RETURN count(*)",
    ):
        page.goto(cypher(explorer, text))
        said = page.locator("#console-result [role=alert]")
        expect(said, text).to_contain_text("only reads")
    assert planted_atlas.cypher(count)[0]["n"] == before


def test_errors_are_shown_as_they_are(page, explorer):
    page.goto(f"{explorer}/console")
    page.wait_for_selector("#console-run")
    assert page.locator("#console-result [role=alert]").count() == 0, "nothing runs unasked"
    box = page.locator("textarea").first
    box.fill("MATCH (f:Feature RETURN f")
    page.click("#console-run")
    expect(page.locator("#console-result [role=alert]")).to_contain_text("Invalid input")
    page.locator("textarea").nth(1).fill("{oops")
    page.click("#console-run")
    page.wait_for_selector("text=no JSON")
    page.goto(f"{explorer}/console?query=feature&feature=no+such+thing")
    page.wait_for_selector("#console-result [role=alert]")
    page.goto(f"{explorer}/console?query=nothing")
    page.wait_for_selector("text=There is no query 'nothing'")
    page.goto(f"{explorer}/console?query=neighbours")
    page.wait_for_selector("text=needs feature")


def test_rows_are_limited_and_values_are_text(page, explorer):
    page.goto(cypher(explorer, "UNWIND range(1, 100000) AS n RETURN n"))
    page.wait_for_selector("text=there are more")
    evil = "<img src=x onerror=alert(1)>"
    given = json.dumps({"evil": evil})
    page.goto(cypher(explorer, "RETURN $evil AS `a.b <b>`, 9007199254740993 AS n, null AS none",
                     parameters=given))  # fmt: skip
    page.wait_for_selector(ROWS)
    expect(page.locator(ROWS).first).to_contain_text(evil, use_inner_text=True)
    expect(page.locator(ROWS).first).to_contain_text("9007199254740993", use_inner_text=True)
    assert page.locator("main img, main script").count() == 0
    page.goto(cypher(explorer, "MATCH (n:Nothing) RETURN n.key AS key"))
    page.wait_for_selector("text=0 rows")


def test_keys_alone_write_run_and_read(page, explorer):
    page.goto(f"{explorer}/console")
    page.wait_for_selector("#console-run")
    page.focus("#console-query")
    order = ["console-query"]
    for _ in range(4):
        page.keyboard.press("Tab")
        order.append(page.evaluate(_FOCUSED))
    assert "cypher" in order[1]
    assert "parameters" in order[2]
    assert order[3:] == ["console-run", "radio"]
    page.locator("textarea").first.focus()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text("MATCH (f:Feature) RETURN f.key AS key ORDER BY key LIMIT 2")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#console-count:has-text('2 rows')")
    expect(page).to_have_url(part("cypher=MATCH"))
    assert "parameters=" not in page.url, "none were given"
    page.locator("textarea").nth(1).focus()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text('["no map"]')
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("text=no JSON object")


def test_a_statement_that_takes_too_long_is_ended(page, explorer, monkeypatch):
    monkeypatch.setattr(console_run, "SECONDS", 1)
    page.goto(cypher(explorer, _ENDLESS))
    said = page.locator("#console-result [role=alert]")
    expect(said).to_contain_text("longer than it may")
    monkeypatch.undo()
    page.locator("textarea").first.fill("RETURN 1 AS one")
    page.click("#console-run")
    page.wait_for_selector("#console-count:has-text('One row')")


def test_a_picture_has_no_more_nodes_than_can_be_seen(page, explorer, planted_atlas):
    planted_atlas.driver.execute_query(
        "UNWIND range(1, 400) AS n CREATE (:Crowd {name: '<script>alert(1)</script>'})"
    )
    try:
        page.goto(cypher(explorer, "MATCH (c:Crowd) RETURN c", view="graph"))
        page.wait_for_selector("#console-graph canvas")
        said = begin(f"{console_run.NODES} nodes and 0 relationships")
        expect(page.locator(".answer .picture")).to_have_attribute("aria-label", said)
        assert page.locator("main script").count() == 0
        page.click("#console-view label:has-text('Table')")
        page.wait_for_selector(ROWS)
        expect(page.locator(ROWS).first).to_contain_text(
            "<script>alert(1)</script>", use_inner_text=True
        )
    finally:
        planted_atlas.driver.execute_query("MATCH (c:Crowd) DETACH DELETE c")


def test_the_console_fits_a_phone(narrow, explorer, screenshot):
    near = f"query=neighbours&feature={quote(key(0))}&view=graph"
    for name, asked, ready in (
        ("table", "query=hubs", ROWS),
        ("graph", near, "#console-graph canvas"),
        ("free", "", "textarea"),
        ("wide", f"cypher={quote('RETURN ' + repr('x' * 3000) + ' AS ' + 'y' * 300)}", ROWS),
        ("wrong", f"cypher={'z' * 3000}", "#console-result [role=alert]"),
    ):
        narrow.goto(f"{explorer}/console?{asked}")
        narrow.wait_for_selector(ready)
        assert narrow.evaluate("document.documentElement.scrollWidth") <= 380, name
        screenshot(narrow, f"phone-{name}")
