"""The Lab in a real browser: from a prompt that is typed to evidence in the graph."""

from __future__ import annotations

import json
import threading
from urllib.parse import quote

import pytest

from atlas import Atlas
from atlas.graph.migrate import migrate
from atlas.shipped import shipped_saes
from atlas.web.app import create_app
from atlas.web.pages.lab import work
from atlas.web.settings import WebSettings
from queries.followups.lab import Lab
from tests import tiny
from tests.browser import expect, part
from tests.e2e.conftest import Served
from tests.servers import wipe

pytestmark = [pytest.mark.db, pytest.mark.lm]
READY = "#lab-go:not([disabled])"
WRONG = "#lab-refused [role=alert], #lab-progress [role=alert]"
HOOK = "blocks.2.hook_resid_pre"
EVIL = "<img src=x onerror=alert(1)> heart"
GRAPH = """
CREATE (m:Model {key: $model, source: $source, weights_sha256: $weights})
CREATE (s:Sae {key: $sae, name: $name, hook: $hook, source: $folder, weights_sha256: $digest})
CREATE (s)-[:OF]->(m)
CREATE (r:Run {key: $run, state: 'loaded', created: '2025-01-01', model: $model})
WITH s, r UNWIND $features AS i
CREATE (f:Feature {key: $sae + '/' + toString(i), index: i, max: $most, mean: 2.0,
                   firing_rate: 0.25, label: $label + ' ' + toString(i), run: $run})-[:IN]->(s)
CREATE (f)-[:FROM_RUN]->(r)
"""


def write_graph(driver, lab, *, source, folder, features, label, most):
    """Write the features of a lab's only SAE."""
    ((name, sae),) = lab.saes.items()
    driver.execute_query(
        GRAPH, model=lab.model.name, source=source, sae=name, name=name.rpartition("/")[2],
        hook=name.split("/")[-2], label=label, folder=folder, digest=sae.weights_sha256, most=most,
        weights=lab.model.weights_sha256, run=f"{label.split()[-1]}-run", features=features,
    )  # fmt: skip


@pytest.fixture(scope="module")
def tiny_atlas(server, driver, tmp_path_factory):
    """An atlas with the features of a tiny SAE, whose model can be run."""
    root = tmp_path_factory.mktemp("tiny")
    tiny.fit(root, {"tiny": HOOK})
    wipe(driver)
    migrate(driver)
    lab = Lab.load(str(root / "model"), [str(root / "tiny")], device="cpu")
    write_graph(driver, lab, source=str(root / "model"), folder=str(root / "tiny"),
                features=list(range(64)), label=EVIL, most=4.0)  # fmt: skip
    with Atlas.connect(home=server.home) as opened:
        yield opened
    wipe(driver)


@pytest.fixture(scope="module")
def tiny_explorer(tiny_atlas):
    """The address of its explorer."""
    served = Served(create_app(tiny_atlas, WebSettings(requests_per_second=1000, burst=5000)))
    yield served.url
    served.stop()


@pytest.fixture
def held(monkeypatch):
    """Have the Lab read a prompt, pass after pass, until the event that is returned."""
    go_on, read = threading.Event(), work.read_prompt

    def slow(lab, text, **more):
        while not go_on.wait(0.01):
            lab.engine.prepare([[0, 1, 2]])
        return read(lab, text, **more)

    monkeypatch.setattr(work, "read_prompt", slow)
    yield go_on
    go_on.set()


def run(page, done="#lab-evidence"):
    page.click(READY)
    page.locator(f"{done}, {WRONG}").first.wait_for(timeout=120_000)
    assert page.locator(WRONG).all_inner_texts() == []


def steered_texts(page, prompt):
    """Return both texts, of which steering changed the second."""
    expect(page.locator(".side .text")).to_have_count(2)
    texts = page.locator(".side .text").all_inner_texts()
    assert all(text.startswith(prompt) for text in texts)
    assert texts[0] != texts[1], "steering changed what is written"
    return texts


def evidence(atlas, page):
    """Return the id of what was kept, which the graph has."""
    kept = page.inner_text("#lab-evidence")
    assert (
        atlas.cypher("MATCH (r:Run {key: $run}) RETURN r.state AS s", run=kept)[0]["s"] == "loaded"
    )
    return kept


