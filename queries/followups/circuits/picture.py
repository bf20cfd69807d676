"""A circuit as a picture: one SVG file that needs nothing else, and a page around it.

Columns are the prompt's tokens, rows the hooks from below; the output is on top.
"""

from __future__ import annotations

from collections import defaultdict
from html import escape
from itertools import pairwise
from math import sqrt
from typing import TYPE_CHECKING, Any

from queries.followups.circuits.file import circuit_row
from queries.followups.circuits.layout import BOTTOM, LETTER, TOP, cut, place_nodes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from queries.followups.circuits.layout import Layout
    from queries.followups.evidence import Evidence

    Row = Mapping[str, Any]

_STYLE = """
.c{--paper:#fff;--ink:#1b1f24;--soft:#67707b;--line:#e3e6ea;--plus:#2166ac;--minus:#c4500b;
--node:#4b5563;--error:#a3762b;font:12px system-ui,-apple-system,"Segoe UI",sans-serif}
@media(prefers-color-scheme:dark){.c{--paper:#14171b;--ink:#e7eaee;--soft:#9aa4b0;--line:#2b3138;
--plus:#6cb2f0;--minus:#f59355;--node:#c3cad3;--error:#d9ad60}}
.c .paper{fill:var(--paper)}.c text{fill:var(--ink)}.c .soft{fill:var(--soft);font-size:11px}
.c .band{stroke:var(--line);stroke-width:1}.c .edge{fill:none;stroke-linecap:round}
.c .plus{stroke:var(--plus)}.c .minus{stroke:var(--minus)}
.c .edge:hover{stroke-opacity:1;stroke-width:4}
.c .feature{fill:var(--node)}.c .error{fill:var(--error)}
.c .box{fill:var(--paper);stroke:var(--ink);stroke-width:1.2}
.c .mark{stroke:var(--paper);stroke-width:1.5}
.c .name{paint-order:stroke;stroke:var(--paper);stroke-width:4;stroke-linejoin:round;font-size:11px}
.c .title{font-size:14px;font-weight:600}.c .middle{text-anchor:middle}
"""


def draw_circuit(
    found: Evidence, *, prompt: str | None = None, labels: Mapping[str, str] | None = None
) -> str:
    """Draw the kept part of a circuit as SVG.

    Parameters
    ----------
    found
        Evidence of `queries.followups.circuits.trace.run`.
    prompt
        Which circuit, where there are several.
    labels
        Feature's key to its label; others are shown by their index.

    Raises
    ------
    UsageError
        The evidence is no circuit, or of several prompts, none of which is named.
    NotFoundError
        There is no such prompt.
    """
    about = circuit_row(found, prompt)
    nodes, edges = (
        [row for row in found.tables[name].to_pylist() if row["prompt"] == about["prompt"]]
        for name in ("circuit_nodes", "circuit_edges")
    )
    told = f"{about['value']:.3f}, probability {about['probability']:.3f}"
    title = f"{about['metric']} of {about['target']!r}: {told}"
    kept = [node for node in nodes if node["kept"]]
    return circuit_svg(kept, edges, title=title, output=about["target"], labels=labels)


def circuit_page(svg: str, *, title: str = "Circuit") -> str:
    """Return a page around a picture, which scrolls sideways where the prompt is long."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width"><meta name="color-scheme" '
        'content="light dark"><style>body{margin:0;overflow-x:auto}'
        "@media(prefers-color-scheme:dark){body{background:#14171b}}svg{display:block;"
        f"margin:auto}}</style>{svg}</html>\n"
    )


def circuit_svg(
    nodes: Sequence[Row],
    edges: Sequence[Row],
    *,
    title: str = "",
    output: str = "",
    labels: Mapping[str, str] | None = None,
) -> str:
    """Draw nodes and edges as SVG.

    The area of a mark follows its node's share of the influence, the width of an edge its absolute
    weight among those into the same hook. Colours follow the reader's light or dark scheme.

    Parameters
    ----------
    nodes, edges
        Rows of the tables ``circuit_nodes`` and ``circuit_edges`` of one prompt, with a token at
        every position and one output.
    title
        Line above the picture.
    output
        Text of the answer.
    labels
        Feature's key to its label; others are shown by their index.
    """
    names = {node["id"]: _name(node, output, labels or {}) for node in nodes}
    layout = place_nodes(nodes, names)
    size = f'width="{layout.width:.0f}" height="{layout.height:.0f}"'
    view = f'viewBox="0 0 {layout.width:.0f} {layout.height:.0f}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="c" role="img" {size} {view}>',
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        '<rect class="paper" width="100%" height="100%"/>',
        f'<text class="title" x="16" y="26">{escape(title)}</text>',
        *_rows(nodes, layout),
        *_edges(nodes, edges, layout, names),
        *_nodes(nodes, layout, names),
        *_legend(layout),
        "</svg>",
    ]
    return "\n".join(parts)


def _name(node: Row, output: str, labels: Mapping[str, str]) -> str:
    if node["kind"] == "feature":
        index: str = node["feature"].rpartition("/")[2]
        return labels.get(node["feature"]) or f"#{index}"
    return {"token": str(node["token"]), "logit": output}.get(node["kind"], "error")


def _rows(nodes: Sequence[Row], layout: Layout) -> list[str]:
    """Draw the rows' names at the left and lines between the columns."""
    hooks = {node["level"]: node["sae"].split("/")[-2] for node in nodes if node["sae"]}
    top = max(layout.rows)
    parts = []
    for level, y in layout.rows.items():
        hook = hooks.get(level)
        lines = ["tokens" if level < 0 else "output" if level == top and hook is None else ""]
        if hook:
            block, _, kind = hook.rpartition(".")
            lines = [block.replace("blocks.", "block "), kind.removeprefix("hook_")]
        parts += [
            f'<text class="soft" x="16" y="{y + 4 + 13 * k:.1f}">{escape(line)}</text>'
            for k, line in enumerate(lines)
        ]
    middles = list(layout.columns.values())
    bottom = layout.height - BOTTOM + 6
    return parts + [
        f'<line class="band" x1="{(a + b) / 2:.1f}" x2="{(a + b) / 2:.1f}" y1="{TOP - 14}" '
        f'y2="{bottom:.1f}"/>'
        for a, b in pairwise(middles)
    ]


