"""What a follow-up becomes in the graph: statements, and their rows made from its tables.

A `Run` of kind ``intervention`` has its prompts (`PromptSet` by ``USED``), its `Intervention`
nodes ``ON`` features with what they ``CAUSED``, ``AFFECTS`` between features, `Explanation` nodes
that credit players (``CREDITS``) with parts of a value, and the `Finding` nodes of a study, which
``CONCERNS`` joins to features. Everything is merged on keys.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from atlas.graph.values import as_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from queries.followups.evidence import Evidence

    Rows = list[dict[str, Any]]

RUN = """
MERGE (r:Run {key: $run.key}) SET r += $run, r.state = 'loading'
MERGE (s:PromptSet {key: $prompt_set.key}) SET s += $prompt_set
MERGE (r)-[:USED]->(s)
"""

_PROMPTS = """
UNWIND $rows AS row
MATCH (s:PromptSet {key: row.set})
MERGE (p:Prompt {key: row.values.key}) SET p += row.values
MERGE (p)-[:IN]->(s)
"""
_INTERVENTIONS = """
UNWIND $rows AS row
MATCH (r:Run {key: $run})
MERGE (i:Intervention {key: row.key}) SET i = row
MERGE (i)-[:FROM_RUN]->(r)
"""
_ON = """
UNWIND $rows AS row
MATCH (i:Intervention {key: row.intervention})
MATCH (f:Feature {key: row.feature})
MERGE (i)-[o:ON]->(f) SET o.strength = row.strength
"""
_EFFECTS = """
UNWIND $rows AS row
MATCH (i:Intervention {key: row.intervention})
MERGE (e:Effect {key: row.values.key}) SET e = row.values
MERGE (i)-[:CAUSED]->(e)
WITH row, e WHERE row.prompt IS NOT NULL
MATCH (p:Prompt {key: row.prompt})
MERGE (e)-[:ON_PROMPT]->(p)
"""
_AFFECTS = """
UNWIND $rows AS row
MATCH (a:Feature {key: row.source})
MATCH (b:Feature {key: row.target})
MERGE (a)-[r:AFFECTS {key: row.values.key}]->(b) SET r = row.values
"""
_EXPLANATIONS = """
UNWIND $rows AS row
MATCH (r:Run {key: $run})
MERGE (x:Explanation {key: row.values.key}) SET x = row.values
MERGE (x)-[:FROM_RUN]->(r)
WITH row, x WHERE row.prompt IS NOT NULL
MATCH (p:Prompt {key: row.prompt})
MERGE (x)-[:ON_PROMPT]->(p)
"""
_EXPLAINS = """
UNWIND $rows AS row
MATCH (x:Explanation {key: row.explanation})
MATCH (f:Feature {key: row.feature})
MERGE (x)-[e:EXPLAINS]->(f) SET e.run = $run, e.source = $run
"""
_CREDITS = """
UNWIND $rows AS row
MATCH (x:Explanation {key: row.explanation})
OPTIONAL MATCH (f:Feature {key: row.player})
OPTIONAL MATCH (c:Community {key: row.player})
WITH row, x, coalesce(f, c) AS player WHERE player IS NOT NULL
MERGE (x)-[e:CREDITS]->(player) SET e.value = row.value, e.run = $run
"""
_FINDINGS = """
UNWIND $rows AS row
MATCH (r:Run {key: $run})
MERGE (x:Finding {key: row.key}) SET x = row
MERGE (x)-[:FROM_RUN]->(r)
"""
_CONCERNS = """
UNWIND $rows AS row
MATCH (x:Finding {key: row.finding})
MATCH (f:Feature {key: row.feature})
MERGE (x)-[e:CONCERNS]->(f) SET e = row.values
"""
_FEEDS_WEIGHT = """
UNWIND $rows AS row
MATCH (:Feature {key: row.source})-[r:FEEDS]->(:Feature {key: row.target})
SET r.causal_weight = row.weight, r.causal_run = $run
"""

STATEMENTS: Mapping[str, str] = {
    "prompts": _PROMPTS,
    "interventions": _INTERVENTIONS,
    "on": _ON,
    "effects": _EFFECTS,
    "affects": _AFFECTS,
    "explanations": _EXPLANATIONS,
    "explains": _EXPLAINS,
    "credits": _CREDITS,
    "findings": _FINDINGS,
    "concerns": _CONCERNS,
    "feeds_weight": _FEEDS_WEIGHT,
}
"""Parts in the order in which they are written; each takes ``rows`` and ``run``."""

COUNTS = """
MATCH (r:Run {key: $run})
RETURN
  COUNT { (:Intervention {run: $run}) } AS interventions,
  COUNT { (:Intervention {run: $run})-[:ON]->(:Feature) } AS `on`,
  COUNT { (:Intervention {run: $run})-[:CAUSED]->(:Effect) } AS effects,
  COUNT { (:Feature)-[:AFFECTS {run: $run}]->(:Feature) } AS affects,
  COUNT { (:Explanation {run: $run}) } AS explanations,
  COUNT { (:Finding {run: $run}) } AS findings,
  COUNT { (:Finding {run: $run})-[:CONCERNS]->(:Feature) } AS concerns
