"""GraphML, written in batches and read back.

The type of a column stands in the ``desc`` of its key, since GraphML has neither lists nor nulls:
lists are JSON text and a null is left out. The graph's run and weights are JSON text too.
"""

from __future__ import annotations

import json
from typing import IO, TYPE_CHECKING, Any
from xml.etree.ElementTree import iterparse

from atlas.errors import ArtifactError
from atlas.formats.elements import Columns, Element, attributes, children, joined, local
from atlas.formats.tables import EDGE_ENDS, NODE_KEY, GraphInfo, GraphTables
from atlas.formats.text import XML_TYPES, as_text, type_name, xml_string, xml_text

if TYPE_CHECKING:
    import pyarrow as pa

    from atlas.formats.tables import GraphStream

_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n'
_INFO = "g0"
_KINDS = {"string": "str", "boolean": "bool", "int": "int64", "long": "int64"}
"""Types of columns without a ``desc``; all others are float64."""


def write_graphml(handle: IO[bytes], graph: GraphStream) -> tuple[int, int]:
    """Write a graph as GraphML; return the numbers of nodes and edges.

    Nodes come before edges, and a batch is held at a time.
    """
    node_keys = _keys(graph.nodes, "n", {NODE_KEY})
    edge_keys = _keys(graph.edges, "e", set(EDGE_ENDS))
    head = [
        _HEAD,
        f'<key id="{_INFO}" for="graph" attr.name="atlas" attr.type="string"/>\n',
        *(_key(graph.nodes, "node", name, ident) for name, ident in node_keys.items()),
        *(_key(graph.edges, "edge", name, ident) for name, ident in edge_keys.items()),
        f'<graph edgedefault="{"directed" if graph.info.directed else "undirected"}">\n',
        f'<data key="{_INFO}">{xml_string(json.dumps(graph.info.as_dict()))}</data>\n',
    ]
    handle.write("".join(head).encode())
    nodes = edges = 0
    for batch in graph.node_batches():
        handle.write(_rows(batch, "node", {NODE_KEY: "id"}, node_keys))
        nodes += batch.num_rows
    for batch in graph.edge_batches():
        handle.write(_rows(batch, "edge", {name: name for name in EDGE_ENDS}, edge_keys))
        edges += batch.num_rows
    handle.write(b"</graph>\n</graphml>\n")
    return nodes, edges


def _keys(schema: pa.Schema, prefix: str, without: set[str]) -> dict[str, str]:
    return {name: f"{prefix}{i}" for i, name in enumerate(schema.names) if name not in without}


def _key(schema: pa.Schema, domain: str, name: str, ident: str) -> str:
    kind = type_name(schema.field(name).type)
    return (
        f'<key id="{ident}" for="{domain}" attr.name="{xml_string(name)}" '
        f'attr.type="{XML_TYPES[kind]}"><desc>{kind}</desc></key>\n'
    )


def _rows(batch: pa.RecordBatch, tag: str, ends: dict[str, str], keys: dict[str, str]) -> bytes:
    cells = [
        (f'<data key="{ident}">', xml_text(as_text(batch[name])), "</data>")
        for name, ident in keys.items()
    ]
    opening = attributes(batch, ends)
    return joined(batch.num_rows, [f"<{tag}", *opening, ">", *cells, f"</{tag}>\n"])


def read_graphml(handle: IO[bytes]) -> GraphTables:
    """Read a GraphML file, of the atlas or of another program, into memory.

    Raises
    ------
    ArtifactError
        The file is not GraphML.
    """
    tables = {
        "node": Columns({"id": NODE_KEY}),
        "edge": Columns({name: name for name in EDGE_ENDS}),
    }
    directed, info = False, GraphInfo()
    # The parser fetches nothing from outside the file, and expat bounds what entities grow to.
    for event, element in iterparse(handle, events=("start", "end")):  # noqa: S314
        tag = local(element)
        if event == "start":
            if tag == "graph":
                directed = element.get("edgedefault") == "directed"
            continue
        if tag == "key":
            _declare(element, tables)
        elif tag == "data" and element.get("key") == _INFO:
            info = _info(element, info)
        elif tag in tables:
            values = {data.get("key", ""): data.text or "" for data in children(element, "data")}
            tables[tag].add(element, values)
        elif tag == "graphml":
            break
    else:
        raise ArtifactError(
            "The file is not GraphML.", hint="Give a file of `atlas export graphml`."
        )
    info = GraphInfo(**{**info.as_dict(), "directed": directed})
    return GraphTables(info, tables["node"].table(), tables["edge"].table())


def _declare(element: Element, tables: dict[str, Columns]) -> None:
    domain = element.get("for", "all")
    described = [desc.text for desc in children(element, "desc")]
    kind = (described or [None])[0] or _KINDS.get(element.get("attr.type", "string"), "f64")
    for name, columns in tables.items():
        if domain in (name, "all"):
            columns.declare(element.get("id", ""), element.get("attr.name", ""), kind)


def _info(element: Element, otherwise: GraphInfo) -> GraphInfo:
    try:
        values: dict[str, Any] = json.loads(element.text or "")
        return GraphInfo(**values)
    except (ValueError, TypeError):
        return otherwise
