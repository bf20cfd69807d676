"""Studies from a recipe: on the command line, into the graph, and their report again."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from atlas.api.studies import plan_study, report
from atlas.cli import app
from atlas.errors import UsageError
from queries.catalogue import run as ask
from queries.followups.evidence import open_evidence
from tests.integration.test_api_followups import HOOK, atlas, firing, home  # noqa: F401
from tests.integration.test_network_study import prompts, small

pytestmark = [pytest.mark.db, pytest.mark.lm]

RECIPE = """
kind = "network"
name = "tiny"
title = "Three topics"
about = "what the tests use"
model = "{model}"
saes = ["tiny={sae}"]

[prompts]
file = "topics.csv"
template = "{{text}}"
answer = "{{answer}}"
id = "{{id}}"

[parameters]
"""


@pytest.fixture(scope="module")
def recipe(home, tmp_path_factory):  # noqa: F811
    """A recipe of the tiny network study."""
    folder = tmp_path_factory.mktemp("recipe")
    request = small("m/h/s").model_dump(mode="json")
    given = {name: value for name, value in request.items()
             if name not in ("name", "prompts", "sae", "builds")}  # fmt: skip
    rows = [f'{p.id},"{p.prompt}","{p.answer}"' for p in prompts()]
    (folder / "topics.csv").write_text("\n".join(["id,text,answer", *rows]) + "\n")
    text = RECIPE.format(model=home / "model", sae=home / "tiny")
    lines = [f"{name} = {toml(value)}" for name, value in given.items() if value is not None]
    path = folder / "tiny.toml"
    path.write_text(text + "\n".join(lines) + "\n")
    return path


def toml(value):
    if isinstance(value, dict):
        inside = ", ".join(f"{key} = {toml(one)}" for key, one in value.items() if one is not None)
        return f"{{{inside}}}"
    return json.dumps(value)


@pytest.fixture(scope="module")
def studied(recipe, tmp_path_factory):
    """What the command printed and kept, without a database."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("ATLAS_HOME", str(folder))
        arguments = ["study", "network", str(recipe), "--no-load", "--json"]
        done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout), folder


def test_a_study_is_kept_with_its_report(studied):
    said, folder = studied
    assert said["folder"] == str(folder / "followups" / said["id"])
    assert not said["loaded"]
    page = folder / "followups" / said["id"] / "report" / "index.html"
    assert said["report"] == str(page)
    assert "Network study" in page.read_text("utf-8")
    kept = open_evidence(page.parent.parent)
    assert kept.tables["findings"].num_rows == len(said["findings"]) >= 4
    names = [finding["name"][:2] for finding in said["findings"]]
    assert {"H1", "H2", "H3"} <= set(names)


def test_its_report_is_written_again_without_a_model(studied, tmp_path):
    said, _ = studied
    done = CliRunner().invoke(app, ["study", "report", said["folder"], "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "index.html").read_bytes() == open(said["report"], "rb").read()  # noqa: PTH123, SIM115


def test_an_estimate_says_how_long_and_runs_nothing(recipe, tmp_path, monkeypatch):
    monkeypatch.setenv("ATLAS_HOME", str(tmp_path))
    done = CliRunner().invoke(app, ["study", "network", str(recipe), "--estimate", "--json"])
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)
    assert all(row["seconds"] >= 0 for row in rows)
    assert sum(row["seconds"] for row in rows) > 0
    assert not (tmp_path / "followups").exists()


def test_a_study_from_python_becomes_findings_in_the_graph(recipe, atlas):  # noqa: F811
    found = atlas.study(plan_study(recipe, builds=()))
    assert found.loaded
    rows = ask(atlas.reader, "findings", run=found.id)
    assert len(rows) == found.tables["findings"].num_rows
    concerned = [row for row in rows if row["features"]]
    assert concerned, "communities concern their members"
    feature = concerned[0]["concerns"][0]["feature"]
    names = [row["name"] for row in ask(atlas.reader, "findings", feature=feature)]
    assert concerned[0]["name"] in names
    assert atlas.replay(found.id).same


def test_other_follow_ups_have_no_report(atlas):  # noqa: F811
    steered = atlas.steer(3, [("the heart pumps", " blood")], strengths=(1.0,))
    with pytest.raises(UsageError, match="has no report"):
        report(steered.folder)


def test_shipped_studies_are_listed():
    done = CliRunner().invoke(app, ["study", "list", "--json"])
    assert done.exit_code == 0, done.output
    listed = {row["name"]: row["kind"] for row in json.loads(done.stdout)}
    assert {"athletes": "network", "continents": "network", "medical": "concept"}.items() <= (
        listed.items()
    )


def test_a_recipe_of_the_other_kind_is_refused(recipe):
    done = CliRunner().invoke(app, ["study", "concept", str(recipe)])
    assert done.exit_code == 1
    assert "network study" in str(done.exception or done.output)
