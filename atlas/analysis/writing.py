"""Writes the result of one algorithm into the graph, all or nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.analysis.algorithms import ALGORITHMS
from atlas.analysis.outputs import NodeScores, NodeVectors, Pairs, Partition, Scalars
from atlas.analysis.properties import levels_property
from atlas.errors import UsageError
from atlas.graph.failures import database_errors
from atlas.graph.sessions import open_session

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import neo4j

    from atlas.analysis.outputs import AlgorithmResult

BATCH = 5000
"""Rows a statement; a transaction has as many statements as it takes."""

_OTHERS = """
MATCH (f:Feature)-[:FROM_RUN]->(:Run {key: $run}) WHERE f.scored_run <> $run
RETURN f.scored_run AS run LIMIT 1
"""
_CLEAR = "MATCH (f:Feature)-[:FROM_RUN]->(:Run {key: $run}) SET f += $absent"
_SCORES = """
UNWIND $rows AS row
MATCH (f:Feature {key: row.key})
SET f += row.scores, f.scored_run = $run
"""
# The type of a relationship cannot be a parameter, so there is one statement for each.
_UNJOIN = {
    relation: f"MATCH ()-[r:{relation} {{algorithm_run: $algorithm_run}}]->() DELETE r"
    for relation in (a.relationship for a in ALGORITHMS.values() if a.relationship)
}
_JOIN = {
    relation: f"""
UNWIND $rows AS row
MATCH (s:Feature {{key: row.source}})
MATCH (t:Feature {{key: row.target}})
CREATE (s)-[r:{relation}]->(t)
SET r = row.scores, r.run = $run, r.algorithm_run = $algorithm_run
"""
    for relation in _UNJOIN
}
_FORGET = "MATCH (a:AlgorithmRun {key: $algorithm_run}) DETACH DELETE a"
RECORD = """
MATCH (r:Run {key: $run})
UNWIND $rows AS row
MERGE (a:AlgorithmRun {key: row.key}) SET a += row, a.run = $run, a.created = datetime()
MERGE (a)-[:USED]->(r)
"""
"""Makes an `AlgorithmRun` of each row."""

Row = dict[str, Any]


def write_result(
    driver: neo4j.Driver,
    run: str,
    result: AlgorithmResult,
    *,
    database: str | None = None,
) -> str:
    """Replace what the algorithm wrote before for the run, in a single transaction.

    Written: properties of the features (named for the columns of the output, and its suffix), or
    relationships between them; `scored_run`; and an `AlgorithmRun` with parameters, seed,
    versions, engine, exactness and time. Whoever is killed half-way leaves the old state.

    Parameters
    ----------
    driver, database
        Where to.
    run
        Key of the run.
    result
        What to write.

    Returns
    -------
    str
        Key of the `AlgorithmRun`: ``{run}/{name of the first property}``.

    Raises
    ------
    UsageError
        Features of the run hold scores of another run.
    DatabaseError
        The database fails; nothing was written.
    """
    name = f"{_first_name(result)}{result.suffix}"
    key = f"{run}/{name}"
    record = {**algorithm_row(result), "key": key, "property": name}

    def work(tx: neo4j.ManagedTransaction) -> None:
        _refuse_others(tx, run)
        tx.run(_FORGET, algorithm_run=key).consume()
        if isinstance(result.output, Pairs):
            _join(tx, run, result, key=key)
        else:
            _set_scores(tx, run, _score_rows(result))
        tx.run(RECORD, rows=[record], run=run).consume()

    with (
        database_errors(f"Writing {name} of {run}"),
        open_session(driver, database) as session,
    ):
        session.execute_write(work)
    return key


def _first_name(result: AlgorithmResult) -> str:
    """Return the name that the algorithm's record and its values go by."""
    output = result.output
    if isinstance(output, NodeScores):
        return next(iter(output.columns))
    if isinstance(output, NodeVectors | Partition):
        return output.name
    return result.algorithm


def _refuse_others(tx: neo4j.ManagedTransaction, run: str) -> None:
    other = tx.run(_OTHERS, run=run).single()
    if other is not None:
        raise UsageError(
            f"Features of {run} hold the scores of the run {other['run']}.",
            hint=f"Replace those with `atlas analyse {run}` first.",
        )


def _score_rows(result: AlgorithmResult) -> list[Row]:
    """Return the properties of each feature."""
    output = result.output
    columns: dict[str, Any] = {}
    if isinstance(output, NodeScores):
        columns = {name: values.tolist() for name, values in output.columns.items()}
    elif isinstance(output, NodeVectors):
        columns = {output.name: output.values.astype(np.float64).tolist()}
    elif isinstance(output, Partition):
        columns = {
            output.name: output.groups.tolist(),
            levels_property(output.name): output.levels.tolist(),
        }
    named = {f"{name}{result.suffix}": values for name, values in columns.items()}
    rows = zip(*named.values(), strict=True)
    if not named:
        return []
    return [
        {"key": key, "scores": dict(zip(named, row, strict=True))}
        for key, row in sorted(zip(result.keys, rows, strict=True))
    ]


def _set_scores(tx: neo4j.ManagedTransaction, run: str, rows: Sequence[Row]) -> None:
    if not rows:
        return
    tx.run(_CLEAR, run=run, absent=dict.fromkeys(rows[0]["scores"])).consume()
    for batch in batches(rows):
        tx.run(_SCORES, rows=batch, run=run).consume()


def _join(tx: neo4j.ManagedTransaction, run: str, result: AlgorithmResult, *, key: str) -> None:
    output = result.output
    relation = ALGORITHMS[result.algorithm].relationship
    if not isinstance(output, Pairs) or relation is None:
        return
    tx.run(_UNJOIN[relation], algorithm_run=key).consume()
    columns = {name: values.tolist() for name, values in output.columns.items()}
    ends = zip(output.source.tolist(), output.target.tolist(), strict=True)
    rows = [
        {
            "source": result.keys[source],
            "target": result.keys[target],
            "scores": {name: values[place] for name, values in columns.items()},
        }
        for place, (source, target) in enumerate(ends)
    ]
    for batch in batches(rows):
        tx.run(_JOIN[relation], rows=batch, run=run, algorithm_run=key).consume()


def algorithm_row(result: AlgorithmResult) -> Row:
    """Return the properties of an `AlgorithmRun`, without its key."""
    scalars: Row = {}
    if isinstance(result.output, Scalars):
        scalars = {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in result.output.values.items()
        }
    return {
        "algorithm": result.algorithm,
        "engine": result.engine,
        "parameters": _json(result.parameters),
        "projection": _json(result.projection),
        "top_k": result.projection.get("top_k"),
        "seed": result.seed,
        "concurrency": 1,
        "exact": result.exact,
        "milliseconds": round(1000 * result.seconds),
        **result.versions,
        **result.details,
        **scalars,
    }


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def batches(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Yield the rows in parts of `BATCH`."""
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]
