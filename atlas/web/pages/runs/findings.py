"""Panels of an experiment, a study or an attribution: what it found, and on which prompts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dash import html

from atlas.errors import ArtifactError
from atlas.web.loading import ask, read, rows_table
from atlas.web.pages.runs.folded import folded_json
from atlas.web.pages.runs.folders import folder_of
from atlas.web.parts import facts, feature_link, link, number, panel, table

if TYPE_CHECKING:
    from atlas.web.loading import Asked
    from atlas.web.store import Row, Store

#: Rows of a table that are shown.
_SHOWN = 100
_EFFECTS = """
MATCH (r:Run {key: $run})<-[:FROM_RUN]-(i:Intervention)
OPTIONAL MATCH (i)-[:CAUSED]->(e:Effect)
WITH i, e ORDER BY abs(coalesce(e.change, 0.0)) DESC, e.key LIMIT $limit
RETURN i.key AS intervention, i.kind AS kind, i.strength AS strength, i.unit AS unit,
       COLLECT { MATCH (i)-[o:ON]->(f:Feature)
                 RETURN {key: f.key, label: f.label, strength: o.strength} ORDER BY f.key LIMIT 3
       } AS features, i.features AS count,
       e.metric AS metric, e.target AS target, e.baseline AS baseline, e.value AS value,
       e.change AS change, e.low AS low, e.high AS high, e.q AS q, e.prompts AS prompts
"""
_EXPLANATIONS = """
MATCH (r:Run {key: $run})<-[:FROM_RUN]-(x:Explanation)
RETURN x.players AS players, x.metric AS metric, x.target AS target, x.base AS base,
       x.value AS value, x.names AS names, x.values AS values,
       COLLECT { MATCH (x)-[:ON_PROMPT]->(p:Prompt) RETURN p.prompt LIMIT 1 }[0] AS prompt
ORDER BY x.key LIMIT $limit
"""
_PROMPTS = """
MATCH (:Run {key: $run})-[:USED]->(s:PromptSet)<-[:IN]-(p:Prompt)
RETURN s.key AS set, p.id AS id, p.prompt AS prompt, p.answer AS answer
ORDER BY id LIMIT $limit
"""
_KEPT = """
MATCH (r:Run {key: $run})
RETURN r.digest AS digest, r.versions AS versions, r.parameters AS parameters, r.counts AS counts,
       r.metric AS metric, r.aggregation AS aggregation
"""


def _done(store: Store, asked: Asked) -> Any:
    rows, cypher = read(store, _EFFECTS, run=asked["run"], limit=_SHOWN, place="effects")
    if not rows:
        return None
    body = [
        [_what(row), _metric(row), number(row["baseline"]), number(row["value"]),
         number(row["change"]), _interval(row), number(row["q"]), number(row["prompts"])]
        for row in rows
    ]  # fmt: skip
    heads = ["intervention", "metric", "without", "with", "change", "95 %", "q", "prompts"]
    caption = f"Largest changes first, up to {_SHOWN}"
    return panel("Effects", html.Div(table(heads, body, caption=caption), className="effects"),
                 cypher=cypher)  # fmt: skip


def _what(row: Row) -> list[Any]:
    strength = "" if row["strength"] is None or row["kind"] == "ablate" else \
        f" {row['strength']:+g} {row['unit'] or ''}"  # fmt: skip
    parts: list[Any] = [f"{row['kind']}{strength}: "]
    for one in row["features"]:
        parts += [feature_link(one["key"], one["label"]), " "]
    if row["count"] and row["count"] > len(row["features"]):
        parts.append(f"and {row['count'] - len(row['features'])} more")
    return parts


def _metric(row: Row) -> str:
    return f"{row['metric'] or '–'}" + (f" of {row['target']!r}" if row["target"] else "")


def _interval(row: Row) -> str:
    return "–" if row["low"] is None else f"{number(row['low'])} to {number(row['high'])}"


def _explanations(store: Store, asked: Asked) -> Any:
    rows, cypher = read(store, _EXPLANATIONS, run=asked["run"], limit=_SHOWN, place="explanations")
    if not rows:
        return None
    body = [
        [row["prompt"], row["players"], _metric(row), number(row["base"]), number(row["value"]),
         _largest(row)]
        for row in rows
    ]  # fmt: skip
    heads = ["prompt", "players", "metric", "without", "with", "largest values"]
    return panel("Explanations", table(heads, body, caption="SHAP values"), cypher=cypher)


def _largest(row: Row) -> str:
    each = sorted(zip(row["names"], row["values"], strict=False), key=lambda one: -abs(one[1]))
    return ", ".join(f"{name!r} {value:+.3g}" for name, value in each[:6])


def _findings(store: Store, asked: Asked) -> Any:
    rows, cypher = ask(store, "findings", run=asked["run"], limit=_SHOWN, place="findings")
    if not rows:
        return None
    columns = {"name": "finding", "verdict": "verdict", "estimate": "estimate", "low": "from",
               "high": "to", "p": "p", "q": "q", "n": "n", "unit": "unit"}  # fmt: skip
    return panel("Findings", rows_table("findings", rows, columns, caption="What was found"),
                 cypher=cypher)  # fmt: skip


def _texts(store: Store, asked: Asked) -> Any:
    """Return texts that were written, which are in the folder alone."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = folder_of(Path(store.atlas.followups), str(asked["run"]))
    if folder is None or not (folder / "texts.parquet").is_file():
        return None
    try:
        rows = pq.read_table(folder / "texts.parquet").slice(0, _SHOWN).to_pylist()
    except (OSError, pa.ArrowException) as what:
        # What pyarrow says has the path in it, which is nobody's business here.
        raise ArtifactError(
            f"The texts of {asked['run']} cannot be read: their file is damaged.",
            hint="`atlas replay` makes them again.",
        ) from what
    body = [[row["set"], number(row["strength"]), row["prompt"],
             html.Span(row["unsteered"], className="written"),
             html.Span(row["steered"], className="written")] for row in rows]  # fmt: skip
    heads = ["set", "strength", "prompt", "unsteered", "steered"]
    return panel("Texts", table(heads, body, caption=f"Side by side, up to {_SHOWN}"))


def _prompts(store: Store, asked: Asked) -> Any:
    rows, cypher = read(store, _PROMPTS, run=asked["run"], limit=_SHOWN, place="prompts")
    if not rows:
        return None
    body = [[row["id"], row["prompt"], row["answer"] or "–"] for row in rows]
    return panel("Prompts", table(["id", "prompt", "answer"], body, caption=rows[0]["set"]),
                 cypher=cypher)  # fmt: skip


def _kept(store: Store, asked: Asked) -> Any:
    rows, cypher = read(store, _KEPT, run=asked["run"], place="kept")
    row = rows[0] if rows else {}
    return panel(
        "Made from",
        facts([(name, row.get(name)) for name in ("digest", "metric", "aggregation")]),
        *(folded_json(title, row.get(name)) for title, name in
          (("Request, weights and prompts", "parameters"), ("Versions", "versions"),
           ("Rows in the graph", "counts"))),
        html.P(link("/console", "Ask more in the console", query="interventions")),
        cypher=cypher,
    )  # fmt: skip


EXPERIMENT = {
    "found": {"Findings": _findings, "Effects": _done, "Explanations": _explanations},
    "texts": {"Texts": _texts},
    "kept": {"Prompts": _prompts, "Made from": _kept},
}
"""Panels of an experiment, a study or an attribution."""
