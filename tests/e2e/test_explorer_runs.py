"""The page of runs in a real browser: what each is made from, how good it is, what it found."""

from __future__ import annotations

import json

import pytest

from tests.browser import becomes, expect, loaded

pytestmark = pytest.mark.db
STUDY = "network_study-e2e"
EVIL = "<img src=x onerror=alert(1)>"
_STUDY = """
CREATE (r:Run {key: $run, kind: 'intervention', name: 'network study', state: 'loaded',
               created: '2025-02-01', model: $evil, digest: 'd', notes: [$evil],
               parameters: '{"prompts": 2}'})
CREATE (r)<-[:FROM_RUN]-(i:Intervention {key: $run + ':1', kind: 'ablate', features: 1})
CREATE (i)-[:CAUSED]->(:Effect {key: $run + ':1:logit', metric: 'logit', target: $evil,
                                baseline: 1.0, value: 0.25, change: -0.75, prompts: 2})
CREATE (r)<-[:FROM_RUN]-(:Explanation {key: $run + ':2', players: 'tokens', metric: 'logit',
        base: 0.0, value: 1.5, names: [$evil, 'b'], values: [1.0, 0.5]})
"""
_FORGET = """
MATCH (r:Run {key: $run}) OPTIONAL MATCH (r)<-[:FROM_RUN]-(n) OPTIONAL MATCH (n)-[:CAUSED]->(e)
DETACH DELETE r, n, e
"""


@pytest.fixture
def study(planted_atlas):
    """Return a study that the graph has, and the folder of its report."""
    planted_atlas.driver.execute_query(_STUDY, run=STUDY, evil=EVIL)
    report = planted_atlas.followups / STUDY / "report"
    report.mkdir(parents=True)
    text = "<title>Report</title><h1 style='color: green'>Found</h1><img src='plot.svg'>"
    report.joinpath("index.html").write_text(f"{text}<script>document.title = 'ran'</script>")
    report.joinpath("plot.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg' width='9'/>")
    report.parent.joinpath("texts.parquet").write_text("no parquet")
    yield report
    for file in (*report.iterdir(), report.parent / "texts.parquet"):
        file.unlink()
    report.rmdir()
    report.parent.rmdir()
    planted_atlas.driver.execute_query(_FORGET, run=STUDY)


@pytest.fixture
def calibrated(planted_atlas):
    """Return a build with a file of its calibration, and one that is none."""
    run = planted_atlas.runs()[0]["key"]
    folder = planted_atlas.folder / "builds" / run
    there = folder.is_dir()
    folder.mkdir(parents=True, exist_ok=True)
    kept = {"one": 20, "two": 25, "both": 15, "jaccard": 0.5, "overlap": 0.75}
    found = {
        "sae": "m/h/tiny",
        "false": [{"kind": "token", "null": "trade", "found": 400, "null_past": [1, 3],
                   "fdp": 0.005}],
        "split": {"kinds": [{"kind": "token", "kept": kept}]},
    }  # fmt: skip
    files = folder / "calibration-tiny.json", folder / "calibration-wrong.json"
    files[0].write_text(json.dumps(found))
    files[1].write_text("{")
    yield run
    for file in files:
        file.unlink()
    if not there:
        folder.rmdir()


def test_a_build_tells_what_it_is_made_from_and_how_good_it_is(
    page, explorer, calibrated, screenshot
):
    page.goto(f"{explorer}/runs")
    page.wait_for_selector("#runs-all-health table")
    page.wait_for_selector("#runs-all-indexes :text('online')")
    page.click(f"main a:has-text('{calibrated}')")
    page.wait_for_selector("#runs-build-coverage table")
    page.wait_for_selector("#runs-build-provenance dl")
    page.wait_for_selector("#runs-build-analyses h2:has-text('Analyses')")
    quality = page.locator("#runs-build-quality")
    for what in ("dead", "False discoveries of tiny", "0.5 %", "75 %"):  # what both halves keep
        expect(quality).to_contain_text(what)
    loaded(page)
    assert page.locator("#main [role=alert]").count() == 0
    expect(page.locator("#run-commands").first).to_contain_text(
        f"atlas verify {calibrated}", use_inner_text=True
    )
    screenshot(page, "build")
    page.goto(f"{explorer}/runs?key=nothing")
    page.wait_for_selector("text=no run 'nothing'")
    page.goto(f"{explorer}/runs?key=..")
    page.wait_for_selector("text=no run '..'")


def test_a_study_is_listed_with_its_report_and_tells_what_it_found(
    page, explorer, study, screenshot
):
    page.goto(f"{explorer}/runs")
    row = page.locator(f"tr:has-text('{STUDY}')")
    expect(row.locator(f"a[href='/reports/{STUDY}/']")).to_have_text("report", use_inner_text=True)
    row.locator("a").first.click()
    page.wait_for_selector("#runs-experiment-found table")
    found = page.locator("#runs-experiment-found")
    expect(found).to_contain_text("-0.75")
    expect(found, "texts of prompts and models are text").to_contain_text(EVIL)
    page.wait_for_selector("#runs-experiment-texts [role=alert]:has-text('cannot be read')")
    page.wait_for_selector("#runs-experiment-kept dl")
    assert page.locator("#main img, #main script").count() == 0
    expect(page.locator("#run-commands").first).to_contain_text(
        f"atlas replay {STUDY}", use_inner_text=True
    )
    screenshot(page, "study")


def test_a_report_is_shown_and_runs_no_script(page, explorer, study):
    answer = page.request.get(f"{explorer}/reports/{STUDY}/")
    policy = answer.headers["content-security-policy"]
    assert "sandbox" in policy
    assert "allow-scripts" not in policy
    other = page.context.new_page()
    other.goto(f"{explorer}/reports/{STUDY}/")
    expect(other.locator("h1")).to_have_text("Found", use_inner_text=True)
    assert other.title() == "Report", "its script did not run"
    becomes(other, "document.querySelector('img').naturalWidth", 9)
    other.close()
    for wrong in ("..%2f..%2fx.html", "../texts.parquet", "nothing.html", "%00.html"):
        assert page.request.get(f"{explorer}/reports/{STUDY}/{wrong}").status == 404, wrong
    assert page.request.get(f"{explorer}/reports/nothing/").status == 404


def test_keys_alone_lead_from_the_runs_to_one(page, explorer, planted_atlas):
    run = planted_atlas.runs()[0]["key"]
    page.goto(f"{explorer}/runs")
    page.wait_for_selector("#runs-all-health table")
    loaded(page)
    page.evaluate("document.querySelector('main').focus()")
    for _ in range(6):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == run:
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/runs?key=*")
    page.wait_for_selector(f"h1:has-text('{run}')")


def test_runs_fit_a_phone(narrow, explorer, calibrated, study, screenshot):
    for name, asked, ready in (
        ("all", "", "#runs-all-health table"),
        ("build", f"?key={calibrated}", "#runs-build-quality table"),
        ("study", f"?key={STUDY}", "#runs-experiment-found table"),
    ):
        narrow.goto(f"{explorer}/runs{asked}")
        narrow.wait_for_selector(ready)
        assert narrow.evaluate("document.documentElement.scrollWidth") <= 380, name
        screenshot(narrow, f"phone-{name}")
