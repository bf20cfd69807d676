"""Reads values out of a projection and writes an analysis into the graph, all or nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from atlas.analysis.communities import ALGORITHM
from atlas.graph.sessions import open_session

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import neo4j

    from atlas.analysis.centrality import AlgorithmResult
    from atlas.analysis.communities import Community
    from atlas.analysis.projection import Backbone

_BATCH = 5000

_NODE_KEYS = """
MATCH (f:Feature)-[:FROM_RUN]->(:Run {key: $run})
RETURN id(f) AS node, f.key AS key
"""

_CLEAR_FEATURES = """
MATCH (f:Feature)-[:FROM_RUN]->(:Run {key: $run})
REMOVE f.scored_run, f.pagerank, f.degree, f.strength, f.betweenness, f.closeness,
       f.eigenvector, f.community
"""
_CLEAR_COMMUNITIES = "MATCH (c:Community {run: $run}) DETACH DELETE c"
_CLEAR_ALGORITHMS = "MATCH (a:AlgorithmRun {run: $run}) DETACH DELETE a"
_SCORES = """
UNWIND $rows AS row
MATCH (f:Feature {key: row.key})
SET f += row.scores, f.scored_run = $run
"""
_ALGORITHMS = """
MATCH (r:Run {key: $run})
UNWIND $rows AS row
MERGE (a:AlgorithmRun {key: row.key}) SET a += row, a.run = $run, a.created = datetime()
MERGE (a)-[:USED]->(r)
"""
_COMMUNITIES = """
MATCH (a:AlgorithmRun {key: $algorithm_run})
UNWIND $rows AS row
MERGE (c:Community {key: row.key}) SET c += row, c.run = $run
MERGE (c)-[:PRODUCED_BY]->(a)
"""
_MEMBERS = """
UNWIND $rows AS row
MATCH (c:Community {key: row.community})
MATCH (f:Feature {key: row.feature})
SET f.community = c.key
MERGE (f)-[m:MEMBER_OF]->(c) SET m.algorithm_run = $algorithm_run
"""


def read_values(
    driver: neo4j.Driver,
    run: str,
    backbone: Backbone,
    *,
    properties: Sequence[str],
    database: str | None = None,
) -> dict[str, dict[str, float]]:
    """Return the node properties of a projection, by feature key.

    Returns
    -------
    dict
        Feature key -> property -> value.
    """
    with open_session(driver, database, read_only=True) as session:
        keys = session.execute_read(
            lambda tx: {row["node"]: row["key"] for row in tx.run(_NODE_KEYS, run=run)}
        )
    frame = backbone.gds.graph.node_properties.stream(backbone.graph, list(properties))
    columns = [frame[name].tolist() for name in properties]
    return {
        keys[node]: dict(zip(properties, values, strict=True))
        for node, *values in zip(frame["nodeId"].tolist(), *columns, strict=True)
    }


def write_analysis(
    driver: neo4j.Driver,
    run: str,
    *,
    scores: Mapping[str, Mapping[str, float]],
    algorithms: Sequence[AlgorithmResult],
    communities: Sequence[Community],
    shared: Mapping[str, Any],
    database: str | None = None,
) -> None:
    """Replace the analysis of a run by this one, in a single transaction.

    Parameters
    ----------
    driver, database
        Where to.
    run
        Key of the run; what other runs have stays.
    scores
        Feature key -> property -> value, written to the features.
    algorithms
        One node `AlgorithmRun` is made for each.
    communities
        Nodes `Community`, with `MEMBER_OF` from their features.
    shared
        Properties of every `AlgorithmRun`: `top_k` of the backbone and versions.
    """
    leiden = f"{run}/{ALGORITHM}"
    rows = {
        _SCORES: [{"key": key, "scores": _typed(scores[key])} for key in sorted(scores)],
        _ALGORITHMS: [{**_algorithm_row(run, result), **shared} for result in algorithms],
        _COMMUNITIES: [_community_row(community) for community in communities],
        _MEMBERS: [
            {"community": community.key, "feature": feature}
            for community in communities
            for feature in community.members
        ],
    }

    def work(tx: neo4j.ManagedTransaction) -> None:
        for statement in (_CLEAR_FEATURES, _CLEAR_COMMUNITIES, _CLEAR_ALGORITHMS):
            tx.run(statement, run=run).consume()
        for statement, all_rows in rows.items():
            for batch in _batches(all_rows):
                tx.run(statement, rows=batch, run=run, algorithm_run=leiden).consume()

    with open_session(driver, database) as session:
        session.execute_write(work)


def _typed(values: Mapping[str, float]) -> dict[str, float]:
    """Return a feature's scores with the count of its edges as a whole number."""
    return {name: int(x) if name == "degree" else float(x) for name, x in values.items()}


def _algorithm_row(run: str, result: AlgorithmResult) -> dict[str, Any]:
    written = "community" if result.property == ALGORITHM else result.property
    return {
        "key": f"{run}/{result.property}",
        "algorithm": result.algorithm,
        "property": written,
        "parameters": json.dumps(result.parameters, sort_keys=True, default=str),
        "seed": result.seed,
        "concurrency": result.parameters.get("concurrency"),
        "milliseconds": result.milliseconds,
        **result.details,
    }


def _community_row(community: Community) -> dict[str, Any]:
    label = community.label
    return {
        "key": community.key,
        "number": community.number,
        "size": len(community.members),
        "label": label.label,
        "label_source": label.source,
        "top_tokens": label.top_tokens,
        "token_shares": label.token_shares,
        "top_words": label.top_words,
        "promoted": label.promoted,
    }


def _batches(rows: Sequence[dict[str, Any]]) -> Iterator[Sequence[dict[str, Any]]]:
    for start in range(0, len(rows), _BATCH):
        yield rows[start : start + _BATCH]
