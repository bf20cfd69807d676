"""What `atlas doctor` finds, in processes of its own where the path matters."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from atlas.doctor import Check, examine
from atlas.ownership import PACKAGES, owners

ROOT = Path(__file__).resolve().parents[2]
REPORT = (
    "import json\nfrom dataclasses import asdict\nfrom atlas.ownership import owners\n"
    "print(json.dumps({k: asdict(v) for k, v in owners().items()}, default=str))"
)


def owners_with(*path: Path) -> dict[str, dict[str, Any]]:
    """Return the owners that a new Python finds with only `path` beside its own library."""
    result = subprocess.run(
        [sys.executable, "-S", "-c", REPORT],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))},
        cwd=path[0],
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, dict[str, Any]] = json.loads(result.stdout)
    return found


def package(path: Path, name: str) -> Path:
    folder = path / name
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    return folder


def dist_info(path: Path, name: str, version: str, *, packages: tuple[str, ...]) -> None:
    """Write the metadata that an installer leaves for a distribution."""
    folder = path / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (folder / "top_level.txt").write_text("".join(f"{p}\n" for p in packages))
    (folder / "RECORD").write_text("".join(f"{p}/__init__.py,,\n" for p in packages))


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder into which the atlas is installed."""
    path = tmp_path / "site"
    for name in ("ingest", "queries"):
        package(path, name)
    (path / "atlas").mkdir()
    for name in ("__init__.py", "ownership.py", "errors.py"):
        shutil.copy(ROOT / "atlas" / name, path / "atlas" / name)
    dist_info(path, "sae-feature-atlas", "0.1.0", packages=PACKAGES)
    return path


def test_packages_beside_each_other_are_their_own() -> None:
    found = owners()
    assert list(found) == ["atlas", "ingest", "queries"]
    for name, owner in found.items():
        assert owner.location == ROOT / name
        assert owner.problem is None or "is installed in" in owner.problem


def test_installed_packages_are_of_the_distribution(site: Path) -> None:
    for name, owner in owners_with(site).items():
        assert owner["problem"] is None
        assert owner["installed"] is True
        assert owner["version"] == "0.1.0"
        assert owner["location"] == str(site.resolve() / name)


@pytest.mark.parametrize("name", ["ingest", "queries"])
def test_folder_before_it_on_the_path_is_told(site: Path, tmp_path: Path, name: str) -> None:
    shadow = package(tmp_path / "work", name)
    owner = owners_with(tmp_path / "work", site)[name]
    assert owner["problem"] == f"{shadow} shadows {site / name}"
    assert "PYTHONPATH" in owner["cure"]


def test_other_distribution_with_the_name_is_told(site: Path) -> None:
    dist_info(site, "Other.Thing", "2.0", packages=("queries",))
    found = owners_with(site)
    assert "Other.Thing installs a package queries" in found["queries"]["problem"]
    assert found["ingest"]["problem"] is None


def test_source_tree_before_the_installed_one_is_told(site: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for name in PACKAGES:
        shutil.copytree(site / name, tree / name)
    found = owners_with(tree, site)
    for name in PACKAGES:
        assert f"is installed in {site.resolve()}" in found[name]["problem"]


def test_editable_install_is_its_own(site: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree with space"
    for name in PACKAGES:
        shutil.move(site / name, tree / name)
    info = next(site.glob("*.dist-info"))
    origin = {"url": tree.resolve().as_uri(), "dir_info": {"editable": True}}
    (info / "direct_url.json").write_text(json.dumps(origin))
    for owner in owners_with(tree, site).values():
        assert owner["problem"] is None
        assert owner["installed"] is True


def test_package_that_is_missing_is_told(site: Path) -> None:
    shutil.rmtree(site / "queries")
    assert "cannot be imported" in owners_with(site)["queries"]["problem"]


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment without database and without jars."""
    for variable in ("NEO4J_URI", "NEO4J_USERNAME", "NEO4J_PASSWORD", "NEO4J_DATABASE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.delenv("ATLAS_JAVA", raising=False)
    monkeypatch.setenv("ATLAS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "home"


def test_each_finding_that_is_not_right_has_its_cure(bare: Path) -> None:
    checks = examine(bare)
    assert {c.name for c in checks} >= {
        "Python",
        "package atlas",
        "package ingest",
        "package queries",
        "Java",
        "Neo4j and GDS jars",
        "GPU",
        "memory",
        "disk of the home",
        "disk of the cache",
        "database",
    }
    assert all((check.cure is None) == (check.level == "ok") for check in checks)
    assert by_name(checks)["Neo4j and GDS jars"].cure == "`atlas db start` downloads them (158 MB)."
    assert "atlas db start" in (by_name(checks)["database"].cure or "")
    assert not bare.exists(), "looking makes nothing"


def test_wrong_java_fails(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLAS_JAVA", "/nothing/java")
    check = by_name(examine(bare))["Java"]
    assert check.level == "fail"
    assert "ATLAS_JAVA" in (check.cure or "")


def test_other_server_that_does_not_answer_fails(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEO4J_URI", "bolt://127.0.0.1:1")
    assert by_name(examine(bare))["database"].level == "fail"  # no password
    monkeypatch.setenv("NEO4J_PASSWORD", "secret")
    found = by_name(examine(bare))
    assert found["database"].level == "fail"
    assert "Connection refused" in found["database"].found
    # The parts of the managed server are of no concern then.
    assert "Java" not in found


def test_too_little_memory_fails(bare: Path) -> None:
    settings = bare / "neo4j" / "settings.json"
    settings.parent.mkdir(parents=True)
    settings.write_text('{"bolt_port": 1111, "http_port": 2222, "memory": "1024t"}')
    check = by_name(examine(bare))["memory"]
    assert check.level == "fail"
    assert "--memory 1g" in (check.cure or "")
