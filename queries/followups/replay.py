"""Runs stored follow-ups again and compares."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa
from pydantic import ValidationError

from atlas.errors import ModelError, NotFoundError, UsageError
from queries.followups.evidence import Evidence
from queries.followups.evidence_tables import EFFECTS
from queries.followups.lab import Lab

if TYPE_CHECKING:
    from collections.abc import Mapping

    from atlas.graph.reader import Reader
    from atlas.progress import Reporter
    from queries.followups.evidence import Request

KINDS: Mapping[str, tuple[str, str]] = {
    "steering": ("queries.followups.steering.steer", "SteeringRequest"),
    "promotion": ("queries.followups.promotion.promote", "PromotionRequest"),
    "patching": ("queries.followups.patching.patch", "PatchingRequest"),
    "path_patching": ("queries.followups.path_patching.patch_paths", "PathPatchingRequest"),
    "attention": ("queries.followups.attention.attend", "AttentionRequest"),
    "attribution": ("queries.followups.attribution.attribute", "AttributionRequest"),
    "circuit": ("queries.followups.circuits.trace", "CircuitRequest"),
    "shap": ("queries.followups.shapley.explain", "ShapRequest"),
    "causes": ("queries.followups.causes.run", "CausesRequest"),
    "network_study": ("queries.studies.network.run", "NetworkRequest"),
    "concept_study": ("queries.studies.concept.run", "ConceptRequest"),
}
"""Kind of a follow-up to its module, which has ``run``, and the class of its requests."""

TOLERANCE = 1e-5
"""Largest difference, relative to the larger of 1 and the value, that counts as the same."""

_ROUNDING = frozenset({"preflight"})
"""Tables of figures that are nothing but rounding, which differs between machines."""

_RUN = """
MATCH (r:Run {key: $run, kind: 'intervention'})
RETURN r.name AS kind, r.parameters AS parameters, r.created AS created, r.notes AS notes
"""
_EFFECTS = """
MATCH (i:Intervention {run: $run})-[:CAUSED]->(e:Effect)
OPTIONAL MATCH (e)-[:ON_PROMPT]->(p:Prompt)
WITH i, e, p, split(i.key, '/') AS of, split(e.key, '/') AS own
RETURN toInteger(of[-1]) AS intervention, e.metric AS metric, e.target AS target,
       e.value AS value, e.baseline AS baseline, e.change AS change, e.prompts AS prompts,
       e.low AS low, e.high AS high, e.p AS p, e.q AS q, p.id AS prompt, e.flag AS flag
