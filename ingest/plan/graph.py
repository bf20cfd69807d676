"""Size of a build's graph in Neo4j.

Neo4j's formats ``standard`` and ``aligned`` keep fixed records: 15 bytes a node, 34 a relationship,
41 for every four blocks of properties, 128 for every 120 bytes of a text or list that is too long
for a block (knowledge base of Neo4j, "Understanding Neo4j's data on disk"). A number with a
fraction takes two blocks, a short text two or three, anything else one.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from atlas.schemas import PAIRS, schema
from ingest.plan import costs

if TYPE_CHECKING:
    from collections.abc import Mapping

NODE, RELATIONSHIP, RECORD, LONG = 15, 34, 41, 128
#: Bytes of a text or list in a record of its own.
PAYLOAD = 120
#: Blocks of a run's id, which relationships carry.
RUN_BLOCKS = 3
#: A feature's two vectors, as properties of its node and in the vector indexes.
VECTORS = 2 * 4 * (576 + 256)
#: An entry of an index beside its key; pages that grow in order are half full.
ENTRY = 24

#: Tables whose rows are nodes; those of `features`, `contexts` bring relationships of their own.
_NODES: Mapping[str, int] = MappingProxyType(
    {"features": 2, "contexts": 1, "documents": 0, "tokens": 0, "concepts": 0}
)
#: Columns that are no properties: they say which nodes a relationship joins.
_OF_NODES = frozenset({"sae", "document"})
_OF_RELATIONSHIPS = frozenset(
    {"source", "target", "feature", "token", "context", "relation", "concept"}
)
#: Mean bytes of the texts and lists that are longer than a block holds.
_LONG: Mapping[str, int] = MappingProxyType(
    {
        "key": 50, "text": 110, "tokens": 240, "top_tokens": 100, "top_words": 90,
        "promoted": 120, "suppressed": 120, "activations": 100,
    }
)  # fmt: skip
#: Keys of relationships between features name both.
_PAIR_KEY = 90


@dataclass(frozen=True)
class GraphSize:
    """Nodes, relationships and bytes of a graph.

    Attributes
    ----------
    nodes, relationships
        How many.
    store
        Bytes of the store with its indexes.
    logs
        Bytes of transaction logs that Neo4j keeps beside it for a while.
    """

    nodes: int
    relationships: int
    store: int
    logs: int

    def to_json(self) -> dict[str, int]:
        """Return the size as a JSON object."""
        return asdict(self)


def graph_size(rows: Mapping[str, int]) -> GraphSize:
    """Size of the graph of some tables.

    Parameters
    ----------
    rows
        Rows of each table.
    """
    nodes = sum(number for table, number in rows.items() if table in _NODES)
    own = sum(_NODES[table] * number for table, number in rows.items() if table in _NODES)
    joining = sum(n for table, n in rows.items() if table not in _NODES and table != "vectors")
    store = sum(number * row_bytes(table) for table, number in rows.items())
    logs = min(round(costs.LOG * store), costs.LOG_MOST)
    return GraphSize(nodes, own + joining, store, logs)


def row_bytes(table: str) -> int:
    """Bytes that a row of a table takes in the store, its key's place in an index included."""
    if table == "vectors":
        return VECTORS
    is_node, is_pair = table in _NODES, table in PAIRS
    left_out = _OF_NODES if is_node else _OF_RELATIONSHIPS
    blocks, long, index = 0 if is_node else RUN_BLOCKS, 0, 0
    for column in schema(table):
        if column.name in left_out:
            continue
        kind, held = str(column.type), _LONG.get(column.name, 0)
        blocks += 2 if kind in ("double", "string") and not held else 1
        long += LONG * -(-held // PAYLOAD)
    if is_pair:
        blocks, long = blocks + 1, long + LONG
    if is_node or is_pair:
        index = (ENTRY + (_PAIR_KEY if is_pair else _LONG["key"])) * 2
    own = NODE + _NODES[table] * RELATIONSHIP if is_node else RELATIONSHIP
    return own + RECORD * -(-blocks // 4) + long + index
