"""The Python of the docs: what a page shows is run, or at least is of names that exist.

The blocks of a page are run one after the other in one module, in a folder that has the files that
the page's text speaks of.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import shutil
from typing import Any

import numpy as np
import pandas as pd
import pytest

from atlas import Atlas
from tests.builds import key, write_build
from tests.pages import PAGES, page, python_blocks

#: Pages that run on the planted atlas; tests/demo runs others on the demo.
ON_THE_ATLAS = ("exports", "labels", "loading", "py2neo", "queries")


def names(tree: ast.AST) -> dict[str, Any]:
    """Return what a block imports, by the names it is imported as; absent things are errors."""
    found: dict[str, Any] = {"atlas": Atlas}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            module = importlib.import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")
                found[alias.asname or alias.name] = getattr(module, alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                found[alias.asname or alias.name] = importlib.import_module(alias.name)
    return found


def called(node: ast.expr, known: dict[str, Any]) -> Any:
    """Return what an expression calls, as far as it is known; None where it is not."""
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        of = known.get(node.value.id)
        return None if of is None else getattr(of, node.attr)
    return None


@pytest.mark.parametrize("path", [p for p in PAGES if python_blocks(p)], ids=lambda p: p.stem)
def test_what_a_page_imports_and_calls_exists(path):
    """Catch a name, a method or an option that the library no longer has."""
    known: dict[str, Any] = {}
    for text in python_blocks(path):
        tree = ast.parse(text)
        known |= names(tree)
        for node in ast.walk(tree):
            what = called(node.func, known) if isinstance(node, ast.Call) else None
            if not callable(what):
                continue
            options = inspect.signature(what).parameters
            if any(one.kind is one.VAR_KEYWORD for one in options.values()):
                continue
            given = {word.arg for word in node.keywords if word.arg}
            assert given <= options.keys(), f"{what} has no {given - options.keys()}"


def test_a_wrong_name_is_found():
    with pytest.raises(ImportError):
        names(ast.parse("from atlas import Nothing"))
    tree = ast.parse("atlas.nothing()")
    with pytest.raises(AttributeError):
        called(tree.body[0].value.func, {"atlas": Atlas})


@pytest.fixture
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(name: str) -> None:
    known: dict[str, Any] = {"__name__": "__main__"}
    for text in python_blocks(page(name)):
        exec(compile(text, f"{name}.md", "exec"), known)


@pytest.fixture
def one_heart(planted_atlas):
    """Label one feature as the pages name theirs."""
    renamed = "MATCH (f:Feature {key: $key}) SET f.label = $label"
    planted_atlas.driver.execute_query(renamed, key=key(0), label="heart")
    yield planted_atlas
    planted_atlas.driver.execute_query(renamed, key=key(0), label="heart 0")


@pytest.mark.db
@pytest.mark.parametrize("name", ON_THE_ATLAS)
def test_a_page_runs_on_the_planted_atlas(name, one_heart, server, in_a_folder, monkeypatch):
    monkeypatch.setenv("ATLAS_HOME", str(server.home))
    build = write_build(in_a_folder / "b")
    for named in re.findall(r'"(builds/[^"]+)"', "".join(python_blocks(page(name)))):
        shutil.copytree(build, in_a_folder / named)
    if name == "exports":
        one_heart.export("graphml", "atlas.graphml.gz")
    run(name)


def test_brought_codes_are_given_on_as_they_came(in_a_folder):
    rng = np.random.default_rng(0)
    fires = np.argwhere(rng.random((40, 16_384)) < 0.001)
    codes = pd.DataFrame(
        {
            "document": fires[:, 0] // 10,
            "position": fires[:, 0] % 10,
            "feature": fires[:, 1],
            "value": rng.gamma(2.0, 1.0, len(fires)),
        }
    ).astype({"value": "float32"})
    codes.to_parquet("codes.parquet")
    documents = pd.DataFrame({"document": range(4), "n_positions": 10})
    documents.to_parquet("documents.parquet")
    run("brought-codes")
    given = pd.read_parquet("given.parquet")[codes.columns]
    pd.testing.assert_frame_equal(given, codes, check_dtype=False)