def test_type_read_slide_steer_and_find_the_evidence(page, tiny_explorer, tiny_atlas, screenshot):
    page.goto(f"{tiny_explorer}/lab")
    page.wait_for_selector(READY)
    page.fill("#lab-prompt", "the heart pumps the")
    run(page, "#lab-read li")
    expect(page.locator("#lab-read > li"), "a line for each token").to_have_count(4)
    assert page.locator("main img").count() == 0, "labels are text"
    expect(page.locator("#lab-read").first).to_contain_text(EVIL, use_inner_text=True)
    screenshot(page, "read")

    page.locator("#lab-read button").first.click()
    slider = page.wait_for_selector(".sliders [role=slider]")
    slider.focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.wait_for_selector(".sliders [role=slider][aria-valuenow='2']")
    page.fill("#lab-answer", "blood")
    page.fill("#lab-written", "6")
    run(page)
    steered_texts(page, "the heart pumps the")
    screenshot(page, "steer")

    kept = evidence(tiny_atlas, page)
    expect(page.locator("#lab-replay")).to_have_text(f"atlas replay {kept}", use_inner_text=True)
    rows = tiny_atlas.cypher(
        "MATCH (:Run {key: $run})<-[:FROM_RUN]-(i:Intervention)-[o:ON]->(f:Feature) "
        "RETURN i.strength AS strength, f.key AS key", run=kept)  # fmt: skip
    assert [row["strength"] for row in rows] == [2.0]
    assert {row["metric"] for row in tiny_atlas.effects(rows[0]["key"])} >= {"logit", "kl"}
    assert tiny_atlas.replay(kept).same
    page.click("#lab-evidence")
    page.wait_for_selector("#runs-experiment-found table")
    page.wait_for_selector("#runs-experiment-texts table")
    page.go_back()
    page.wait_for_selector("#lab-evidence")
    expect(page.locator("#lab-prompt"), "a job's address has its form").to_have_value(
        "the heart pumps the"
    )


def test_two_features_have_a_strength_each(page, tiny_explorer, tiny_atlas):
    sae = tiny_atlas.cypher("MATCH (s:Sae) RETURN s.key AS key")[0]["key"]
    keys = quote(f"{sae}/1 {sae}/2")
    page.goto(f"{tiny_explorer}/lab?features={keys}&prompt=the+court+has&kind=clamp")
    page.wait_for_selector(READY)
    sliders = page.locator(".sliders [role=slider]")
    sliders.nth(1).wait_for()
    sliders.nth(1).focus()
    page.keyboard.press("Home")
    page.wait_for_selector(".sliders [role=slider][aria-valuenow='-4']")
    page.check("#lab-together input")
    page.fill("#lab-written", "3")
    run(page)
    kept = evidence(tiny_atlas, page)
    rows = tiny_atlas.cypher(
        "MATCH (:Run {key: $run})<-[:FROM_RUN]-(i:Intervention)-[o:ON]->(f:Feature) "
        "RETURN f.index AS index, o.strength AS strength, i.features AS n ORDER BY index",
        run=kept)  # fmt: skip
    assert [tuple(row.values()) for row in rows] == [(1, 1.0, 2), (2, -4.0, 2)]


@pytest.mark.parametrize("players", ["tokens", "features"])
def test_a_prompt_is_explained(page, tiny_explorer, tiny_atlas, players, screenshot):
    page.goto(f"{tiny_explorer}/lab?task=explain&players={players}&prompt=the+band+plays+a")
    page.wait_for_selector(READY)
    run(page)
    kept = evidence(tiny_atlas, page)
    found = tiny_atlas.cypher(
        "MATCH (:Run {key: $run})<-[:FROM_RUN]-(x:Explanation) RETURN x.players AS players",
        run=kept)  # fmt: skip
    assert found[0]["players"] == players
    expect(page.locator("#lab-result").first).to_contain_text(
        "likeliest next token", use_inner_text=True
    )
    expect(page.locator(".shaded")).to_have_count(int(players == "tokens"))
    page.locator("#lab-result .lab-bar").first.wait_for()
    screenshot(page, f"explain-{players}")


def test_a_prompt_is_patched_into_another(page, tiny_explorer, tiny_atlas, screenshot):
    asked = "task=patch&prompt=the+heart+pumps&corrupt=the+court+judge&answer=blood&foil=law"
    page.goto(f"{tiny_explorer}/lab?{asked}")
    page.wait_for_selector(READY)
    run(page)
    evidence(tiny_atlas, page)
    expect(page.locator("#lab-result").first).to_contain_text("logit_diff", use_inner_text=True)
    expect(page.locator(".shade"), "the stream at each token").to_have_count(3)
    screenshot(page, "patch")
    page.fill("#lab-corrupt", "the court judge has")
    page.click(READY)
    page.wait_for_selector("#lab-progress [role=alert]")
    expect(page.locator("#lab-progress").first).to_contain_text(
        "number of tokens", use_inner_text=True
    )


