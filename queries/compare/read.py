"""Reads what two runs are compared by out of the graph, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.analysis.firing import fires
from atlas.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from atlas.graph.reader import Reader

_PAGE = 1000

_RUN = """
MATCH (r:Run {key: $run})
OPTIONAL MATCH (m:Model {key: r.model})
RETURN r.key AS key, r.model AS model, m.d_model AS d_model, r.corpus AS corpus,
       r.positions AS positions, r.state AS state
"""
# A feature that several runs have carries the numbers of the run loaded last. Whether it fires
# in an earlier one is told by that run's relationships.
_FEATURES = f"""
MATCH (r:Run {{key: $run}})<-[:FROM_RUN]-(f:Feature)-[:IN]->(s:Sae)
WITH f, s, coalesce(f.run = r.key, false) AS own
WHERE {fires("f")}
RETURN f.key AS key, f.index AS index, s.key AS sae, s.hook AS hook, f.label AS label,
       CASE WHEN own THEN f.firing_rate END AS rate,
       head(COLLECT {{
         MATCH (f)-[:MEMBER_OF]->(c:Community {{run: $run}})
         WHERE $partition IS NULL OR c.key STARTS WITH $run + '/' + $partition + '/'
         RETURN c.key ORDER BY c.key LIMIT 1
       }}) AS community
"""
_EDGES = """
UNWIND $keys AS key
MATCH (f:Feature {key: key})-[e:CO_OCCURS|IMPLIES|SIMILAR_TO|FEEDS {run: $run}]->(t:Feature)
WITH key, t, e, CASE WHEN e.absorption THEN 'absorption'
                     ELSE coalesce(e.kind, toLower(type(e))) END AS kind
