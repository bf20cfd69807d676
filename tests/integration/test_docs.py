"""Every `atlas` command in a shell block of the README and the docs runs."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ingest.load import load
from tests.builds import write_build

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands() -> list[str]:
    """Lines of ```sh blocks that begin with `atlas`, comments dropped."""
    lines = []
    for page in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(), flags=re.DOTALL):
            lines += [line.split("  #")[0].strip() for line in block.splitlines()]
    return sorted({line for line in lines if line.startswith("atlas ")})


@pytest.fixture(scope="module")
def loaded(server, driver):
    from atlas.analysis import analyse
    from tests.integration.conftest import empty

    empty(driver)
    folder = write_build(server.home / "builds" / "synthetic")
    run = load(driver, folder, database=server.connection().database).run
    analyse(driver, run, database=server.connection().database)
    return server


def test_there_are_commands_to_run():
    assert len(commands()) >= 10


@pytest.mark.db
@pytest.mark.parametrize("command", commands())
def test_the_command_runs(command, loaded, tmp_path):
    words = shlex.split(command)[1:]
    done = subprocess.run(
        [sys.executable, "-m", "atlas.cli", "--home", str(loaded.home), *words],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    assert done.stdout.strip()