def test_what_cannot_be_run_is_told(page, tiny_explorer):
    page.goto(f"{tiny_explorer}/lab?task=steer&job=unknown")
    page.wait_for_selector(READY)
    page.click(READY)
    page.wait_for_selector("#lab-refused [role=alert]:has-text('prompt is empty')")
    page.fill("#lab-prompt", "the heart")
    page.click(READY)
    page.wait_for_selector("#lab-refused [role=alert]:has-text('No feature')")
    page.fill("#lab-prompt", "the heart " * 100)
    page.check("input[type=radio] >> nth=0")
    page.click(READY)
    page.wait_for_selector("#lab-progress [role=alert]:has-text('tokens')")
    page.goto(f"{tiny_explorer}/lab?run=nothing")
    page.wait_for_selector("text=no run 'nothing'")


def test_one_job_runs_at_a_time_and_either_is_cancelled(page, tiny_explorer, held, screenshot):
    page.goto(f"{tiny_explorer}/lab")
    page.wait_for_selector(READY)
    page.fill("#lab-prompt", "the first prompt")
    page.click(READY)
    page.wait_for_selector("#lab-progress:has-text('Reading the prompt')")
    page.fill("#lab-prompt", "the second prompt")
    page.click(READY)
    page.wait_for_selector("#lab-progress:has-text('Waiting for one other job')")
    listed = page.locator("#lab-jobs li")
    expect(listed.nth(0)).to_contain_text("waiting: the second prompt", use_inner_text=True)
    expect(listed.nth(1)).to_contain_text("running: the first prompt", use_inner_text=True)
    screenshot(page, "queue")

    page.click("#lab-cancel")
    page.wait_for_selector("#lab-progress:has-text('Cancelled')")
    listed.filter(has_text="cancelled: the second prompt").wait_for()
    listed.filter(has_text="running: the first prompt").locator("a").click()
    page.wait_for_selector("#lab-progress:has-text('Reading the prompt')")
    expect(page.locator("#lab-prompt")).to_have_value("the first prompt")
    page.click("#lab-cancel")
    page.wait_for_selector("#lab-progress:has-text('Cancelled')")
    expect(page.locator("#lab-cancel")).to_be_disabled()
    assert not held.is_set(), "it ended in the midst of a step"

    held.set()
    run(page, "#lab-read li")


def test_a_job_that_is_left_is_found_again_by_its_address(page, tiny_explorer, held):
    page.goto(f"{tiny_explorer}/lab")
    page.wait_for_selector(READY)
    page.fill("#lab-prompt", "the judge")
    page.click(READY)
    page.wait_for_selector("#lab-progress:has-text('Reading the prompt')")
    expect(page).to_have_url(part("job="))
    left = page.url
    page.goto(f"{tiny_explorer}/console")
    page.wait_for_selector("#console-run")
    held.set()
    page.goto(left)
    page.wait_for_selector("#lab-read li")
    expect(page.locator("#lab-read > li")).to_have_count(2)


def test_keys_alone_read_and_steer(page, tiny_explorer):
    page.goto(f"{tiny_explorer}/lab")
    page.wait_for_selector(READY)
    page.focus("#lab-prompt")
    page.keyboard.insert_text("the heart pumps")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#lab-read li")
    seen = []
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.getAttribute('aria-label')") or "")
        if seen[-1].startswith("Steer with"):
            break
    assert seen[-1].startswith("Steer with"), seen
    page.keyboard.press("Enter")
    page.locator(".sliders [role=slider]").first.wait_for()
    page.fill("#lab-written", "3")
    page.focus("#lab-written")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#lab-evidence")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("lab-prompt", "the heart " * 10_000, "100,000 characters; the most"),
        ("lab-prompt", None, "prompt is empty"),
        ("lab-strength", "NaN", "'NaN', not a number"),
        ("lab-strength", None, "None, not a number"),
        ("lab-features", ["no/such/sae/1"], "no/such/sae"),
        ("lab-features", [{"a": 1}], "no feature's key"),
        ("lab-written", 1e9, "written is 1000000000"),
        ("lab-kind", "explode", "explode"),
        ("lab-task", "drop", "no task"),
        ("lab-saes", ["no/such/sae"], "no/such/sae"),
    ],
)
def test_what_the_form_would_not_send_is_refused(
    page, tiny_explorer, tiny_atlas, name, value, said
):
    """Whatever is sent in the form's place is checked where it arrives."""
    sae = tiny_atlas.cypher("MATCH (s:Sae) RETURN s.key AS key")[0]["key"]
    page.goto(f"{tiny_explorer}/lab?features={quote(sae)}/1&prompt=the+heart")
    page.wait_for_selector(READY)
    page.locator(".sliders [role=slider]").first.wait_for()

    def change(route):
        asked = route.request.post_data_json
        if "lab-job.data" not in asked["output"] or "lab-go" not in json.dumps(asked["inputs"]):
            route.continue_()
            return
        for state in asked["state"]:
            each = state if isinstance(state, list) else [state]
            for one in each:
                place = one["id"]["type"] if isinstance(one["id"], dict) else one["id"]
                if place == name and one["property"] == "value":
                    one["value"] = value
        route.continue_(post_data=json.dumps(asked))

    page.route("**/_dash-update-component**", change)
    page.click(READY)
    refused = page.locator(WRONG).first
    refused.wait_for()
    expect(refused).to_contain_text(said, use_inner_text=True)


