"""Plans of statements that read, and of those that do something else."""

from __future__ import annotations

from typing import Any

import pytest

from atlas.errors import UsageError
from atlas.graph.guard import check_plan


def plan(*operators: tuple[str, str]) -> dict[str, Any]:
    """Return a plan as the driver gives it, each operator the child of the one before."""
    made: dict[str, Any] = {}
    for name, details in reversed(operators):
        child = [made] if made else []
        made = {"operatorType": f"{name}@neo4j", "args": {"Details": details}, "children": child}
    return made


@pytest.mark.parametrize(
    "called",
    [
        "db.labels() :: (label :: STRING)",
        "db.index.fulltext.queryNodes($autostring_0, $text) :: (node :: NODE)",
        "db.index.vector.queryNodes($autostring_0, 5, f.decoder) :: (node :: NODE)",
        "gds.pageRank.stream($autostring_0) :: (nodeId :: INTEGER)",
        "db.schema.nodeTypeProperties() :: ()",
    ],
)
def test_reading_calls_pass(called: str) -> None:
    check_plan("r", plan(("ProduceResults", "x"), ("ProcedureCall", called)), "it")


def test_a_plain_match_passes() -> None:
    check_plan("r", plan(("ProduceResults", "n"), ("NodeByLabelScan", "n:Run")), "it")
    check_plan("r", None, "it")


@pytest.mark.parametrize("kind", ["w", "rw", "s", None])
def test_what_is_no_reading_query_is_refused(kind: str | None) -> None:
    with pytest.raises(UsageError, match="it: this connection only reads, and the statement writ"):
        check_plan(kind, plan(("ProduceResults", "n")), "it")


@pytest.mark.parametrize(
    ("operator", "details", "reason"),
    [
        ("ProcedureCall", "gds.graph.project($a, $b, $c) :: ()", "makes a graph"),
        ("EagerAggregation", "gds.graph.project($autostring_0, f, NULL) AS x", "makes a graph"),
        ("ProcedureCall", "gds.graph.drop($a) :: ()", "calls gds.graph.drop"),
        ("ProcedureCall", "gds.pageRank.mutate($a) :: ()", "calls gds.pageRank.mutate"),
        ("ProcedureCall", "db.clearQueryCaches() :: ()", "calls db.clearQueryCaches"),
        ("ProcedureCall", "apoc.load.json($a) :: ()", "calls apoc.load.json"),
        ("Projection", "[x | COLLECT { ... ResolvedCall(gds.graph.drop,...) }]", "gds.graph.drop"),
        ("Projection", "[x | COLLECT { LOAD CSV FROM $a AS l }]", "LOAD CSV"),
        ("LoadCSV", "l", "LOAD CSV"),
        ("TerminateTransactions", "defaultColumns", "ends transactions"),
    ],
)
def test_other_deeds_are_refused_wherever_they_stand(
    operator: str, details: str, reason: str
) -> None:
    deep = plan(("ProduceResults", "x"), ("Apply", ""), (operator, details))
    with pytest.raises(UsageError, match=reason):
        check_plan("r", deep, "it")
