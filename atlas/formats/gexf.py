"""GEXF 1.3, the format of Gephi, written in batches and read back.

The types of the columns stand as JSON text in the file's description, since readers of GEXF
disagree on its lists: lists are JSON text and a null is left out.
"""

from __future__ import annotations

import json
from typing import IO, TYPE_CHECKING, Any
from xml.etree.ElementTree import iterparse

from atlas.errors import ArtifactError
from atlas.formats.elements import Columns, attributes, children, joined, local
from atlas.formats.tables import EDGE_ENDS, NODE_KEY, GraphInfo, GraphTables
from atlas.formats.text import XML_TYPES, as_text, type_name, xml_string, xml_text
from atlas.formats.weights import weighted_edges

if TYPE_CHECKING:
    import pyarrow as pa

    from atlas.formats.tables import GraphStream

_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<gexf xmlns="http://gexf.net/1.3" version="1.3">\n'
_LABEL = "label"
_WEIGHT = "weight"
_KINDS = {"string": "str", "boolean": "bool", "integer": "int64", "long": "int64"}
"""Types of columns that the description does not name: text for lists, float64 for the rest."""


def write_gexf(handle: IO[bytes], graph: GraphStream) -> tuple[int, int]:
    """Write a graph as GEXF; return the numbers of nodes and edges.

    A node's ``label`` is its label, an edge's ``weight`` that of its relation and kind, unless the
    edges have a property of that name. Exclusive pairs have none.
    """
    kind = "directed" if graph.info.directed else "undirected"
    described = json.dumps({"types": _types(graph), **graph.info.as_dict()})
    head = [
        _HEAD,
        "<meta><creator>sae-feature-atlas</creator>",
        f"<description>{xml_string(described)}</description></meta>\n",
        f'<graph mode="static" defaultedgetype="{kind}">\n',
        _attributes(graph.nodes, "node", {NODE_KEY}),
        _attributes(graph.edges, "edge", set(EDGE_ENDS)),
        "<nodes>\n",
    ]
    handle.write("".join(head).encode())
    nodes = edges = 0
    for batch in graph.node_batches():
        handle.write(_nodes(batch))
        nodes += batch.num_rows
    handle.write(b"</nodes>\n<edges>\n")
    for batch in graph.edge_batches():
        handle.write(_edges(batch, graph.info))
        edges += batch.num_rows
    handle.write(b"</edges>\n</graph>\n</gexf>\n")
    return nodes, edges


def _types(graph: GraphStream) -> dict[str, dict[str, str]]:
    return {
        "node": {field.name: type_name(field.type) for field in graph.nodes},
        "edge": {field.name: type_name(field.type) for field in graph.edges},
    }


def _attributes(schema: pa.Schema, domain: str, without: set[str]) -> str:
    lines = [
        f'<attribute id="{i}" title="{xml_string(field.name)}" type="{_gexf_type(field.type)}"/>\n'
        for i, field in enumerate(schema)
        if field.name not in without
    ]
    return f'<attributes class="{domain}" mode="static">\n{"".join(lines)}</attributes>\n'


def _gexf_type(kind: pa.DataType) -> str:
    name = XML_TYPES[type_name(kind)]
    return "integer" if name == "int" else name


def _nodes(batch: pa.RecordBatch) -> bytes:
    names = {NODE_KEY: "id"} | ({_LABEL: _LABEL} if _LABEL in batch.schema.names else {})
    return _rows(batch, "node", attributes(batch, names), {NODE_KEY})


def _edges(batch: pa.RecordBatch, info: GraphInfo) -> bytes:
    import pyarrow.compute as pc

    opening: list[Any] = attributes(batch, {name: name for name in EDGE_ENDS})
    if _WEIGHT not in batch.schema.names:
        for name, mine in weighted_edges(batch, info):
            if name in batch.schema.names:
                text = as_text(pc.if_else(mine, batch[name], None))
                opening.append((f' {_WEIGHT}="', text, '"'))
    return _rows(batch, "edge", opening, set(EDGE_ENDS))


def _rows(batch: pa.RecordBatch, tag: str, opening: list[Any], without: set[str]) -> bytes:
    cells = [
        (f'<attvalue for="{i}" value="', xml_text(as_text(batch[name]), attribute=True), '"/>')
        for i, name in enumerate(batch.schema.names)
        if name not in without
    ]
    parts = [f"<{tag}", *opening, "><attvalues>", *cells, f"</attvalues></{tag}>\n"]
    return joined(batch.num_rows, parts)


def read_gexf(handle: IO[bytes]) -> GraphTables:
    """Read a GEXF file, of the atlas or of another program, into memory.

    Raises
    ------
    ArtifactError
        The file is not GEXF.
    """
    tables = {
        "node": Columns({"id": NODE_KEY}),
        "edge": Columns({name: name for name in EDGE_ENDS}),
    }
    directed, described, domain = False, dict[str, Any](), "node"
    # The parser fetches nothing from outside the file, and expat bounds what entities grow to.
    for event, element in iterparse(handle, events=("start", "end")):  # noqa: S314
        tag = local(element)
        if event == "start":
            if tag == "graph":
                directed = element.get("defaultedgetype") == "directed"
            elif tag == "attributes":
                domain = element.get("class", "node")
        elif tag == "description":
            described = _described(element.text or "")
        elif tag == "attribute":
            title = element.get("title", "")
            kinds = described.get("types", {}).get(domain, {})
            otherwise = _KINDS.get(element.get("type", ""), "f64")
            if "list" in element.get("type", ""):
                otherwise = "str"
            tables[domain].declare(element.get("id", ""), title, kinds.get(title, otherwise))
        elif tag in tables:
            found = (v for part in children(element, "attvalues") for v in part)
            tables[tag].add(element, {v.get("for", ""): v.get("value", "") for v in found})
        elif tag == "gexf":
            break
    else:
        raise ArtifactError("The file is not GEXF.", hint="Give a file of `atlas export gexf`.")
    described.pop("types", None)
    info = GraphInfo(**{**described, "directed": directed})
    return GraphTables(info, tables["node"].table(), tables["edge"].table())


def _described(text: str) -> dict[str, Any]:
    """Return what the atlas wrote into the description, or nothing for other programs' files."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) and "types" in found else {}