ORDER BY intervention, toInteger(own[-1])
"""


@dataclass(frozen=True)
class Replay:
    """How a follow-up that was run again compares with what was stored.

    Attributes
    ----------
    id
        Of the follow-up.
    same
        Whether every value of every table is, numbers to `TOLERANCE`.
    compared
        Number of values that were compared.
    largest
        Largest difference of two numbers, relative to the larger of 1 and the stored one.
    differences
        Tables and columns that differ, with how much.
    evidence
        What the second run found.
    """

    id: str
    same: bool
    compared: int
    largest: float
    differences: tuple[str, ...]
    evidence: Evidence


def run(lab: Lab, request: Request, *, reporter: Reporter | None = None) -> Evidence:
    """Run a request of any kind."""
    module = import_module(KINDS[request.kind][0])
    return cast("Evidence", module.run(lab, request, reporter=reporter))


def request_of(stored: Evidence) -> Request:
    """Read a stored request; raises `UsageError` where this version does not know it."""
    if stored.kind not in KINDS:
        raise UsageError(
            f"There is no follow-up of the kind {stored.kind!r}.",
            hint=f"Kinds: {', '.join(KINDS)}.",
        )
    place, name = KINDS[stored.kind]
    try:
        made = getattr(import_module(place), name).model_validate(dict(stored.request))
    except ValidationError as error:
        raise UsageError(
            f"The request of {stored.id} is of another version: {error.errors()[0]['msg']}."
        ) from error
    return cast("Request", made)


def lab_of(identity: Mapping[str, Any], *, device: str | None = None) -> Lab:
    """Load the model and SAEs that evidence was found with; see `check_lab` for what is raised."""
    lab = Lab.load(
        identity["model"]["source"], [sae["source"] for sae in identity["saes"]], device=device
    )
    check_lab(lab, identity)
    return lab


def check_lab(lab: Lab, identity: Mapping[str, Any]) -> None:
    """Raise `ModelError` where a lab is not of the weights that evidence was found with."""
    stored = {sae["key"]: sae["weights_sha256"] for sae in identity["saes"]}
    stored[identity["model"]["key"]] = identity["model"]["weights_sha256"]
    here = {key: sae.weights_sha256 for key, sae in lab.saes.items()}
    here[lab.model.name] = lab.model.weights_sha256
    wrong = [key for key, digest in stored.items() if here.get(key) != digest]
    if wrong:
        raise ModelError(
            f"{wrong[0]} is not here with the weights that it was run with (SHA-256 "
            f"{stored[wrong[0]][:12]}...).",
            hint="Give the model and the SAEs of then.",
        )


def replay(stored: Evidence, *, lab: Lab, reporter: Reporter | None = None) -> Replay:
    """Run a follow-up again and compare every table that is stored, but for `preflight`.

    Raises
    ------
    ModelError
        The lab has other weights.
    UsageError
        The stored request is of a kind or form that this version does not know.
    """
    check_lab(lab, stored.identity)
    again = run(lab, request_of(stored), reporter=reporter)
    compared, largest, differences = 0, 0.0, []
    for name, table in stored.tables.items():
        if name in _ROUNDING:
            continue
        cells, gap, wrong = _compare(name, table, again.tables.get(name))
        compared, largest = compared + cells, max(largest, gap)
        differences += wrong
    return Replay(stored.id, not differences, compared, largest, tuple(differences), again)


def _compare(name: str, old: pa.Table, new: pa.Table | None) -> tuple[int, float, list[str]]:
    """Return how many values were compared, the largest difference, and what differs."""
    if new is None or (new.num_rows, new.column_names) != (old.num_rows, old.column_names):
        return 0, 0.0, [f"{name}: other rows or columns"]
    largest, wrong = 0.0, []
    for column in old.column_names:
        gap = _gap(old[column], new[column])
        largest = max(largest, gap if np.isfinite(gap) else 0.0)
        if gap > TOLERANCE:
            wrong.append(f"{name}.{column}: {'other values' if gap == np.inf else f'{gap:.2g}'}")
    return old.num_rows * old.num_columns, largest, wrong


def _gap(old: pa.ChunkedArray, new: pa.ChunkedArray) -> float:
    """Largest relative difference of two columns; infinite where other than numbers differ."""
    if pa.types.is_list(old.type) and pa.types.is_floating(old.type.value_type):
        lengths = [[len(row) for row in column.to_pylist()] for column in (old, new)]
        flat = [column.combine_chunks().flatten() for column in (old, new)]
        return float("inf") if lengths[0] != lengths[1] else _gap(*map(_chunked, flat))
    if not pa.types.is_floating(old.type):
        return 0.0 if old.to_pylist() == new.to_pylist() else float("inf")
    a, b = (column.to_numpy().astype(float) for column in (old, new))
    if not np.array_equal(np.isnan(a), np.isnan(b)):
        return float("inf")
    there = ~np.isnan(a)
    scale = np.maximum(1.0, np.abs(a[there]))
    gaps = np.abs(a[there] - b[there]) / scale
    return float(gaps.max(initial=0.0))


def _chunked(array: pa.Array) -> pa.ChunkedArray:
    return pa.chunked_array([array])


def evidence_of_graph(reader: Reader, run: str) -> Evidence:
    """Read what the graph has of a follow-up whose folder is gone: the request and its effects.

    Raises
    ------
    NotFoundError
        The graph has no such follow-up.
    """
    rows = reader.read(_RUN, {"run": run})
    if not rows:
        raise NotFoundError(
            f"The graph has no follow-up {run!r}.", hint="`atlas query interventions` lists them."
        )
    row, stored = rows[0], json.loads(rows[0]["parameters"])
    effects = pa.Table.from_pylist(reader.read(_EFFECTS, {"run": run}), schema=EFFECTS)
    return Evidence(
        row["kind"],
        stored["request"],
        {"model": stored["model"], "saes": stored["saes"]},
        tuple(stored["prompts"]),
        {"effects": effects},
        tuple(row["notes"] or ()),
        created=row["created"],
    )
