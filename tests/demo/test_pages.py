"""What the pages show runs on the demo atlas: ``make demo-test``, which CI runs.

Commands and code of a page are run in their order in one folder, as a reader would; only names of
runs, which depend on versions, are put in place of those that a page was written with.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from atlas import Atlas
from atlas.cli import app
from atlas.errors import NotFoundError
from tests.pages import NOTEBOOKS, PAGES, execute, page, python_blocks, shell_commands

if "ATLAS_DEMO_HOME" not in os.environ:
    pytest.skip("no demo atlas is at hand; `make demo-test` builds one", allow_module_level=True)

pytestmark = pytest.mark.timeout(1800)
HOME = Path(os.environ["ATLAS_DEMO_HOME"]).resolve()
PYTHON = (
    "README",
    "circuits",
    "communities",
    "followups",
    "maps",
    "mcp",
    "patching",
    "planning",
    "shap",
    "steering",
    "studies",
    "tutorial",
)
#: Blocks that need what the demo has not: a graph of both SAEs.
LEFT_OUT = {"circuits": 1}
#: What a page's commands begin with that are not run here, and why.
NOT_RUN = {
    "atlas serve": "does not end; tests/e2e",
    "atlas build": "needs a recipe and a model of the reader's; tests/integration/test_build.py",
    "atlas plan": "needs a recipe of the reader's; tests/integration/test_plan.py",
    "atlas import": "needs files of others; tests/integration/test_exports.py",
    "atlas export neuronpedia": "needs an SAE that Neuronpedia has; test_exports.py",
    "atlas label --litellm": "needs a language model that labels",
    "atlas edges-vs-causes": "takes an hour; tests/integration/test_causes.py",
    "atlas study concept medical": "takes a quarter of an hour; test_concept_study.py",
    "atlas concepts add": "needs a recipe of the reader's; test_add_concepts.py",
    "atlas db": "would take the atlas away from the tests; test_server.py",
}
CAPITALS = {
    "China": "Beijing",
    "Cuba": "Havana",
    "Egypt": "Cairo",
    "England": "London",
    "France": "Paris",
    "Germany": "Berlin",
    "Greece": "Athens",
    "Ireland": "Dublin",
    "Italy": "Rome",
    "Japan": "Tokyo",
    "Russia": "Moscow",
    "Spain": "Madrid",
}
_ID = re.compile(r"\b([a-z_]+)-[0-9a-f]{12}\b")


def run_id() -> str:
    [one] = [folder.name for folder in (HOME / "builds").glob("demo-*")]
    return one


def named(text: str, ids: dict[str, str]) -> str:
    """Put the names that things have here in place of those that a page shows."""
    text = re.sub(r"\bRUN\b", ids["demo"], text)
    return _ID.sub(lambda found: ids.get(found[1], found[0]), text)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Enter a folder with the reader's files, from which the atlas's are reached."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ATLAS_HOME", str(HOME))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    for name in ("builds", "followups"):
        (HOME / name).mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(HOME / name)
    tasks = [
        {"prompt": f"The capital of {country} is", "answer": f" {capital}", "foils": [" Oslo"]}
        for country, capital in CAPITALS.items()
    ]
    for name in ("capitals.jsonl", "task.jsonl"):
        (tmp_path / name).write_text("".join(f"{json.dumps(task)}\n" for task in tasks))
    return tmp_path


@pytest.mark.parametrize("name", PYTHON)
def test_the_code_of_a_page_runs(name, folder):
    blocks = python_blocks(page(name))
    kept = blocks[: len(blocks) - LEFT_OUT.get(name, 0)]
    script = folder / "page.py"
    script.write_text(named("\n".join(kept), {"demo": run_id()}))
    done = subprocess.run(
        [sys.executable, script.name], check=False, capture_output=True, text=True, timeout=1500
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def done():
    """Commands that have been run: what several pages show is run once."""
    return set[str]()


def is_run(command: str) -> bool:
    return not command.startswith(tuple(NOT_RUN))


@pytest.mark.parametrize(
    "path",
    [path for path in PAGES if any(map(is_run, shell_commands(path, "console")))],
    ids=lambda path: path.stem,
)
def test_the_commands_of_a_page_run(path, folder, done):
    ids = {"demo": run_id()}
    for shown in filter(is_run, shell_commands(path, "console")):
        command = named(shown, ids)
        if command in done:
            continue
        error, output = run(command)
        done.add(command)
        # Examples of the catalogue name layers, domains and circuits that this atlas has not.
        absent = path.stem == "catalogue" and isinstance(error, NotFoundError)
        assert error is None or absent, f"{command}\n{output}\n{error}"
        ids |= {found[1]: found[0] for found in _ID.finditer(output) if found[1] != "demo"}


def run(command: str) -> tuple[BaseException | None, str]:
    """Run a command in this process, which has read the libraries; one with a pipe in a shell.

    Returns what it failed with, and what it printed.
    """
    if "|" in shlex.split(command):
        try:
            done = subprocess.run(command, shell=True, check=True, capture_output=True, text=True)
        except subprocess.CalledProcessError as error:
            return error, error.stderr
        return None, done.stdout
    result = CliRunner().invoke(app, shlex.split(command)[1:])
    failed = None if result.exit_code == 0 else result.exception
    return failed, result.output


def test_every_command_that_is_not_run_is_shown():
    shown = [command for path in PAGES for command in shell_commands(path, "console")]
    for left_out in NOT_RUN:
        assert any(command.startswith(left_out) for command in shown), left_out


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, folder, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(folder / "ipython"))
    done = execute(path, folder)
    again = [cell for cell in done.cells if ".same" in cell.source]
    assert path.stem == "tour" or again
    for cell in again:
        assert cell.outputs[-1]["data"]["text/plain"].startswith("(True")


def test_what_the_pages_measured_is_in_the_graph(folder):
    with Atlas.connect() as atlas:
        assert {row["metric"] for row in atlas.effects(2032)} >= {"kl", "logit"}
