"""Files for Neo4j Browser: a style sheet, saved queries, and one file with all of them."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from atlas.bloom.looks import GREY, line_of, look_of, shown, text_colour

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from atlas.bloom.schema import GraphSchema
    from queries.header import QuerySpec

SAVED_COLUMNS = ("name", "description", "query", "id", "parentId", "isFolder")
"""Columns of the CSV file that the drawer Saved Cypher exports and imports."""

_ABOUT = """\
// The queries of the feature atlas; all of them only read. Values are parameters: change those of
// a line that begins with :param, and run it before the statement under it.
"""
_DIAMETER = 50
_DARKER = 0.8


def grass(schema: GraphSchema) -> str:
    """Return a graph style sheet (GraSS): colours, sizes and captions as in the perspective.

    Strings are in single quotes and there are no comments: Browser's reader knows neither others.
    """
    blocks = [
        _block("node", _node(GREY, 1) | {"font-size": "10px"}),
        _block(
            "relationship",
            _line(GREY, 1)
            | {"font-size": "8px", "padding": "3px", "text-color-external": "#000000"},
        ),
    ]
    for number, (label, properties) in enumerate(schema.labels.items(), start=1):
        look = look_of(label, number)
        captions = shown(look, properties)
        caption = f"{{{captions[0]}}}" if captions else "<type>"
        blocks.append(
            _block(f"node.{label}", _node(look.colour, look.size) | {"caption": f"'{caption}'"})
        )
    for kind in schema.types:
        line = line_of(kind)
        blocks.append(_block(f"relationship.{kind}", _line(line.colour, line.width)))
    return "\n".join(blocks)


def saved_cypher(queries: Iterable[QuerySpec]) -> str:
    """Return queries as the CSV file that Browser imports as saved Cypher.

    There is a folder for each group; each query is there twice, as a table and as a picture.
    """
    specs = list(queries)
    rows: list[tuple[str, str, str, int, int | str, str]] = []
    for group in dict.fromkeys(spec.group for spec in specs):
        folder = len(rows)
        rows.append((f"Atlas: {group}", f"Queries about {group}.", "", folder, "", "true"))
        for spec in (spec for spec in specs if spec.group == group):
            for title, statement in ((spec.title, spec.cypher), (_graph_title(spec), spec.graph)):
                text = f"// {title}\n{_parameters_comment(spec, statement)}{statement}"
                rows.append((title, spec.purpose, text, len(rows), folder, "false"))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(SAVED_COLUMNS)
    writer.writerows(rows)
    return out.getvalue()


def cypher_file(queries: Iterable[QuerySpec]) -> str:
    """Return queries with their parameters as one Cypher file, each ended by a semicolon."""
    parts = [_ABOUT]
    for spec in queries:
        purpose = "".join(f"// {line}\n" for line in _wrapped(spec.purpose))
        parts.append(f"// {spec.title}\n{purpose}{_example(spec)};\n{spec.cypher.rstrip(';')};\n")
    return "\n".join(parts)


def _example(spec: QuerySpec) -> str:
    return spec.example.splitlines()[0].strip()


def _parameters_comment(spec: QuerySpec, statement: str) -> str:
    return f"// First: {_example(spec)}\n" if "$" in statement else ""


def _graph_title(spec: QuerySpec) -> str:
    return f"{spec.title}, as a graph"


def _wrapped(text: str, width: int = 96) -> list[str]:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _node(colour: str, size: float) -> dict[str, str]:
    return {
        "diameter": f"{round(_DIAMETER * size)}px",
        "color": colour,
        "border-color": _darker(colour),
        "border-width": "2px",
        "text-color-internal": text_colour(colour),
    }


def _line(colour: str, width: float) -> dict[str, str]:
    return {
        "color": colour,
        "shaft-width": f"{round(2 * width)}px",
        "text-color-internal": text_colour(colour),
        "caption": "'<type>'",
    }


def _darker(colour: str) -> str:
    return "#" + "".join(f"{round(int(colour[i : i + 2], 16) * _DARKER):02X}" for i in (1, 3, 5))


def _block(selector: str, properties: Mapping[str, str]) -> str:
    lines = "".join(f"  {name}: {value};\n" for name, value in properties.items())
    return f"{selector} {{\n{lines}}}\n"