"""

_CAUSED = ("on", "effects", "affects")
_ENDS = (
    ("affects", "source"), ("affects", "target"), ("explanations", "feature"),
    ("concerns", "feature"), ("feeds_weight", "source"), ("feeds_weight", "target"),
)  # fmt: skip
"""Tables with the columns that hold keys of features."""

REMOVE = (
    "MATCH (r:Run {key: $run}) SET r.state = 'loading'",
    "MATCH ()-[e:AFFECTS {run: $run}]->() CALL (e) { DELETE e } IN TRANSACTIONS OF 10000 ROWS",
    "MATCH ()-[e:FEEDS {causal_run: $run}]->() REMOVE e.causal_weight, e.causal_run",
    "MATCH (n:Effect {run: $run}) CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 10000 ROWS",
    "MATCH (n:Explanation {run: $run}) CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 10000 ROWS",
    "MATCH (n:Finding {run: $run}) CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 10000 ROWS",
    "MATCH (n:Intervention {run: $run}) CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 10000 ROWS",
)
"""Auto-commit statements that remove what a run wrote, but for its node and prompts."""


def prompt_set(found: Evidence) -> dict[str, Any]:
    """Return the properties of the set of prompts; equal prompts are the same set."""
    digest = hashlib.sha256(as_json(list(found.prompts)).encode()).hexdigest()
    return {"key": f"prompts-{digest[:12]}", "sha256": digest, "prompts": len(found.prompts)}


def graph_rows(found: Evidence) -> dict[str, Rows]:
    """Return the rows of each of `STATEMENTS`; null values are left out of nodes."""
    run, prompts = found.id, prompt_set(found)["key"]
    tables = {name: table.to_pylist() for name, table in found.tables.items() if name in STATEMENTS}
    explanations = tables.get("explanations", [])
    return {
        "prompts": [_prompt(row, prompts) for row in found.prompts],
        "interventions": [_intervention(row, found) for row in tables.get("interventions", ())],
        "on": [
            {**row, "intervention": f"{run}/{row['intervention']}"} for row in tables.get("on", ())
        ],
        "effects": _effects(tables.get("effects", []), run=run, prompts=prompts),
        "affects": [_affects(row, run=run) for row in tables.get("affects", ())],
        "explanations": [_explanation(row, run=run, prompts=prompts) for row in explanations],
        "explains": [
            {"explanation": f"{run}/x{row['number']}", "feature": row["feature"]}
            for row in explanations
            if row["feature"] is not None
        ],
        "credits": [
            {"explanation": f"{run}/x{row['number']}", "player": player, "value": value}
            for row in explanations
            if row["players"] != "tokens"
            for player, value in zip(row["names"], row["values"], strict=True)
        ],
        "findings": [_finding(row, found) for row in tables.get("findings", ())],
        "concerns": [_concern(row, run=run) for row in tables.get("concerns", ())],
        "feeds_weight": tables.get("feeds_weight", []),
    }


def named_features(tables: Mapping[str, pa.Table]) -> set[str]:
    """Return the keys of features that interventions are on, or that something found is about."""
    found: set[str] = set()
    ends = {"on": "feature", "affects": "source", "explanations": "feature", "concerns": "feature"}
    for table, column in ends.items():
        if table in tables:
            found.update(key for key in tables[table][column].to_pylist() if key is not None)
    return found


def without_saes(tables: Mapping[str, pa.Table], saes: Sequence[str]) -> dict[str, pa.Table]:
    """Leave out the rows of tables that are of features of some SAEs.

    An intervention goes with all that it caused where any of its features is of them; findings
    stay, without these features.
    """
    found = dict(tables)
    gone: list[int] = []
    if "on" in found:
        rows = found["on"].filter(_of_saes(found["on"]["feature"], saes))
        gone = sorted(set(rows["intervention"].to_pylist()))
    for name, column in (("interventions", "number"), *((one, "intervention") for one in _CAUSED)):
        if name in found and gone:
            away = pc.is_in(found[name][column], pa.array(gone, found[name][column].type))
            found[name] = found[name].filter(pc.invert(away))
    for name, column in _ENDS:
        if name in found:
            found[name] = found[name].filter(pc.invert(_of_saes(found[name][column], saes)))
    if "explanations" in found:
        credited = pa.array(
            [any(_is_of(player, saes) for player in row or ())
             for row in found["explanations"]["names"].to_pylist()], pa.bool_()
        )  # fmt: skip
        found["explanations"] = found["explanations"].filter(pc.invert(credited))
    return found


def _of_saes(keys: pa.ChunkedArray, saes: Sequence[str]) -> pa.Array:
    return pa.array([_is_of(key, saes) for key in keys.to_pylist()], pa.bool_())


def _is_of(key: str | None, saes: Sequence[str]) -> bool:
    return key is not None and key.rpartition("/")[0] in saes


def _given(row: Mapping[str, Any], *, without: set[str]) -> dict[str, Any]:
    """Return what a row has: neither nulls nor NaN, which no property should hold."""
    return {
        name: value
        for name, value in row.items()
        if name not in without and value is not None and value == value  # noqa: PLR0124
    }


def _prompt(row: Mapping[str, Any], prompts: str) -> dict[str, Any]:
    names = ("id", "prompt", "answer", "foils")
    values = {name: row[name] for name in names if row[name] not in (None, [])}
    return {"set": prompts, "values": {"key": f"{prompts}/{row['id']}", **values}}


def _intervention(row: Mapping[str, Any], found: Evidence) -> dict[str, Any]:
    return {
        "key": f"{found.id}/{row['number']}",
        "run": found.id,
        "model": found.identity["model"]["key"],
        "created": found.created,
        **_given(row, without={"number"}),
    }


def _effects(rows: Rows, *, run: str, prompts: str) -> Rows:
    made, numbers = [], dict[int, int]()
    for row in rows:
        of = row["intervention"]
        numbers[of] = numbers.get(of, 0) + 1
        own = _given(row, without={"intervention", "prompt"})
        made.append(
            {
                "intervention": f"{run}/{of}",
                "prompt": None if row["prompt"] is None else f"{prompts}/{row['prompt']}",
                "values": {"key": f"{run}/{of}/{numbers[of]}", "run": run, **own},
            }
        )
    return made


def _affects(row: Mapping[str, Any], *, run: str) -> dict[str, Any]:
    source, target = row["source"], row["target"]
    sae, _, index = source.rpartition("/")
    other, _, place = target.rpartition("/")
    ends = f"{sae}|{index}|{place if other == sae else target}"
    own = _given(row, without={"intervention", "source", "target"})
    key = f"{run}|{ends}|{row['intervention']}/{row['metric']}"
    intervention = f"{run}/{row['intervention']}"
    values = {"key": key, "run": run, "intervention": intervention, **own}
    return {"source": source, "target": target, "values": values}


def _explanation(row: Mapping[str, Any], *, run: str, prompts: str) -> dict[str, Any]:
    own = _given(row, without={"number", "feature", "prompt"})
    values = {"key": f"{run}/x{row['number']}", "run": run, "source": run, **own}
    prompt = None if row["prompt"] is None else f"{prompts}/{row['prompt']}"
    return {"prompt": prompt, "values": values}


def _finding(row: Mapping[str, Any], found: Evidence) -> dict[str, Any]:
    return {
        "key": f"{found.id}/f{row['number']}",
        "run": found.id,
        "created": found.created,
        **_given(row, without={"number"}),
    }


def _concern(row: Mapping[str, Any], *, run: str) -> dict[str, Any]:
    values = {"run": run, **_given(row, without={"finding", "feature"})}
    return {
        "finding": f"{run}/f{row['finding']}", "feature": row["feature"], "values": values
    }  # fmt: skip
