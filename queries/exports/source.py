"""Reads a selection of the graph in pages of features, so that it need not fit into memory.

A page is one short read transaction, which the driver retries. Within a page the edges are put in
the order of their ends, so that the same graph always gives the same file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from atlas.errors import UsageError
from atlas.formats.relations import CO_OCCURS, KIND_WEIGHTS, RELATIONS
from atlas.formats.tables import GraphInfo, GraphStream
from atlas.progress import SilentReporter
from queries.exports.properties import edge_schema, node_schema
from queries.exports.selection import Chosen, choose

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa

    from atlas.graph.reader import Reader, Row
    from atlas.progress import Reporter
    from queries.exports.selection import Selection

NODES_A_PAGE = 2000
SOURCES_A_PAGE = 200
"""Features whose edges are read at once; a build keeps some 64 to 128 edges of a feature."""

_NODES = """
UNWIND $keys AS key
MATCH (f:Feature {key: key})
RETURN key, [name IN $names | f[name]] AS properties
"""
_WHERE = """
WHERE ($kinds IS NULL OR $relation <> 'CO_OCCURS' OR r.kind IN $kinds)
  AND ($min_weight IS NULL
    OR r[$weights[CASE $relation WHEN 'CO_OCCURS' THEN r.kind ELSE '' END]] >= $min_weight)
  AND (NOT $mutual OR r.mutual)
  AND ($top_k IS NULL OR (r.rank_source <= $top_k AND r.rank_target <= $top_k))
  AND ($among IS NULL OR (s.key IN $among AND t.key IN $among))
