"""Which properties features and edges have in the database, and of which types.

Those that a build brings have the types of its tables; those that were written later (scores,
labels, coordinates) are looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from atlas import schemas
from atlas.errors import UsageError
from atlas.formats.relations import RELATIONS
from atlas.formats.tables import EDGE_ENDS, NODE_KEY, RELATION
from atlas.formats.text import arrow_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pyarrow as pa

    from atlas.graph.reader import Reader

_NODE_NAMES = """
MATCH (f:Feature)-[:FROM_RUN]->(:Run {key: $run})
WITH DISTINCT keys(f) AS names UNWIND names AS name
RETURN DISTINCT name ORDER BY name
"""
_NODE_TYPES = """
MATCH (f:Feature)-[:FROM_RUN]->(:Run {key: $run})
UNWIND $names AS name
WITH name, f[name] AS value WHERE value IS NOT NULL
RETURN name, collect(DISTINCT valueType(value)) AS types ORDER BY name
"""
# The type of a relationship cannot be a parameter; it is one of RELATIONS.
_EDGE_NAMES = """
MATCH (:Feature)-[r:{relation} {{run: $run}}]->(:Feature)
WITH DISTINCT keys(r) AS names UNWIND names AS name
RETURN DISTINCT name ORDER BY name
"""
_EDGE_TYPES = """
MATCH (:Feature)-[r:{relation} {{run: $run}}]->(:Feature)
UNWIND $names AS name
WITH name, r[name] AS value WHERE value IS NOT NULL
RETURN name, collect(DISTINCT valueType(value)) AS types ORDER BY name
"""
_SCALARS = {"INTEGER": "int64", "FLOAT": "f64", "BOOLEAN": "bool", "STRING": "str"}
_LISTS = {"INTEGER": "int64s", "FLOAT": "f64s", "STRING": "strs", "NOTHING": "strs"}

_EDGE_KEY = "key"
"""Property of edges that is left out: run, ends and kind make it up."""


def node_schema(reader: Reader, run: str, *, keep: Sequence[str] | None) -> pa.Schema:
    """Return the columns of a run's features: the key, the SAE and their properties.

    Raises
    ------
    UsageError
        `keep` names a property that no feature has.
    """
    import pyarrow as pa

    names = [row["name"] for row in reader.read(_NODE_NAMES, {"run": run}, what="reading names")]
    known = {f.name: f.type for f in schemas.schema("features") if f.name in names}
    others = [name for name in names if name not in known]
    found = reader.read(_NODE_TYPES, {"run": run, "names": others}, what="reading types")
    types = known | {row["name"]: _type(row["types"]) for row in found}
    types.pop(NODE_KEY, None)
    chosen = {"sae": pa.string()} | _kept(types, keep, "feature", also=("sae",))
    if keep is not None and "sae" not in keep:
        chosen.pop("sae")
    return pa.schema([(NODE_KEY, pa.string()), *chosen.items()])


def edge_schema(
    reader: Reader, run: str, *, relations: Sequence[str], keep: Sequence[str] | None
) -> tuple[pa.Schema, dict[str, frozenset[str]]]:
    """Return the columns of a run's edges, and the properties that each relation has.

    Raises
    ------
    UsageError
        `keep` names a property that no edge has.
    """
    import pyarrow as pa

    merged: dict[str, pa.DataType] = {}
    has = {}
    for relation in relations:
        types = _edge_types(reader, run, relation)
        has[relation] = frozenset(types)
        for name, kind in types.items():
            merged[name] = kind if merged.get(name, kind) == kind else _common(kind, merged[name])
    merged = _kept(merged, keep, "edge", also=(RELATION,))
    start = [(name, pa.string()) for name in (*EDGE_ENDS, RELATION)]
    return pa.schema([*start, *merged.items()]), has


def _edge_types(reader: Reader, run: str, relation: str) -> dict[str, pa.DataType]:
    rows = reader.read(_EDGE_NAMES.format(relation=relation), {"run": run}, what="reading names")
    names = [row["name"] for row in rows if row["name"] != _EDGE_KEY]
    table = RELATIONS[relation].table
    fields = schemas.schema(table) if table else ()
    known = {f.name: f.type for f in fields if f.name in names}
    others = [name for name in names if name not in known]
    if not others:
        return known
    found = reader.read(
        _EDGE_TYPES.format(relation=relation), {"run": run, "names": others}, what="reading types"
    )
    return known | {row["name"]: _type(row["types"]) for row in found}


def _kept(
    types: dict[str, pa.DataType], keep: Sequence[str] | None, what: str, *, also: Iterable[str]
) -> dict[str, pa.DataType]:
    if keep is None:
        return types
    unknown = sorted(set(keep) - set(types) - {*also})
    if unknown:
        raise UsageError(
            f"No {what} of the run has the property {unknown[0]!r}.",
            hint=f"There are: {', '.join(sorted(types))}.",
        )
    return {name: kind for name, kind in types.items() if name in keep}


def _type(names: Sequence[str]) -> pa.DataType:
    """Return the Arrow type for what Neo4j's `valueType` says of a property's values."""
    kinds = {name.removesuffix(" NOT NULL") for name in names}
    lists = {
        name.removeprefix("LIST<").rstrip(">").removesuffix(" NOT NULL")
        for name in kinds
        if name.startswith("LIST<")
    }
    of, items = (_LISTS, lists) if lists else (_SCALARS, kinds)
    if lists and len(kinds) > len([name for name in kinds if name.startswith("LIST<")]):
        return arrow_type("str")
    items = items - {"NOTHING"} or {"NOTHING"}
    if items == {"INTEGER", "FLOAT"}:
        items = {"FLOAT"}
    return arrow_type(of.get(items.pop(), "str") if len(items) == 1 else "str")


def _common(a: pa.DataType, b: pa.DataType) -> pa.DataType:
    """Return a type that holds the values of both."""
    import pyarrow as pa

    if all(pa.types.is_integer(kind) for kind in (a, b)):
        return pa.int64()
    numbers = (pa.types.is_integer, pa.types.is_floating)
    if all(any(is_number(kind) for is_number in numbers) for kind in (a, b)):
        return pa.float64()
    return pa.string()
