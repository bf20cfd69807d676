"""The runs: builds, attributions, experiments and studies, and what each is made from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dash import dcc, html

from atlas.errors import NotFoundError
from atlas.web.loading import ask, later, load
from atlas.web.page import Page, Query
from atlas.web.pages.runs.findings import EXPERIMENT
from atlas.web.pages.runs.panels import ALL_RUNS, BUILD
from atlas.web.pages.runs.reports import PREFIX, attach, report_file
from atlas.web.parts import link, number, panel, show_cypher, table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dash import Dash

    from atlas.web.loading import Asked
    from atlas.web.store import Row, Store

    Groups = Mapping[str, Mapping[str, Callable[[Store, Asked], Any]]]

_ONE = """
MATCH (r:Run {key: $run})
RETURN r.key AS key, coalesce(r.kind, 'build') AS kind, r.name AS name, r.created AS created,
       r.model AS model, r.state AS state, r.notes AS notes,
       EXISTS { (r)<-[:FROM_RUN]-(:Finding) } AS study
"""
_KINDS = {"build": "Builds", "attribution": "Attributions", "intervention": "Experiments"}
#: Runs of a kind that are listed; the console has them all.
_LISTED = 200


def page(store: Store) -> Page:
    """Return the page."""
    return Page("/runs", "Runs", "Runs", lambda query: _layout(store, query))


def callbacks(app: Dash, store: Store) -> None:
    """Register the panels that are asked for later, and the reports."""
    load(app, store, page="runs-all", groups=ALL_RUNS)
    load(app, store, page="runs-build", groups=BUILD)
    load(app, store, page="runs-experiment", groups=EXPERIMENT)
    attach(app.server, store.atlas.followups)


def _layout(store: Store, query: Query) -> Any:
    key = query.get("key") or query.get("run")
    return _one(store, key) if key else _all(store)


def _all(store: Store) -> Any:
    rows, cypher = ask(store, "runs", edges=False, place="runs")
    parts = [
        panel(f"{title} ({len(some)})", _list(store, some[::-1], kind))
        for kind, title in _KINDS.items()
        if (some := [row for row in rows if row["kind"] == kind])
    ]
    if not parts:
        parts = [html.P("The atlas is empty."), html.Pre(html.Code("atlas demo"))]
    panels = [*parts, cypher, *later("runs-all", ALL_RUNS, {})]
    return [html.H1("Runs"), html.Div(panels, className="stack")]


def _list(store: Store, rows: Sequence[Row], kind: str) -> Any:
    """Return runs of a kind as a table, newest first."""
    counted = {"build": ("features", "communities")}.get(kind, ())
    heads = ["run", "created", "name", "model", "SAEs", *counted, "state"]
    reports = [_report_link(store, row["key"]) for row in rows[:_LISTED]]
    if any(reports):
        heads.append("report")
    body = []
    for row, report in zip(rows, reports, strict=False):
        saes = ", ".join(str(key).rpartition("/")[2] for key in row["saes"] or ())
        cells = [link("/runs", row["key"], key=row["key"]), str(row["created"] or "")[:10],
                 row["name"], row["model"], saes, *(number(row[name]) for name in counted),
                 row["state"]]  # fmt: skip
        body.append([*cells, report] if any(reports) else cells)
    more = f", the newest {_LISTED} of {len(rows):,}" if len(rows) > _LISTED else ""
    return table(heads, body, caption=f"{_KINDS[kind]}, newest first{more}")


def _report_link(store: Store, run: str) -> Any:
    if report_file(store.atlas.followups, run) is None:
        return None
    return html.A("report", href=f"{PREFIX}{run}/", target="_blank", rel="noopener")


def _one(store: Store, key: str) -> Any:
    rows = store.atlas.cypher(_ONE, run=key)
    if not rows:
        raise NotFoundError(f"The atlas has no run {key!r}.", hint="The page Runs lists them.")
    row = dict(rows[0])
    build = row["kind"] == "build"
    groups: Groups = BUILD if build else EXPERIMENT
    kept = None if build else store.atlas.followups / key
    return [
        html.H1(key),
        html.P([f"{_kind(row)} · {str(row['created'] or '')[:19]} · {row['model'] or ''} · ",
                f"{row['state']} · ", link("/runs", "all runs")], className="dim"),
        *_notes(row),
        html.Div(
            [
                _do(store, row, here=kept is not None and kept.is_dir()),
                *later(f"runs-{'build' if build else 'experiment'}", groups, {"run": key}),
            ],
            className="stack",
        ),
        show_cypher(_ONE, {"run": key}, place="run"),
    ]  # fmt: skip


def _kind(row: Row) -> str:
    if row["kind"] == "intervention":
        return f"{'study' if row['study'] else 'experiment'} ({row['name']})"
    return str(row["kind"])


def _notes(row: Row) -> list[Any]:
    return [html.Ul([html.Li(note) for note in row["notes"]], className="dim")] if row["notes"] \
        else []  # fmt: skip


def _do(store: Store, row: Row, *, here: bool) -> Any:
    """Return what can be done with a run: pages of it, its report, commands."""
    key = row["key"]
    if row["kind"] == "build":
        links = [link("/", "map", run=key), link("/communities", "communities", run=key),
                 link("/lab", "lab", run=key)]  # fmt: skip
        commands = [f"atlas runs show {key}", f"atlas verify {key}", f"atlas calibrate {key}"]
    elif row["kind"] == "intervention":
        links = [_report_link(store, key)]
        where = "its folder" if here else "what the graph has of it: its folder is not here"
        commands = [f"atlas replay {key}    # from {where}"]
    else:
        links, commands = [], [f"atlas runs show {key}"]
    return panel(
        "Go on",
        html.P([part for one in links if one for part in (one, " · ")][:-1]),
        html.Div(
            [
                html.Pre(html.Code("\n".join(commands)), id="run-commands", tabIndex=0,
                         **{"aria-label": "Commands"}),
                dcc.Clipboard(target_id="run-commands", title="Copy", className="copy"),
            ],
            className="command",
        ),
    )  # fmt: skip
