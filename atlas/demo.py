"""The demo: a real atlas in one command, and what a newcomer wants to see of it."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from atlas.api import Atlas
from atlas.build import build_atlas
from atlas.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from atlas.progress import Reporter

#: Words that a medical feature is looked up by; the first that marks a live one is shown.
MEDICAL = ("disease", "patients", "heart", "blood", "infection", "cancer", "symptoms")


def build_demo(*, reporter: Reporter | None = None) -> dict[str, Any]:
    """Build the demo atlas and gather what `render` shows.

    Returns
    -------
    dict
        ``build`` (see `atlas.build.build_atlas`), ``hubs`` (10 rows), ``communities`` (each with
        ``contexts`` of its members), ``feature`` (a medical one), ``neighbours`` of it, and
        ``browser`` (where to open Neo4j Browser).
    """
    built = build_atlas("demo", reporter=reporter)
    with Atlas.connect() as atlas:
        _place(atlas, built["run"], reporter=reporter)
        communities = atlas.communities(limit=8, run=built["run"])
        for community in communities:
            community["contexts"] = _contexts(atlas, community["key"])
        card = _medical_feature(atlas, built["run"])
        return {
            "build": built,
            "hubs": atlas.hubs(limit=10, run=built["run"]),
            "communities": communities,
            "feature": card,
            "neighbours": atlas.neighbours(card["key"], limit=10),
            "browser": _browser(),
        }


def _place(atlas: Atlas, run: str, *, reporter: Reporter | None) -> None:
    """Give the features places on a map, which the explorer begins with, unless they have them."""
    rows = atlas.cypher("MATCH (f:Feature {run: $run}) RETURN count(f.map_x) AS n", run=run)
    if rows[0]["n"] == 0 and find_spec("umap") is not None:
        atlas.layout(run, reporter=reporter)


def _contexts(atlas: Atlas, community: str, *, limit: int = 2) -> list[str]:
    """Contexts of a community's members of highest PageRank, the strongest of each."""
    rows = atlas.cypher(
        "MATCH (f:Feature)-[:MEMBER_OF]->(:Community {key: $community}) "
        "MATCH (f)-[r:FIRES_IN {rank: 1}]->(c:Context) "
        "RETURN c.text AS text, c.token AS token ORDER BY f.pagerank DESC, f.key LIMIT $limit",
        community=community,
        limit=limit,
    )
    return [_marked(row["text"], row["token"]) for row in rows]


def _marked(text: str, token: str) -> str:
    """Show a context on one line with the firing token in brackets (its last occurrence)."""
    at = text.rfind(token)
    bare = token.strip()
    if at >= 0 and bare:
        at = text.index(bare, at)
        text = f"{text[:at]}[{bare}]{text[at + len(bare) :]}"
    return " ".join(text.split())


def _medical_feature(atlas: Atlas, run: str) -> dict[str, Any]:
    """Return the best-connected feature that is marked by a medical word."""
    for word in MEDICAL:
        rows = atlas.cypher(
            "MATCH (f:Feature {run: $run})-[m:FIRES_ON {rank: 1}]->(t:Token) "
            "WHERE toLower(trim(t.text)) = $word AND f.degree > 0 "
            "RETURN f.key AS key ORDER BY f.strength DESC, f.key LIMIT 1",
            run=run,
            word=word,
        )
        if rows:
            return atlas.feature(rows[0]["key"], contexts=3).card()
    raise NotFoundError(
        "The demo atlas has no feature that a medical word marks.",
        hint="Look with `atlas query search --text heart`.",
    )


def _browser() -> dict[str, str | None]:
    from atlas.graph.server import ManagedServer

    if os.environ.get("NEO4J_URI"):
        return {"address": os.environ["NEO4J_URI"], "user": None, "password_file": None}
    status = ManagedServer().status()
    return {
        "address": status.browser,
        "user": status.username,
        "password_file": str(status.password_file),
    }


