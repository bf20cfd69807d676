"""Which projections are allowed, and what a clean-up has to know."""

from __future__ import annotations

from typing import Any

import pytest

from atlas.analysis.projection import projection
from atlas.analysis.properties import SCORE_PROPERTIES, SCORE_RELATIONSHIPS
from atlas.errors import UsageError


def test_defaults() -> None:
    backbone = projection("r")
    assert (backbone.kinds, backbone.top_k, backbone.directed) == (("token",), 10, False)
    assert backbone.weights == {"token": "phi"}
    assert backbone.suffix == ""
    implies = projection("r", "implies")
    assert (implies.relationship, implies.top_k, implies.directed) == ("IMPLIES", 0, True)
    both = projection("r", kinds=("topic", "token"))
    assert both.weights == {"token": "phi", "topic": "r_topic"}
    assert both.suffix == "_token_topic"
    assert projection("r", "FEEDS", directed=False).directed is False


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"relationship": "HATES"}, "There are: CO_OCCURS"),
        ({"kinds": ("exclusive",)}, "no similarity"),
        ({"kinds": ("token", "exclusive")}, "no similarity"),
        ({"kinds": ("tokens",)}, "Take token or topic"),
        ({"relationship": "IMPLIES", "kinds": ("token",)}, "has no kinds"),
        ({"relationship": "IMPLIES", "top_k": 5}, "has no ranks"),
        ({"top_k": -1}, "Give 0"),
        ({"min_weight": -0.1}, "similarities"),
        ({"min_weight": float("nan")}, "similarities"),
        ({"weight": "p"}, "no weight 'p' that is a similarity"),
        ({"directed": True}, "has no direction"),
    ],
)
def test_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        projection("r", **given)


def test_what_a_clean_up_removes() -> None:
    known = "scored_run pagerank degree strength betweenness closeness eigenvector community"
    assert set(known.split()) <= set(SCORE_PROPERTIES)
    for name in ("core_topic", "leiden_levels", "fastrp_network", "authority_implies"):
        assert name in SCORE_PROPERTIES
    assert len(set(SCORE_PROPERTIES)) == len(SCORE_PROPERTIES)
    assert set(SCORE_RELATIONSHIPS) == {"NEAR", "SHARES_NEIGHBOURS", "MAY_JOIN"}
