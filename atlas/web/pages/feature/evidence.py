"""Panels of the feature page: what was measured and explained of it, and where it is from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dash import html

from atlas.web.loading import Asked, ask, chance, empty, figure, read, rows_table, wide
from atlas.web.pages.feature.panels import rows_of, why
from atlas.web.parts import link, number, panel, table, tokens

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atlas.web.store import Row, Store

#: Metric of the follow-up that measures which tokens a feature promotes; see docs/steering.md.
_CENTRED = "centred_logit"
_TEXTS = """
MATCH (:Feature {key: $feature})<-[r:EXPLAINS]-(x:Explanation)
WHERE x.text IS NOT NULL
RETURN x.text AS text, x.method AS method, x.model AS model, x.score AS score,
       x.score_type AS measure, r.source AS source
ORDER BY coalesce(x.score, -1.0) DESC, x.key LIMIT 10
"""


def measured(store: Store, asked: Asked) -> Any:
    """Return the tokens that a feature was measured to promote and suppress, where it was."""
    rows, cypher = ask(store, "effects", place="measured", feature=str(asked["key"]),
                       metric=_CENTRED, limit=100)  # fmt: skip
    # The feature is taken out: what its ablation lowers, it promotes.
    rows = [row for row in rows if row["kind"] == "ablate" and row["features"] == 1]
    if not rows:
        said = empty("Not measured yet: ", html.Code("atlas promotion"),
                     " takes it out of its contexts and compares.")  # fmt: skip
        return panel("Promotion as measured", said, cypher=cypher)
    ordered = sorted((row for row in rows if row["change"]), key=lambda row: row["change"])
    sides = (
        ("Promotes", [row for row in ordered if row["change"] < 0]),
        ("Suppresses", [row for row in reversed(ordered) if row["change"] > 0]),
    )
    parts = [
        table(
            ["token", "logit with it less without", "95 % interval", "q"],
            [[tokens([row["target"] or ""]), number(-row["change"]),
              interval(row, sign=-1), chance(row["q"])] for row in some],
            caption=said,
        )
        for said, some in sides if some
    ]  # fmt: skip
    runs = sorted({row["run"] for row in rows})
    note = empty("Logits less their mean; from ", *(link("/runs", run, run=run) for run in runs))
    return panel("Promotion as measured", *parts, note, cypher=cypher)


def effects(store: Store, asked: Asked) -> Any:
    """Return what interventions on a feature changed, and what changed it."""
    key, limit = str(asked["key"]), rows_of(asked)
    rows, cypher = ask(store, "effects", place="effects", feature=key, limit=200)
    shown = [row for row in rows if row["metric"] != _CENTRED][: 2 * limit]
    parts: list[Any] = []
    if shown:
        parts += [html.H3("What interventions on it changed"), effect_table(shown), cypher]
    for name, head, one in (
        ("affects", "Features that it changes", "affected feature"),
        ("causes", "Features that change it", "feature intervened on"),
    ):
        found, statement = ask(store, name, place=name, feature=key, limit=limit)
        if found:
            columns = {"key": one, "metric": "metric", "change": "change", "q": "q",
                       "kind": "by", "strength": "strength", "prompts": "prompts"}  # fmt: skip
            made = rows_table(name, found, columns, caption="Largest change first.",
                              edge=lambda row: why(key, row["key"]))  # fmt: skip
            parts += [html.H3(head), made, statement]
    parts += _findings(store, key, limit)
    if not parts:
        said = "No intervention on it, and no study of it, is in the atlas."
        return panel("Known effects", empty(said), cypher=cypher)
    return wide(panel("Known effects", *parts))


def effect_table(rows: Sequence[Row]) -> Any:
    """Return effects of interventions as a table."""
    heads = ["metric", "change", "95 % interval", "q", "intervention", "prompts", "run"]
    body = [
        [
            _metric(row), figure(row["change"]), interval(row), chance(row["q"]), done(row),
            number(row["prompts"]), link("/runs", row["run"], run=row["run"]),
        ]
        for row in rows
    ]  # fmt: skip
    return table(heads, body, caption="With the intervention less without; by metric.")


def done(row: Mapping[str, Any]) -> str:
    """Return what was done, as one line."""
    parts = [row.get("kind") or "intervention"]
    if row.get("mode"):
        parts.append(str(row["mode"]))
    if row.get("strength") is not None and row.get("kind") != "ablate":
        parts.append(f"{number(row['strength'])} {row.get('unit') or ''}".strip())
    if (row.get("features") or 1) > 1:
        parts.append(f"({row['features']} features at once)")
    return " ".join(parts)


def interval(row: Mapping[str, Any], *, sign: int = 1) -> str:
    """Return the 95 % interval of a change, or of its opposite."""
    low, high = row.get("low"), row.get("high")
    if low is None or high is None:
        return "–"
    ends = sorted((sign * low, sign * high))
    return f"{figure(ends[0])} to {figure(ends[1])}"


def _metric(row: Mapping[str, Any]) -> Any:
    return [row["metric"], " ", tokens([row["target"]])] if row.get("target") else row["metric"]


def _findings(store: Store, key: str, limit: int) -> list[Any]:
    rows, cypher = ask(store, "findings", place="findings", feature=key, limit=limit)
    if not rows:
        return []
    body = [
        [row["name"], row["question"] or "–", row["verdict"] or "–", number(row["estimate"]),
         interval(row), chance(row["q"]), link("/runs", row["run"], run=row["run"])]
        for row in rows
    ]  # fmt: skip
    heads = ["finding", "question", "verdict", "estimate", "95 % interval", "q", "study"]
    return [html.H3("Findings of studies"),
            table(heads, body, caption="Newest study first."), cypher]  # fmt: skip


def explanations(store: Store, asked: Asked) -> Any:
    """Return explanations in words, and predictions that the feature was given a share of."""
    key, limit = str(asked["key"]), rows_of(asked)
    texts, cypher = read(store, _TEXTS, place="texts", feature=key)
    parts: list[Any] = []
    if texts:
        columns = {"text": "explanation", "method": "method", "model": "by", "score": "score",
                   "source": "source"}  # fmt: skip
        parts += [rows_table("", texts, columns, caption="In words, best score first."), cypher]
    shares, statement = ask(store, "explanations", place="explanations", feature=key, limit=limit)
    if shares:
        body = [
            [_metric(row), row["prompt"] or "–", number(row["share"]), number(row["base"]),
             number(row["value"]), row["method"]]
            for row in shares
        ]  # fmt: skip
        heads = ["explained", "prompt", "its share", "without all", "with all", "method"]
        parts += [table(heads, body, caption="Shapley values, newest first."), statement]
    if not parts:
        return panel("Explanations", empty("None was imported or computed."), cypher=cypher)
    return panel("Explanations", *parts)


def provenance(store: Store, asked: Asked) -> Any:
    """Return what made each property of a feature, taken together by what made them."""
    rows, cypher = ask(store, "provenance", place="provenance", feature=str(asked["key"]))
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["made_by"], row["maker"] or ""), []).append(row)
    heads = ["properties", "made by", "of", "when", "seed", "digest", "how"]
    body = [_maker(*maker, some) for maker, some in groups.items()]
    said = "What made each property of the feature."
    return wide(panel("Provenance", table(heads, body, caption=said), cypher=cypher))


def _maker(made_by: str, maker: str, rows: Sequence[Row]) -> list[Any]:
    first = rows[0]
    run = first["run"]
    return [
        ", ".join(row["property"] for row in rows),
        made_by,
        link("/runs", maker, run=run) if run else maker,
        str(first["created"] or "–")[:19].replace("T", " "),
        number(first["seed"]),
        digest(first["digest"]) or "–",
        details(first) or "–",
    ]


def digest(value: str | None) -> Any:
    """Return the beginning of a checksum, with all of it where it is pointed at."""
    return None if not value else html.Code(value[:12], title=value)


def details(row: Mapping[str, Any]) -> list[Any]:
    """Return parameters and versions, which are JSON, folded."""
    return [
        html.Details(
            [html.Summary(name.capitalize()), html.Pre(pretty(row[name]), tabIndex=0)],
            className="small",
        )
        for name in ("parameters", "versions")
        if row.get(name)
    ]


def pretty(text: str) -> str:
    """Return JSON with a line a value; other text as it is."""
    try:
        return json.dumps(json.loads(text), indent=1, ensure_ascii=False)
    except ValueError:
        return text