def render(shown: dict[str, Any], *, browser: bool = True, console: Console | None = None) -> None:
    """Print what `build_demo` gathered.

    Parameters
    ----------
    shown
        Its result.
    browser
        Whether to say how to open Neo4j Browser.
    console
        Where to print; standard output by default.
    """
    # Where there is no terminal rich would fold tables at 80 columns.
    out = console or Console(highlight=False, width=None if sys.stdout.isatty() else 110)
    built = shown["build"]
    out.print(
        f"\n[bold]{built['features']:,} features, {built['edges']:,} edges[/] tested on "
        f"{built['positions']:,} token positions of {built['documents']:,} documents "
        f"({built['tested_pairs']:,} pairs tested); {built['communities']} communities, "
        f"modularity {built['modularity']:.2f}. Done in {built['seconds']:.0f} s."
    )
    if built["communities_between_halves"] is not None:
        out.print(
            f"Communities of two halves of the documents agree to an adjusted Rand index of "
            f"{built['communities_between_halves']:.2f}; {built['stable_communities']} of the "
            "communities come again nearly whole (stable)."
        )
    out.print(_hub_table(shown["hubs"]))
    out.print("[bold]Communities[/], by what their features fire on")
    for row in shown["communities"]:
        stable = ", stable" if row["stable"] else ""
        out.print(f"  [cyan]{escape(row['label'] or '?')}[/]  ({row['size']} features{stable})")
        words = ", ".join(row["top_words"][:6])
        out.print(f"     tokens: {_tokens(row['top_tokens'][:8])}   words: {escape(words)}")
        for text in row["contexts"]:
            out.print(f"     … {escape(text)}", soft_wrap=True)
    card = shown["feature"]
    out.print(f"\n[bold]A medical feature[/]: {escape(card['label'] or '?')}  ({card['key']})")
    out.print(_neighbour_table(shown["neighbours"]))
    if browser:
        _print_next(out, shown)


def _tokens(tokens: Sequence[str]) -> str:
    return escape(" ".join(dict.fromkeys(t.strip() for t in tokens if t.strip())))


def _feature_table(
    title: str,
    rows: Sequence[dict[str, Any]],
    measures: Mapping[str, Callable[[dict[str, Any]], str]],
) -> Table:
    """Make a table of features: index, label, and a column for each measure."""
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for name in ("feature", "label"):
        table.add_column(name, overflow="fold")
    for name in measures:
        table.add_column(name, justify="right")
    for row in rows:
        shown = (measure(row) for measure in measures.values())
        table.add_row(row["key"].rsplit("/", 1)[-1], escape(row["label"] or ""), *shown)
    return table


def _hub_table(rows: Sequence[dict[str, Any]]) -> Table:
    measures = {
        "pagerank": lambda row: f"{row['pagerank']:.2f}",
        "degree": lambda row: f"{row['degree']:.0f}",
        "fires at": lambda row: f"{row['firing_rate']:.2%}",
    }
    return _feature_table("The ten most central features (PageRank)", rows, measures)


def _neighbour_table(rows: Sequence[dict[str, Any]]) -> Table:
    measures = {
        "together": lambda row: f"{row['n']:,}",
        "phi": lambda row: f"{row['phi']:.2f}",
        "NPMI": lambda row: f"{row['npmi']:.2f}",
        "lift": lambda row: f"{row['lift']:.0f}",
        "q": lambda row: f"{row['q']:.0e}",
    }
    return _feature_table("fires together with", rows, measures)


def _print_next(out: Console, shown: dict[str, Any]) -> None:
    browser = shown["browser"]
    out.print("\n[bold]Look further[/]")
    out.print("  Explorer        .venv/bin/atlas serve")
    out.print(f"  Neo4j Browser   {browser['address']}", soft_wrap=True)
    if browser["password_file"]:
        out.print(
            f"                  user {browser['user']}, password in {browser['password_file']}",
            soft_wrap=True,
        )
    index = shown["feature"]["key"].rsplit("/", 1)[-1]
    out.print("  Type there      MATCH p = (f:Feature)-[r:CO_OCCURS]-(g:Feature)", markup=False)
    out.print(f"                  WHERE f.index = {index} AND r.phi > 0.2 RETURN p", markup=False)
    out.print(f"  In a shell      .venv/bin/atlas query neighbours --feature {index}")
    out.print("                  .venv/bin/atlas query search --text heart")
    out.print("                  .venv/bin/atlas query            (lists all queries)")
