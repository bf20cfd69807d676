"""Writes an analysis (scores and communities) into the graph, all or nothing."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from atlas.analysis.outputs import NodeScores
from atlas.analysis.properties import ANALYSIS_PROPERTIES, MEASURES, SCORE_PROPERTIES
from atlas.analysis.writing import RECORD, algorithm_row, batches
from atlas.graph.sessions import open_session

if TYPE_CHECKING:
    from collections.abc import Sequence

    import neo4j

    from atlas.analysis.communities import Community
    from atlas.analysis.outputs import AlgorithmResult

# A feature has the scores of one run: those that it has of another run all go.
_CLEAR_FEATURES = """
MATCH (f:Feature)-[:FROM_RUN]->(:Run {key: $run})
SET f += CASE WHEN f.scored_run <> $run THEN $all ELSE $mine END
"""
_CLEAR_COMMUNITIES = """
MATCH (c:Community {run: $run})
OPTIONAL MATCH (c)-[:PRODUCED_BY]->(a:AlgorithmRun)
DETACH DELETE c, a
"""
_CLEAR_ALGORITHMS = "UNWIND $keys AS key MATCH (a:AlgorithmRun {key: key}) DETACH DELETE a"
_MARK = "MATCH (r:Run {key: $run}) SET r.analysis = $mark"
_SCORES = """
UNWIND $rows AS row
MATCH (f:Feature {key: row.key})
SET f += row.scores, f.scored_run = $run
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
MERGE (f)-[m:MEMBER_OF]->(c) SET m.algorithm_run = $algorithm_run, m.stay = row.stay
"""


def write_analysis(
    driver: neo4j.Driver,
    run: str,
    *,
    measures: Sequence[AlgorithmResult],
    partition: AlgorithmResult,
    communities: Sequence[Community],
    mark: str | None = None,
    database: str | None = None,
) -> None:
    """Replace the analysis of a run by this one, in a single transaction.

    Parameters
    ----------
    driver, database
        Where to.
    run
        Key of the run; what other runs have stays, but for scores on features of both.
    measures
        Scores of the features, one `AlgorithmRun` each.
    partition
        What the communities were made from: the `AlgorithmRun` ``{run}/{algorithm}``.
    communities
        Nodes `Community`, with `MEMBER_OF` from their features.
    mark
        The property `analysis` of the Run: what was asked for.
    """
    produced_by = f"{run}/{partition.algorithm}"
    records = [
        {**algorithm_row(result), "key": f"{run}/{result.algorithm}", "property": result.algorithm}
        for result in measures
    ]
    records.append({**algorithm_row(partition), "key": produced_by, "property": "community"})
    rows = {
        _SCORES: _score_rows(measures),
        RECORD: records,
        _COMMUNITIES: [_community_row(community) for community in communities],
        _MEMBERS: [
            {"community": community.key, "feature": feature, "stay": stay}
            for community in communities
            for feature, stay in zip_longest(community.members, community.stay)
        ],
    }
    clear = {
        "mine": dict.fromkeys(ANALYSIS_PROPERTIES),
        "all": dict.fromkeys(SCORE_PROPERTIES),
        "keys": [*(f"{run}/{name}" for name in (*MEASURES, "leiden")), produced_by],
    }

    def work(tx: neo4j.ManagedTransaction) -> None:
        for statement in (_CLEAR_FEATURES, _CLEAR_COMMUNITIES, _CLEAR_ALGORITHMS, _MARK):
            tx.run(statement, {**clear, "run": run, "mark": mark}).consume()
        for statement, all_rows in rows.items():
            for batch in batches(all_rows):
                tx.run(statement, rows=batch, run=run, algorithm_run=produced_by).consume()

    with open_session(driver, database) as session:
        session.execute_write(work)


def _score_rows(measures: Sequence[AlgorithmResult]) -> list[dict[str, Any]]:
    """Return the scores of each feature, by its key."""
    columns = {
        name: dict(zip(result.keys, values.tolist(), strict=True))
        for result in measures
        if isinstance(result.output, NodeScores)
        for name, values in result.output.columns.items()
    }
    keys = sorted({key for values in columns.values() for key in values})
    return [
        {"key": key, "scores": {name: values.get(key) for name, values in columns.items()}}
        for key in keys
    ]


def _community_row(community: Community) -> dict[str, Any]:
    label = community.label
    return {
        "key": community.key,
        "number": community.number,
        "size": len(community.members),
        "stability": community.stability,
        "stable": community.stable,
        "label": label.label,
        "label_source": label.source,
        "top_tokens": label.top_tokens,
        "token_shares": label.token_shares,
        "top_words": label.top_words,
        "promoted": label.promoted,
    }
