"""The Lab's queue and forms, the console's values, and reports: what needs no browser."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("dash", reason="the explorer needs the extra web")

from flask import Flask

from atlas.errors import NotFoundError, UsageError
from atlas.web.pages.console import run as console_run
from atlas.web.pages.console import shown as console_shown
from atlas.web.pages.console.view import OWN
from atlas.web.pages.lab import form as lab_form
from atlas.web.pages.lab.asked import CHARACTERS, FEATURES, SAES, check, chosen_saes, prompt_of
from atlas.web.pages.lab.jobs import Jobs, Progress
from atlas.web.pages.lab.shown import progress, result
from atlas.web.pages.runs import reports
from atlas.web.pages.runs.calibration import calibration
from atlas.web.pages.runs.folders import folder_of, read_json
from atlas.web.parts import address
from atlas.web.security import Guard, policy
from atlas.web.settings import WebSettings
from queries.catalogue import catalogue
from queries.header import Parameter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = "tiny/blocks.2.hook_resid_pre/sae/7"


def blocked() -> tuple[Callable[[Progress], str], threading.Event, threading.Event]:
    """Return work that waits between two steps, an event that it began, one that lets it go on."""
    began, go_on = threading.Event(), threading.Event()

    def work(reporter: Progress) -> str:
        with reporter.step("first", 2) as advance:
            began.set()
            go_on.wait(10)
            advance(1)
        return "found"

    return work, began, go_on


def test_jobs_run_one_after_the_other_and_tell_how_far_they_are() -> None:
    jobs = Jobs()
    work, began, go_on = blocked()
    first = jobs.submit("First", work, {"prompt": "the heart"})
    assert began.wait(10)
    second = jobs.submit("Second", lambda reporter: reporter.note("so far") or 2)
    running = jobs.get(first.id)
    assert (running.state, running.step, running.total) == ("running", "first", 2)
    assert (jobs.get(second.id).state, jobs.before(second.id)) == ("waiting", 1)
    assert "one other job" in str(progress(jobs.get(second.id), 1))
    go_on.set()
    done = jobs.wait(second.id, 10)
    assert (done.state, done.result, done.notes) == ("done", 2, ("so far",))
    assert jobs.get(first.id).result == "found"
    assert jobs.get(first.id).asked == {"prompt": "the heart"}
    assert [job.id for job in jobs.recent()] == [second.id, first.id]


def test_a_queue_that_is_full_refuses_and_old_jobs_are_forgotten() -> None:
    jobs = Jobs(waiting=1, kept=2)
    work, began, go_on = blocked()
    first = jobs.submit("First", work)
    assert began.wait(10)
    last = jobs.submit("Second", lambda reporter: None)
    with pytest.raises(UsageError, match="the most allowed"):
        jobs.submit("Third", lambda reporter: None)
    go_on.set()
    jobs.wait(last.id, 10)
    for _ in range(2):
        last = jobs.submit("More", lambda reporter: None)
        jobs.wait(last.id, 10)
    with pytest.raises(NotFoundError, match="no job"):
        jobs.get(first.id)
    assert len(jobs.recent()) == 2


def test_a_job_is_cancelled_where_it_waits_and_at_its_next_step() -> None:
    jobs = Jobs()
    work, began, go_on = blocked()
    running, waiting = jobs.submit("First", work), jobs.submit("Second", lambda reporter: 1)
    assert began.wait(10)
    jobs.cancel(waiting.id)
    jobs.cancel(running.id)
    jobs.cancel("unknown")
    assert jobs.get(waiting.id).state == "cancelled"
    go_on.set()
    ended = jobs.wait(running.id, 10)
    assert (ended.state, ended.result) == ("cancelled", None)
    assert result(ended) == []


def test_a_job_is_cancelled_within_a_step_where_it_asks() -> None:
    jobs = Jobs()
    began = threading.Event()

    def passes(reporter: Progress) -> None:
        with reporter.step("one long step"):
            began.set()
            while True:
                reporter.check()

    job = jobs.submit("First", passes)
    assert began.wait(10)
    jobs.cancel(job.id)
    ended = jobs.wait(job.id, 10)
    assert (ended.state, ended.stopping) == ("cancelled", False)
    assert "stopping" in str(progress(replace(ended, state="running", stopping=True), 0))


def test_what_is_being_written_to_the_graph_is_not_cancelled() -> None:
    jobs = Jobs()
    began, go_on = threading.Event(), threading.Event()

    def work(reporter: Progress) -> str:
        with reporter.step("loading steering-1 (rows)", 1) as advance:
            began.set()
            go_on.wait(10)
            advance(1)
        return "kept"

    job = jobs.submit("Store", work)
    assert began.wait(10)
    jobs.cancel(job.id)
    go_on.set()
    assert jobs.wait(job.id, 10).result == "kept"


def test_a_job_that_fails_says_why_and_the_next_one_runs() -> None:
    jobs = Jobs()

    def wrong(_: Progress) -> None:
        raise UsageError("No such feature.", hint="Name another.")

    failed = jobs.submit("Wrong", wrong)
    broken = jobs.submit("Broken", lambda reporter: 1 / 0)
    after = jobs.submit("After", lambda reporter: "fine")
    assert jobs.wait(after.id, 10).result == "fine"
    assert jobs.get(failed.id).error.hint == "Name another."
    assert "ZeroDivisionError" in jobs.get(broken.id).error.message
    assert "No such feature" in str(progress(jobs.get(failed.id), 0))


def steering(**changes: Any) -> dict[str, Any]:
    return {"task": "steer", "prompt": "the heart", "features": [KEY], "strengths": [1.0],
            "kind": "add", "written": 12, "temperature": 0.8, "seed": 0, **changes}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"task": "drop"}, "no task"),
        ({"prompt": "  "}, "prompt is empty"),
        ({"prompt": "a" * (CHARACTERS + 1)}, "characters; the most"),
        ({"features": []}, "No feature"),
        ({"features": [f"{KEY}{k}" for k in range(FEATURES + 1)]}, "the most is"),
        ({"features": ["7"]}, "no feature's key"),
        ({"strengths": []}, "needs a strength"),
        ({"strengths": [float("nan")]}, "not a number"),
        ({"strengths": ["x"]}, "not a number"),
        ({"written": 5000}, "written is 5000"),
        ({"temperature": None}, "not a number"),
        ({"seed": -1}, "seed is -1"),
        ({"saes": [f"tiny/x/{k}" for k in range(SAES + 1)]}, "5 SAEs; the most is 4"),
        ({"answer": "a" * 101}, "answer is longer"),
        ({"task": "explain", "seed": None}, "seed is None"),
        ({"task": "patch", "corrupt": ""}, "second prompt is empty"),
        ({"task": "explain", "of": "feature", "features": []}, "No feature"),
        ({"kind": "project", "together": True, "features": [KEY, f"{KEY}1"],
          "strengths": [1, 0.5]}, "has one strength"),
    ],
)  # fmt: skip
def test_what_the_lab_cannot_do_is_refused_before_it_waits(
    changes: dict[str, Any], said: str
) -> None:
    assert check(steering()) == "steer"
    with pytest.raises(UsageError, match=said):
        check(steering(**changes))


def test_answers_get_the_space_that_words_begin_with() -> None:
    asked = {"prompt": "the heart", "answer": "blood"}
    assert prompt_of(asked, foil="law")["foils"] == [" law"]
    assert prompt_of({**asked, "answer": " blood"})["answer"] == " blood"
    assert "answer" not in prompt_of({"prompt": "the heart", "answer": ""})
    sae = KEY.rpartition("/")[0]
    assert chosen_saes({"features": [KEY]}, ["tiny/x/a"]) == ["tiny/x/a", sae]


def test_an_address_fills_the_form_and_wrong_values_of_it_are_left_out() -> None:
    found = lab_form.of_address({"key": f"{KEY} {KEY}", "kind": "clamp", "unit": "metres"})
    assert found == {"kind": "clamp", "features": [KEY], "task": "steer"}
    values = dict.fromkeys(lab_form.FIELDS)
    asked = lab_form.field_values(
        [*{**values, "task": "steer", "features": [KEY]}.values()], {KEY: 2.5}, run="r"
    )
    assert (asked["strengths"], asked["run"], asked["together"]) == ([2.5], "r", False)
    about = {KEY: {"label": "<b>", "max": 3.0}}
    made = lab_form.sliders([KEY], kind="project", unit="global_max", values={KEY: 9}, about=about)
    assert made[0].children[1].value == 1, "a strength out of the new range begins anew"
    assert "no strength" in str(
        lab_form.sliders([KEY], kind="ablate", unit="", values={}, about={})
    )
    assert lab_form.shown_fields("explain", "feature") == (True, False, True, False)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("integer", "12", 12),
        ("float", "0.5", 0.5),
        ("boolean", "true", True),
        ("features", " a \n\nb", ["a", "b"]),
        ("string", "x y", "x y"),
        ("string", "  ", None),
        ("integer", None, None),
    ],
)
def test_parameters_are_read_by_their_type(kind: str, text: Any, value: Any) -> None:
    assert console_run.read_value(Parameter("p", kind, "means"), text) == value


def test_wrong_parameters_are_told() -> None:
    for kind, text in (("integer", "x"), ("float", "1,5"), ("boolean", "yes")):
        with pytest.raises(UsageError, match="p is"):
            console_run.read_value(Parameter("p", kind, "means"), text)
    for text in ("{", "[1]", "3"):
        with pytest.raises(UsageError, match="no JSON"):
            console_run.read_parameters(text)
    assert console_run.read_parameters(' {"a": [1]} ') == {"a": [1]}
    assert console_run.read_parameters("") == {}


def test_no_query_has_a_parameter_that_addresses_use_otherwise() -> None:
    for name, spec in catalogue().items():
        assert not set(spec.parameter_names) & set(OWN), name


def test_cells_are_numbers_or_text_and_keys_lead_to_features() -> None:
    evil = "<script>alert(1)</script>"
    assert console_shown.cell(evil) == evil
    assert console_shown.cell(1 / 3) == 0.3333333
    assert console_shown.cell(2**60) == str(2**60)
    assert [console_shown.cell(one) for one in (True, None, float("nan"))] == ["true", None, "nan"]
    assert console_shown.cell({"a": ["ü"]}) == '{"a": ["ü"]}'
    assert len(console_shown.cell("x" * 10_000)) < 3000
    assert console_shown.where(KEY) == address("/feature", key=KEY)
    assert console_shown.where({"labels": ["Feature"], "key": KEY}) == console_shown.where(KEY)
    assert console_shown.where("javascript:alert(1)") is None
    assert console_shown.where({"labels": ["Token"], "key": KEY}) is None
    assert console_shown.named({"labels": ["Token"], "text": "a" * 99}).endswith("…")


@pytest.fixture
def followups(tmp_path: Path) -> Path:
    """A folder with a study's report, and things around it that are nobody's business."""
    report = tmp_path / "followups" / "network_study-0123456789ab" / "report"
    (report / "tables").mkdir(parents=True)
    (report / "index.html").write_text("<h1>Report</h1><script>alert(1)</script>")
    (report / "tables" / "effects.parquet").write_bytes(b"PAR1")
    (report / "notes.py").write_text("secret")
    (report.parent / "followup.json").write_text("{}")
    (tmp_path / "secret.html").write_text("secret")
    (report / "out.html").symlink_to(tmp_path / "secret.html")
    return tmp_path / "followups"


def test_a_report_is_served_without_scripts(followups: Path) -> None:
    app = Flask("reports", static_folder=None)
    reports.attach(app, followups)
    Guard(WebSettings(), csp=policy([])).attach(app)
    client = app.test_client()
    answer = client.get("/reports/network_study-0123456789ab/", headers={"Host": "localhost"})
    assert answer.status_code == 200
    rules = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in rules
    assert "sandbox" in rules
    assert "allow-scripts" not in rules
    assert "script-src" not in rules
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    table = client.get(
        "/reports/network_study-0123456789ab/tables/effects.parquet", headers={"Host": "localhost"}
    )
    assert "attachment" in table.headers["Content-Disposition"]
    missing = client.get("/reports/steering-1/", headers={"Host": "localhost"})
    assert missing.status_code == 404
    other = client.get("/reports/network_study-0123456789ab/", headers={"Host": "evil.example"})
    assert other.status_code == 403


@pytest.mark.parametrize(
    ("run", "file"),
    [
        ("network_study-0123456789ab", "../followup.json"),
        ("network_study-0123456789ab", "../../../secret.html"),
        ("network_study-0123456789ab", "/etc/passwd"),
        ("network_study-0123456789ab", "out.html"),
        ("network_study-0123456789ab", "notes.py"),
        ("network_study-0123456789ab", "tables"),
        ("network_study-0123456789ab", "a\0b.html"),
        ("network_study-0123456789ab", "x" * 5000 + ".html"),
        ("..", "secret.html"),
        ("", "index.html"),
        (".", "index.html"),
        ("a/../network_study-0123456789ab", "index.html"),
    ],
)
def test_nothing_else_of_the_machine_is_served(followups: Path, run: str, file: str) -> None:
    assert reports.report_file(followups, "network_study-0123456789ab") is not None
    assert reports.report_file(followups, run, file) is None


@pytest.mark.parametrize("name", ["", ".", "..", "a/..", "../builds", "a\\b", "a\0", "nothing"])
def test_the_folder_of_a_run_lies_in_the_folder_of_all(tmp_path: Path, name: str) -> None:
    (tmp_path / "builds" / "a").mkdir(parents=True)
    assert folder_of(tmp_path / "builds", "a") == tmp_path / "builds" / "a"
    assert folder_of(tmp_path / "builds", name) is None


def test_a_calibration_that_lacks_parts_is_shown_as_far_as_it_goes(tmp_path: Path) -> None:
    folder = tmp_path / "builds" / "run"
    folder.mkdir(parents=True)
    store: Any = SimpleNamespace(atlas=SimpleNamespace(folder=tmp_path))
    assert "not been calibrated" in str(calibration(store, {"run": "run"}))
    assert "not been calibrated" in str(calibration(store, {"run": ".."}))
    found = {"sae": "m/h/<b>", "split": None, "false": [{"kind": "topic"}]}
    for name, text in {"a": "[1]", "b": "{", "c": json.dumps(found)}.items():
        (folder / f"calibration-{name}.json").write_text(text)
    assert read_json(folder / "calibration-a.json") == {}
    assert read_json(folder / "nothing.json") == {}
    shown = str(calibration(store, {"run": "run"}))
    assert "False discoveries of c" in shown
    assert "halves" not in shown
    assert shown.count("cannot be read") == 2
