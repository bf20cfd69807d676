"""The users of the explorer's benchmark ask as the browser does: nobody runs it in between."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from benchmarks.explorer import Walk, views
from tests.builds import key

pytestmark = pytest.mark.db


@pytest.mark.parametrize("view", views(quote(key(0))), ids=lambda view: view[0])
def test_a_user_of_the_benchmark_gets_a_page_and_its_parts(explorer, view):
    walk = Walk(explorer, [key(0)], seed=0)
    assert walk.open(*view)
    assert walk.requests == len(walk.times) >= 1


def test_a_page_that_fails_counts_as_an_error(explorer):
    walk = Walk(explorer, [key(0)], seed=0)
    assert not walk.open("/feature", "?key=none")
