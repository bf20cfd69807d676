"""The notebooks are kept as they should be; tests/demo runs them."""

from __future__ import annotations

import re

import pytest

from tests.pages import NOTEBOOKS

nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed (extra docs)")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_they_are_kept_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.cells[0].cell_type == "markdown"
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_they_name_no_place_of_a_machine(path):
    assert not re.search(r"/(?:home|root|tmp|work|Users)/", path.read_text("utf-8"))