"""
# The type of a relationship cannot be a parameter; it is one of RELATIONS.
_EDGES = """
UNWIND $keys AS key
MATCH (s:Feature {{key: key}})-[r:{relation} {{run: $run}}]->(t:Feature)
{where}
RETURN key AS source, t.key AS target, r.key AS key, [name IN $names | r[name]] AS properties
"""
_ENDS = """
MATCH (s:Feature)-[r:{relation} {{run: $run}}]->(t:Feature)
{where}
UNWIND [s.key, t.key] AS key
RETURN DISTINCT key
"""


def open_graph(
    reader: Reader, selection: Selection, *, reporter: Reporter | None = None
) -> GraphStream:
    """Return a selection of the graph; its features and edges are read when they are asked for.

    Parameters
    ----------
    reader
        The database.
    selection
        What part of which run.
    reporter
        Is told of the progress in features.

    Raises
    ------
    NotFoundError
        The run, a feature or a community is not there.
    UsageError
        The selection does not fit the run, for example a relation that has no ranks and a `top_k`.
    """
    chosen = choose(reader, selection)
    nodes = node_schema(reader, chosen.run, keep=selection.node_properties)
    edges, has = edge_schema(
        reader, chosen.run, relations=selection.types, keep=selection.edge_properties
    )
    present = [name for name in selection.types if has[name]]
    _check_conditions(selection, {name: has[name] for name in present})
    source = _Source(reader, selection, chosen, present, reporter or SilentReporter())
    chosen = chosen if selection.isolated else source.with_edges()
    source = _Source(reader, selection, chosen, present, reporter or SilentReporter())
    info = GraphInfo(
        run=chosen.run,
        directed=any(RELATIONS[name].directed for name in present),
        weights=source.usual_weights(),
        selection=selection.as_dict(),
    )
    return GraphStream(
        info, nodes, edges, lambda: source.node_batches(nodes), lambda: source.edge_batches(edges)
    )


def _check_conditions(selection: Selection, has: Mapping[str, frozenset[str]]) -> None:
    """Refuse a condition on properties that a relation does not have: it would drop all of it."""
    needed = {
        "mutual": ("mutual",) if selection.mutual else (),
        "top_k": ("rank_source", "rank_target") if selection.top_k else (),
        "weight": (selection.weight,) if selection.weight else (),
    }
    for relation, names in has.items():
        for option, properties in needed.items():
            missing = [name for name in properties if name not in names]
            if missing:
                raise UsageError(
                    f"Edges {relation} have no {missing[0]}, which {option} needs.",
                    hint=f"Leave out {option}, or the relation {relation}.",
                )


@dataclass(frozen=True)
class _Source:
    reader: Reader
    selection: Selection
    chosen: Chosen
    relations: Sequence[str]
    reporter: Reporter

    def weights(self, relation: str) -> dict[str, str | None]:
        """Return the property that is the weight, by kind (the empty text where there are none)."""
        usual: Mapping[str, str | None] = {"": RELATIONS[relation].weight}
        of_kind = KIND_WEIGHTS if relation == CO_OCCURS else usual
        return {kind: self.selection.weight or name for kind, name in of_kind.items()}

    def usual_weights(self) -> dict[str, str]:
        """Return the weight of each relation, that of its first kind which has one."""
        found: dict[str, str] = {}
        for relation in self.relations:
            kinds = self.selection.kinds if relation == CO_OCCURS else None
            by_kind = self.weights(relation)
            names = [n for k, n in by_kind.items() if n and (kinds is None or k in kinds)]
            if names:
                found[relation] = names[0]
        return found

    def parameters(self, relation: str) -> dict[str, Any]:
        """Return the values of the conditions."""
        selection = self.selection
        return {
            "run": self.chosen.run,
            "relation": relation,
            "kinds": None if selection.kinds is None else list(selection.kinds),
            "weights": self.weights(relation),
            "min_weight": selection.min_weight,
            "mutual": selection.mutual,
            "top_k": selection.top_k,
            "among": self.chosen.keys if self.chosen.part else None,
        }

    def with_edges(self) -> Chosen:
        """Return the choice without the features that have no edge in it."""
        ends: set[str] = set()
        for relation in self.relations:
            text = _ENDS.format(relation=relation, where=_WHERE)
            rows = self.reader.read(text, self.parameters(relation), what=f"reading {relation}")
            ends.update(row["key"] for row in rows)
        both = zip(self.chosen.keys, self.chosen.saes, strict=True)
        kept = [(key, sae) for key, sae in both if key in ends]
        return Chosen(self.chosen.run, [k for k, _ in kept], [s for _, s in kept], part=True)

    def node_batches(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """Yield the features with their properties, in their order."""
        names = [name for name in schema.names if name not in ("key", "sae")]
        saes = dict(zip(self.chosen.keys, self.chosen.saes, strict=True))
        for keys in self.pages("reading features", NODES_A_PAGE):
            rows = self.reader.read(_NODES, {"keys": keys, "names": names}, what="reading features")
            found = {row["key"]: row["properties"] for row in rows}
            yield _batch(
                schema,
                {"key": keys, "sae": [saes[key] for key in keys]},
                names,
                [found[key] for key in keys],
            )

    def edge_batches(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """Yield the edges in order of the places of their sources, targets and of the relation."""
        places = {key: place for place, key in enumerate(self.chosen.keys)}
        names = [n for n in schema.names if n not in ("source", "target", "relation")]
        for keys in self.pages("reading edges", SOURCES_A_PAGE):
            rows = [row for name in self.relations for row in self.page(name, keys, names)]
            rows = [row for row in rows if row["target"] in places]
            # Edges of one pair differ in their keys.
            rows.sort(key=lambda row: (places[row["source"]], places[row["target"]], row["key"]))
            ends = {n: [row[n] for row in rows] for n in ("source", "target", "relation")}
            if rows:
                yield _batch(schema, ends, names, [row["properties"] for row in rows])

    def page(self, relation: str, keys: Sequence[str], names: Sequence[str]) -> list[Row]:
        """Return the edges of one relation out of some features."""
        values = self.parameters(relation) | {"keys": list(keys), "names": list(names)}
        text = _EDGES.format(relation=relation, where=_WHERE)
        rows = self.reader.read(text, values, what=f"reading {relation}")
        return [row | {"relation": relation, "key": row["key"] or ""} for row in rows]

    def pages(self, title: str, size: int) -> Iterator[list[str]]:
        """Yield the keys in pages, and report progress."""
        keys = self.chosen.keys
        with self.reporter.step(title, len(keys)) as advance:
            for start in range(0, len(keys), size):
                yield keys[start : start + size]
                advance(min(start + size, len(keys)))


def _batch(
    schema: pa.Schema,
    start: Mapping[str, list[Any]],
    names: Sequence[str],
    rows: Sequence[Sequence[Any]],
) -> pa.RecordBatch:
    """Return rows of properties as a batch, after columns that are there already."""
    import pyarrow as pa

    columns: dict[str, Sequence[Any]] = dict(start)
    if names:
        columns |= zip(names, zip(*rows, strict=True), strict=True)
    return pa.RecordBatch.from_arrays(
        [_array(columns[field.name], field.type) for field in schema], schema=schema
    )


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    if pa.types.is_string(kind):
        values = [None if v is None else v if isinstance(v, str) else json.dumps(v) for v in values]
    elif pa.types.is_floating(kind):
        values = [None if v is None else float(v) for v in values]
    return pa.array(values, kind)