def test_where_the_model_is_not_here_the_lab_says_so(page, tiny_atlas, driver):
    change = "MATCH (m:Model) SET m.source = $source"
    source = tiny_atlas.cypher("MATCH (m:Model) RETURN m.source AS source")[0]["source"]
    driver.execute_query(change, source=f"{source}-gone")
    served = Served(create_app(tiny_atlas, WebSettings(requests_per_second=1000, burst=5000)))
    try:
        page.goto(f"{served.url}/lab")
        page.wait_for_selector("#lab-model [role=alert]")
        assert page.locator(READY).count() == 0
    finally:
        served.stop()
        driver.execute_query(change, source=source)


def test_without_the_lab_there_is_no_page_of_it(page, tiny_atlas):
    served = Served(create_app(tiny_atlas, WebSettings(lab=False)))
    try:
        page.goto(f"{served.url}/lab")
        page.wait_for_selector("text=There is no such page")
    finally:
        served.stop()


def test_the_lab_fits_a_phone(narrow, tiny_explorer, tiny_atlas, screenshot):
    sae = tiny_atlas.cypher("MATCH (s:Sae) RETURN s.key AS key")[0]["key"]
    narrow.goto(f"{tiny_explorer}/lab?features={quote(sae)}/3&prompt=the+heart")
    narrow.wait_for_selector(".sliders [role=slider]")
    assert narrow.evaluate("document.documentElement.scrollWidth") <= 380
    screenshot(narrow, "phone")
    for name, asked, ready in (
        ("read", "task=read&prompt=the+heart+pumps", "#lab-read li"),
        ("explain", "task=explain&prompt=the+band+plays", "#lab-evidence"),
        ("steer", f"features={quote(sae)}/3&prompt=the+heart", "#lab-evidence"),
    ):
        narrow.goto(f"{tiny_explorer}/lab?{asked}")
        narrow.wait_for_selector(READY)
        run(narrow, ready)
        assert narrow.evaluate("document.documentElement.scrollWidth") <= 380, name
        screenshot(narrow, f"phone-{name}")


@pytest.fixture(scope="module")
def shipped_explorer(tiny_explorer, server, driver):
    """The address of an explorer of features of a shipped SAE, and their key."""
    name, folder = "smollm2-135m-l18-8k", shipped_saes()["smollm2-135m-l18-8k"]
    wipe(driver)
    migrate(driver)
    lab = Lab.load("smollm2-135m", [f"l18-8k={folder}"], device="cpu")
    write_graph(driver, lab, source="smollm2-135m", folder=name, features=list(range(8192)),
                label="shipped", most=20.0)  # fmt: skip
    with Atlas.connect(home=server.home) as opened:
        served = Served(create_app(opened, WebSettings(requests_per_second=1000, burst=5000)))
        yield served.url, opened
        served.stop()
    wipe(driver)


def test_the_shipped_model_is_steered_and_the_evidence_is_in_the_graph(
    page, shipped_explorer, screenshot
):
    address, atlas = shipped_explorer
    page.goto(f"{address}/lab")
    page.wait_for_selector(READY, timeout=300_000)
    page.fill("#lab-prompt", "The doctor looked at the patient's heart")
    run(page, "#lab-read li")
    screenshot(page, "shipped-read")
    page.locator("#lab-read > li").last.locator("button").first.click()
    page.locator(".sliders [role=slider]").first.focus()
    page.keyboard.press("End")
    page.fill("#lab-written", "12")
    run(page)
    steered = steered_texts(page, "The doctor looked at the patient's heart")[1]
    screenshot(page, "shipped-steer")

    kept = evidence(atlas, page)
    (row,) = atlas.cypher(
        "MATCH (:Run {key: $run})<-[:FROM_RUN]-(i:Intervention)-[o:ON]->(f:Feature) "
        "RETURN f.key AS key, o.strength AS strength", run=kept)  # fmt: skip
    assert row["strength"] == 4.0
    page.click("#lab-evidence")
    page.wait_for_selector("#runs-experiment-found table")
    expect(page.locator("#runs-experiment-texts").first).to_contain_text(
        steered[-20:].strip(), use_inner_text=True
    )
    page.locator("#runs-experiment-found a.feature").first.click()
    page.wait_for_url(f"**/feature?key={quote(row['key'], safe='')}")
    page.wait_for_selector(f"#main a[href*='{kept}']")
