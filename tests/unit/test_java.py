"""Which Java is taken, and which is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from atlas.errors import ServerError
from atlas.graph.java import find_java
from atlas.graph.server import ManagedServer

if TYPE_CHECKING:
    from pathlib import Path


def java_that_prints(path: Path, text: str) -> Path:
    """Make an executable that prints `text` to stderr, as ``java -version`` does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{text}\nEND\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("text", "major", "version"),
    [
        ('openjdk version "21.0.8" 2025-07-15', 21, "21.0.8"),
        ('openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime', 17, "17.0.15"),
        ('Picked up JAVA_TOOL_OPTIONS: -Xfoo\njava version "21" 2023-09-19', 21, "21"),
    ],
)
def test_supported_versions_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, major: int, version: str
) -> None:
    java = java_that_prints(tmp_path / "java", text)
    monkeypatch.setenv("ATLAS_JAVA", str(java))
    found = find_java()
    assert (found.path, found.major, found.version) == (java, major, version)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('java version "1.8.0_402"', r"is Java 1\.8\.0_402"),
        ('openjdk version "25-ea" 2025-09-16', "is Java 25-ea"),
        ("no version here", "does not say which Java it is"),
    ],
)
def test_other_versions_are_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.setenv("ATLAS_JAVA", str(java_that_prints(tmp_path / "java", text)))
    with pytest.raises(ServerError, match=said) as caught:
        find_java()
    assert "needs Java 17 or 21" in str(caught.value)
    assert "ATLAS_JAVA" in (caught.value.hint or "")


def test_explicit_java_that_is_absent_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATLAS_JAVA", str(tmp_path / "nothing"))
    with pytest.raises(ServerError, match="cannot be run: No such file"):
        find_java()


def test_java_home_is_an_explicit_java_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java = java_that_prints(tmp_path / "jdk" / "bin" / "java", 'openjdk version "21.0.1"')
    monkeypatch.setenv("ATLAS_JAVA", str(tmp_path / "jdk"))
    assert find_java().path == java


def test_the_java_of_this_environment_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ATLAS_JAVA", raising=False)
    assert find_java().major in (17, 21)


def test_start_with_a_wrong_java_remembers_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    java = java_that_prints(tmp_path / "java", 'java version "11.0.2"')
    monkeypatch.setenv("ATLAS_JAVA", str(java))
    server = ManagedServer(tmp_path / "home")
    with pytest.raises(ServerError, match=r"is Java 11\.0\.2"):
        server.start()
    assert server.status().state == "stopped"
    assert not server.folder.settings_file.exists()
    assert not server.folder.has_data()