RETURN key, collect([
  t.key, kind,
  CASE kind WHEN 'topic' THEN e.r_topic WHEN 'exclusive' THEN -e.phi_within
            WHEN 'similar_to' THEN e.cosine WHEN 'implies' THEN e.p_target_given_source
            WHEN 'absorption' THEN e.cosine
            ELSE e.phi END,
  e.phi, e.npmi, e.n, e.p_target_given_source, e.p_source_given_target
]) AS edges
"""
_DECODERS = """
UNWIND $keys AS key
MATCH (f:Feature {key: key})
RETURN key, f.decoder AS decoder
"""
_TOKENS = """
UNWIND $keys AS key
MATCH (f:Feature {key: key})-[r:FIRES_ON {run: $run}]->(t:Token)
RETURN key, collect([t.text, coalesce(r.score, 1.0)]) AS tokens
"""
DIRECTED = frozenset({"implies", "absorption", "feeds"})
"""Kinds of edges whose direction means something."""


@dataclass(frozen=True)
class Edges:
    """Edges of one kind.

    Attributes
    ----------
    source, target
        int32 ``[edges]``: places among the features.
    strength, phi, npmi
        float64 ``[edges]``, NaN where there is none. The strength is what the kind is ranked by:
        phi, r_topic (topic), -phi_within (exclusive), the cosine (similar_to) or the conditional
        probability (implies).
    """

    source: NDArray[np.int32]
    target: NDArray[np.int32]
    strength: NDArray[np.float64]
    phi: NDArray[np.float64]
    npmi: NDArray[np.float64]


@dataclass(frozen=True)
class Side:
    """One of the two runs: its features that fire, and what joins them.

    Attributes
    ----------
    run, model, corpus
        Keys of the run and the model, name of the corpus.
    d_model
        Width of the model, where the graph knows it.
    keys, saes, hooks, labels, communities
        Of each feature, in ascending order of (SAE, index).
    rate
        float64 ``[features]``: share of the positions where each fires; NaN where the graph
        no longer tells.
    edges
        By kind.
    """

    run: str
    model: str | None
    corpus: str | None
    d_model: int | None
    keys: list[str]
    saes: list[str]
    hooks: list[str | None]
    labels: list[str | None]
    communities: list[str | None]
    rate: NDArray[np.float64]
    edges: Mapping[str, Edges]


def read_side(reader: Reader, run: str, *, partition: str | None) -> Side:
    """Read one run.

    Raises
    ------
    UsageError
        It was not loaded to its end, or has no feature that fires.
    """
    what = f"Reading {run}"
    about = reader.read(_RUN, {"run": run}, what=what)[0]
    if about["state"] != "loaded":
        raise UsageError(
            f"The run {run} is not loaded in full (its state is {about['state']}).",
            hint="Run the same `atlas load` again, or `atlas runs drop`.",
        )
    rows = reader.read(_FEATURES, {"run": run, "partition": partition}, what=what)
    if not rows:
        raise UsageError(f"The run {run} has no feature that fires.", hint="Load its build again.")
    rows.sort(key=lambda row: (row["sae"], row["index"]))
    keys = [row["key"] for row in rows]
    edges, counts = _read_edges(reader, run, keys)
    rate = np.array([np.nan if row["rate"] is None else row["rate"] for row in rows])
    if about["positions"]:
        rate = np.where(np.isnan(rate), counts / about["positions"], rate)
    return Side(
        run=run,
        model=about["model"],
        corpus=about["corpus"],
        d_model=about["d_model"],
        keys=keys,
        saes=[row["sae"] for row in rows],
        hooks=[row["hook"] for row in rows],
        labels=[row["label"] for row in rows],
        communities=[row["community"] for row in rows],
        rate=rate,
        edges=edges,
    )


def read_decoders(reader: Reader, keys: Sequence[str]) -> NDArray[np.float32]:
    """Return the decoder vectors of features, float32 ``[features, d_model]``.

    Raises
    ------
    UsageError
        A feature has none, or they are of different length.
    """
    found: dict[str, NDArray[np.float32]] = {}
    for page in _pages(keys):
        for row in reader.read(_DECODERS, {"keys": page}, what="Reading decoder vectors"):
            if row["decoder"] is not None:
                found[row["key"]] = np.array(row["decoder"], np.float32)
    missing = [key for key in keys if key not in found]
    if missing:
        raise UsageError(
            f"{len(missing)} of {len(keys)} features have no decoder vector in the graph, the"
            f" first of them {missing[0]}.",
            hint="Build and load them with vectors, or match the features by tokens.",
        )
    if len({len(vector) for vector in found.values()}) > 1:
        raise UsageError(
            "The decoder vectors of one run are of different length.",
            hint="Match its features by tokens.",
        )
    return np.stack([found[key] for key in keys])


def read_tokens(reader: Reader, run: str, keys: Sequence[str]) -> list[dict[str, float]]:
    """Return the tokens that each feature fires on in a run, with their scores above 0."""
    found: dict[str, dict[str, float]] = {}
    for page in _pages(keys):
        for row in reader.read(_TOKENS, {"keys": page, "run": run}, what="Reading tokens"):
            tokens = found.setdefault(row["key"], {})
            for text, score in row["tokens"]:
                if score > 0:
                    tokens[text] = max(float(score), tokens.get(text, 0.0))
    return [found.get(key, {}) for key in keys]


def _read_edges(
    reader: Reader, run: str, keys: Sequence[str]
) -> tuple[dict[str, Edges], NDArray[np.float64]]:
    """Return the edges by kind, and the firings of each feature that its edges tell of."""
    place = {key: number for number, key in enumerate(keys)}
    firings = np.full(len(keys), np.nan)
    columns: dict[str, list[list[Any]]] = {}
    for page in _pages(keys):
        for row in reader.read(_EDGES, {"keys": page, "run": run}, what="Reading edges"):
            source = place[row["key"]]
            for other, kind, *numbers in row["edges"]:
                target = place.get(other)
                if target is None:
                    continue
                strength, phi, npmi, n, forward, backward = numbers
                of_kind = columns.setdefault(kind, [[], [], [], [], []])
                for column, value in zip(
                    of_kind, (source, target, strength, phi, npmi), strict=True
                ):
                    column.append(value)
                # The joint firings are this share of the feature's own.
                if kind not in DIRECTED and n and forward and backward:
                    firings[source], firings[target] = n / forward, n / backward
    return {kind: _edges(lists) for kind, lists in sorted(columns.items())}, firings


def _edges(columns: list[list[Any]]) -> Edges:
    source, target, *numbers = columns
    return Edges(
        np.array(source, np.int32),
        np.array(target, np.int32),
        *(np.array([np.nan if x is None else x for x in column], float) for column in numbers),
    )


def _pages(keys: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(keys), _PAGE):
        yield list(keys[start : start + _PAGE])