def _edges(
    nodes: Sequence[Row], edges: Sequence[Row], layout: Layout, names: Mapping[str, str]
) -> list[str]:
    level = {node["id"]: node["level"] for node in nodes}
    largest: dict[int, float] = defaultdict(float)
    for edge in edges:
        at = level[edge["target"]]
        largest[at] = max(largest[at], abs(edge["weight"]))
    parts = []
    for edge in sorted(edges, key=lambda edge: abs(edge["weight"])):
        (x1, y1), (x2, y2) = (layout.places[edge[end]] for end in ("source", "target"))
        part = abs(edge["weight"]) / (largest[level[edge["target"]]] or 1)
        bend = max(24.0, abs(y1 - y2) / 2)
        hover = f"{names[edge['source']]} → {names[edge['target']]}: {edge['weight']:+.4g}"
        parts.append(
            f'<path class="edge {"plus" if edge["weight"] >= 0 else "minus"}" '
            f'd="M{x1:.1f} {y1:.1f}C{x1:.1f} {y1 - bend:.1f} {x2:.1f} {y2 + bend:.1f} '
            f'{x2:.1f} {y2:.1f}" stroke-width="{0.5 + 4.5 * part:.2f}" '
            f'stroke-opacity="{0.12 + 0.63 * part:.2f}"><title>{escape(hover)}</title></path>'
        )
    return parts


def _nodes(nodes: Sequence[Row], layout: Layout, names: Mapping[str, str]) -> list[str]:
    inner = [node["share"] for node in nodes if node["kind"] in {"feature", "error"}]
    largest = max(inner, default=1.0) or 1.0
    parts = []
    for node in nodes:
        x, y = layout.places[node["id"]]
        name = names[node["id"]]
        hover = f"<title>{escape(_hover(node, name))}</title>"
        if node["kind"] in {"token", "logit"}:
            wide = len(cut(name)) * LETTER + 14
            parts.append(
                f'<g>{hover}<rect class="box" x="{x - wide / 2:.1f}" y="{y - 11:.1f}" rx="4" '
                f'width="{wide:.1f}" height="22"/><text class="middle" x="{x:.1f}" '
                f'y="{y + 4:.1f}">{escape(cut(name))}</text></g>'
            )
            continue
        r = 3 + 5 * sqrt(node["share"] / largest)
        if node["kind"] == "error":
            r *= 1.2
            way = f"M{x:.1f} {y - r:.1f}l{r:.1f} {r:.1f} {-r:.1f} {r:.1f} {-r:.1f} {-r:.1f}z"
            mark = f'<path class="error mark" d="{way}"/>'
        else:
            mark = f'<circle class="feature mark" cx="{x:.1f}" cy="{y:.1f}" r="{r:.1f}"/>'
        parts.append(
            f'<g>{hover}{mark}<text class="name" x="{x + 11:.1f}" y="{y + 4:.1f}">'
            f"{escape(cut(name))}</text></g>"
        )
    return parts


def _hover(node: Row, name: str) -> str:
    told = [name, node["feature"] or node["id"], f"token {node['position']}: {node['token']!r}"]
    told += [
        f"{what} {node[what]:.4g}"
        for what in ("activation", "attribution")
        if node[what] is not None
    ]
    if node["kind"] != "logit":
        told.append(f"{100 * node['share']:.1f} % of all influence")
    return "\n".join(told)


def _legend(layout: Layout) -> list[str]:
    y = layout.height - 14
    marks = [
        (f'<circle class="feature" cx="22" cy="{y - 4:.1f}" r="5"/>', 32, "feature"),
        (f'<path class="error" d="M92 {y - 10:.1f}l6 6 -6 6 -6 -6z"/>', 102, "error"),
        (f'<path class="edge plus" stroke-width="3" d="M146 {y - 4:.1f}h18"/>', 170, "raises"),
        (f'<path class="edge minus" stroke-width="3" d="M216 {y - 4:.1f}h18"/>', 240, "lowers"),
    ]
    return [
        f'{mark}<text class="soft" x="{x}" y="{y:.1f}">{name}</text>' for mark, x, name in marks
    ]
