"""Every `atlas` command in a shell block of the README and the docs runs.

A ``sh`` block needs no more than an atlas: its commands are run. A ``console`` block needs a model,
a corpus or files of the reader's: its commands and their options exist; tests/demo runs those that
the demo has all for.
"""

from __future__ import annotations

import shlex
from itertools import takewhile

import pytest
from typer.testing import CliRunner

from atlas.cli import app
from tests.builds import write_build
from tests.pages import PAGES, shell_commands


def commands(kind: str) -> list[str]:
    """Return the commands of all pages' blocks of `kind`, each once."""
    return sorted({command for page in PAGES for command in shell_commands(page, kind)})


@pytest.fixture(scope="module")
def loaded(server, planted_atlas):
    write_build(server.home / "builds" / "synthetic")  # for commands that take a run's folder
    return server


def test_there_are_commands_to_run():
    assert len(commands("sh")) >= 10
    assert len(commands("console")) >= 50


def asked_for_help(words):
    """Have the program read a command with its options, and give its help in place of doing it."""
    return CliRunner().invoke(app, [*words, "--help"])


@pytest.mark.parametrize("command", commands("console"))
def test_a_command_that_is_shown_exists_with_its_options(command):
    read = shlex.shlex(command, posix=True, punctuation_chars="|>&")
    read.whitespace_split = True
    words = list(takewhile(lambda word: not set(word) <= set("|>&"), read))
    done = asked_for_help(words[1:])
    assert done.exit_code == 0, done.output


def test_an_option_that_does_not_exist_is_found():
    assert asked_for_help(["runs", "list"]).exit_code == 0
    assert asked_for_help(["runs", "list", "--nothing"]).exit_code != 0
    assert asked_for_help(["nothing"]).exit_code != 0


@pytest.mark.db
@pytest.mark.parametrize("command", commands("sh"))
def test_the_command_runs(command, loaded, tmp_path, monkeypatch):
    words = shlex.split(command)[1:]
    monkeypatch.setenv("ATLAS_HOME", str(loaded.home))
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, f"{command}\n{done.output}\n{done.exception}"
    assert done.stdout.strip()
