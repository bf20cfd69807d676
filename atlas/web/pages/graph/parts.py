"""Parts of the graph page: legend, list of features, card of what is chosen, paths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dash_cytoscape as cyto
from dash import dcc, html

from atlas.web.pages.graph.address import path_query
from atlas.web.pages.graph.controls import ask_form
from atlas.web.pages.graph.elements import KINDS, OTHER, SIZES, community_colours, name_of
from atlas.web.parts import facts, feature_link, link, number, panel, show_cypher, table, tokens
from queries.catalogue import bind
from queries.catalogue import query as spec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from atlas.web.pages.graph.subgraph import Picture, View

    Row = Mapping[str, Any]

#: Edges of a feature that its card lists, and of the picture that the table has.
_LISTED, _ROWS = 12, 200


def canvas(shown: Any, laid: Any) -> Any:
    """Return the place of the picture, with its tip and its buttons."""
    said = "Picture of the graph. Its features are listed beside it, with buttons that choose and \
expand them, and its edges are in the table below it."
    # The colours come with the theme, when the picture is laid out already; the sizes do not.
    sizes = [{"selector": "node", "style": dict(SIZES)}]
    picture = cyto.Cytoscape(
        id="graph-cy", elements=shown, layout=laid, stylesheet=sizes, minZoom=0.05, maxZoom=4,
        responsive=True, clearOnUnhover=True, style={"width": "100%", "height": "100%"},
    )  # fmt: skip
    return html.Div(
        [
            html.Div(picture, role="img", className="canvas", **{"aria-label": said}),
            html.Div(id="graph-tip", className="tip"),
            html.Div([html.Button(text, id=f"graph-{name}", type="button",
                                  **{"aria-label": said_})
                      for name, text, said_ in (("in", "+", "Zoom in"), ("out", "−", "Zoom out"),
                                                ("fit", "▢", "Show all"))],
                     id="graph-zoom", className="zoom"),
        ],
        className="picture",
    )  # fmt: skip


def aside(nodes: Any) -> Any:
    """Return what stands beside the picture: the card of what is chosen, and the list."""
    return html.Aside(
        [
            html.Section([html.H2("Chosen"), html.Div(
                html.P("Choose a feature or an edge in the picture, or a feature in the list.",
                       className="dim"), id="graph-card", **{"aria-live": "polite"})],
                className="panel"),
            html.Section([html.H2("Features of the picture"), html.Div(nodes, id="graph-list")],
                         className="panel"),
        ]
    )  # fmt: skip


def bar(count: Any, here: str) -> Any:
    """Return the line above the picture: how much it is, its link, and files of it."""
    expands = dcc.Checklist(["Clicks expand"], ["Clicks expand"], id="graph-clicks", inline=True)
    buttons = (("undo", "Undo expanding"), ("png", "PNG"), ("svg", "SVG"), ("graphml", "GraphML"))
    return html.Div(
        [
            html.Span(count, id="graph-count", role="status"),
            dcc.Link("link to this view", href=here, id="graph-link"),
            expands,
            *(html.Button(text, id=f"graph-{name}", type="button") for name, text in buttons),
        ],
        className="graph-row",
    )


def legend(picture: Picture) -> Any:
    """Return what colours and lines mean, of the kinds and communities that are shown."""
    kinds = {row["kind"] for row in picture.edges}
    lines = [
        html.Span([_line(name), f"{name}: {kind.title}"], className="graph-kind")
        for name, kind in KINDS.items() if name in kinds
    ]  # fmt: skip
    labels = {row["community"]: row["community_label"] for row in picture.nodes}
    colours = community_colours(picture.nodes)
    dots = [
        html.Span([dot(colour), link("/communities", labels.get(key) or f"community {key}",
                                     key=key)], className="graph-kind")
        for key, colour in colours.items() if key
    ]  # fmt: skip
    if set(labels) - set(colours):
        dots.append(html.Span([dot(OTHER), "others, or none"], className="graph-kind"))
    return [html.Div(lines, className="legend"), html.Div(dots, className="legend"),
            html.P("Nodes are larger by PageRank, lines wider by strength within their kind.",
                   className="dim small")]  # fmt: skip


def dot(colour: str) -> Any:
    """Return a small disc of a colour."""
    return html.Span(className="graph-dot", style={"background": colour}, **{"aria-hidden": "true"})


def _line(name: str) -> Any:
    kind = KINDS[name]
    style = {"borderTop": f"3px {kind.line} {kind.colour}"}
    tip = {"color": kind.colour}
    arrow = [html.Span("▸", className="tip-of", style=tip)] if kind.arrow else []
    return html.Span([html.Span(className="line", style=style), *arrow], **{"aria-hidden": "true"})


def node_list(picture: Picture, view: View) -> Any:
    """Return the features of a picture, each with buttons that choose and expand it."""
    colours = community_colours(picture.nodes)
    items = [
        html.Li(
            [
                dot(colours.get(row["community"], OTHER)),
                feature_link(row["key"], row["label"]),
                html.Span(
                    [
                        _button("Show", "graph-show", row),
                        _button("Collapse" if row["key"] in view.expanded else "Expand",
                                "graph-expand", row),
                    ],
                    className="graph-buttons",
                ),
            ]
        )
        for row in picture.nodes
    ]  # fmt: skip
    return html.Ol(items, className="nodes")


def edge_table(picture: Picture) -> Any:
    """Return the strongest edges of a picture as a table: what the canvas shows, in words."""
    if not picture.edges:
        return html.P("No edge.", className="dim")
    names = {row["key"]: name_of(row) for row in picture.nodes}
    strongest = sorted(picture.edges, key=lambda edge: -abs(edge["strength"] or 0.0))[:_ROWS]
    rows = []
    for edge in strongest:
        a, b, kind = edge["source"], edge["target"], edge["kind"]
        why = link("/edge", KINDS[kind].title, a=a, b=b, kind=kind)
        rows.append([names[a], [f"{kind}: ", why], names[b], number(edge["strength"])])
    more = many(len(picture.edges), "edge")
    more += f", the strongest {_ROWS}" if len(picture.edges) > _ROWS else ", strongest first"
    return table(["from", "edge", "to", "strength"], rows, caption=f"Edges of the picture: {more}")


def _button(text: str, kind: str, row: Row) -> Any:
    return html.Button(
        text, id={"type": kind, "key": row["key"]}, type="button", className="graph-tiny",
        **{"aria-label": f"{text} {name_of(row)}"},
    )  # fmt: skip


def feature_card(picture: Picture, key: str) -> Any:
    """Return the card of a feature of the picture, with its edges in it."""
    row = next((row for row in picture.nodes if row["key"] == key), None)
    if row is None:
        return html.P("This feature is no longer in the picture.", className="dim")
    mine = [edge for edge in picture.edges if key in (edge["source"], edge["target"])]
    names = {node["key"]: node for node in picture.nodes}
    community = row["community"]
    joined = community and link("/communities", row["community_label"] or community, key=community)
    rows = []
    for edge in mine[:_LISTED]:
        other = edge["target"] if edge["source"] == key else edge["source"]
        named = link("/edge", name_of(names[other]), a=edge["source"], b=edge["target"],
                     kind=edge["kind"])  # fmt: skip
        rows.append([edge["kind"], named, number(edge["strength"])])
    more = f"Edges in the picture: {len(mine)}" + (
        f", the strongest {_LISTED}" if len(mine) > _LISTED else ""
    )
    return [
        html.H3(feature_link(key, row["label"])),
        html.P([link("/feature", "Feature page", key=key), " · ",
                link("/graph", "Begin here", key=key)]),
        facts([("fires on", tokens((row["top_tokens"] or [])[:8])),
               ("of positions", _percent(row["firing_rate"])),
               ("PageRank", _known(row["pagerank"])),
               ("domain", row["top_domain"]), ("community", joined or None)]),
        table(["kind", "with", "strength"], rows, caption=more) if rows else None,
    ]  # fmt: skip


def _known(value: float | None) -> str | None:
    return None if value is None else number(value)


def _percent(rate: float | None) -> str | None:
    return None if rate is None else f"{number(100 * rate)} %"


def edge_card(picture: Picture, given: Row) -> Any:
    """Return the card of an edge of the picture."""
    ends = (given.get("source"), given.get("target"), given.get("kind"))
    found = (e for e in picture.edges if (e["source"], e["target"], e["kind"]) == ends)
    edge = next(found, None)
    if edge is None:
        return html.P("This edge is no longer in the picture.", className="dim")
    names = {row["key"]: row for row in picture.nodes}
    kind = KINDS[edge["kind"]]
    a, b = edge["source"], edge["target"]
    return [
        html.H3(f"{edge['kind']}: {kind.title}"),
        html.P([feature_link(a, names[a]["label"]), " → " if kind.arrow else " – ",
                feature_link(b, names[b]["label"])]),
        html.P(link("/edge", "Edge page", a=a, b=b, kind=edge["kind"])),
        facts([(kind.strength, number(edge["strength"])), *(
            (name, number(edge[column]))
            for name, column in (("NPMI", "npmi"), ("phi", "phi"), ("positions with both", "n"),
                                 ("false discovery rate", "q"), ("rank of one", "rank_source"),
                                 ("rank of the other", "rank_target"))
            if edge[column] is not None and name != kind.strength)]),
    ]  # fmt: skip


def path_panel(view: View, *, statement: str, parameters: Row) -> Any:
    """Return the steps of paths as a table."""
    rows = [
        [place, row["step"], feature_link(row["key"], row["label"]), number(row["phi"]),
         number(row["n"]), number(row["strength"]) if "strength" in row else "–"]
        for place, chain in enumerate(view.path, start=1) for row in chain
    ]  # fmt: skip
    columns = ["path", "step", "feature", "phi to the step before", "positions with both",
               "strength so far"]  # fmt: skip
    body: Any = html.P("No chain of at most six edges joins them under these conditions.")
    if rows:
        body = table(columns, rows, caption="Steps of the paths")
    return panel("Paths", body, cypher=show_cypher(statement, parameters, place="graph-path"))


def statements(asked: Iterable[tuple[str, str, Row]]) -> Any:
    """Return the statements behind a picture."""
    return [
        html.Div([html.H3(title), show_cypher(text, given, place=f"graph-{place}")])
        for place, (title, text, given) in enumerate(asked)
    ]


def title(picture: Picture, wanted: View, query: Mapping[str, str]) -> str:
    """Return what is shown, in a few words."""
    names = {row["key"]: name_of(row) for row in picture.nodes}
    if wanted.centre:
        return f"Around {names[wanted.chosen[0]]}"
    if wanted.community:
        label = next((row["community_label"] for row in picture.nodes
                      if row["community"] == wanted.community), None)  # fmt: skip
        return f"Community {label or wanted.community}"
    if wanted.path or query.get("from"):
        a, b = wanted.ends
        return f"From {names[a]} to {names[b]}"
    return many(len(wanted.chosen), "feature")


def many(count: int, what: str) -> str:
    """Return a number of things in words."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def beside(wanted: View, query: Mapping[str, str]) -> Any:
    """Return links to the pages of what is shown, and the forms for something else."""
    links: list[Any] = []
    if wanted.centre:
        links = [link("/feature", "Feature page", key=wanted.chosen[0])]
    if wanted.community:
        links = [link("/communities", "Community page", key=wanted.community)]
    asks = html.Details([html.Summary("Show something else"), ask_form(query)], className="else")
    return html.Div([*links, asks], className="graph-beside")


def paths(wanted: View, query: Mapping[str, str]) -> Any:
    """Return the panel of paths, where an address asks for one."""
    if not (query.get("from") and query.get("to")) or wanted.centre or wanted.community:
        return None
    name, asked = path_query(query.get("by") or "shortest")
    ends = {**dict(zip("ab", wanted.ends, strict=True)), "run": wanted.run}
    given = bind(spec(name), {**ends, **asked})
    return path_panel(wanted, statement=spec(name).cypher, parameters=given)
