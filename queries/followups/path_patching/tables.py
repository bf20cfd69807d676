"""Tables of path patching."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from queries.followups.evidence_tables import AFFECTS, EFFECTS, INTERVENTIONS, ON
from queries.followups.metrics import WITHOUT_TARGET
from queries.followups.patching.estimates import false_discovery, mean_of, share_of
from queries.followups.path_patching.passes import WAYS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from queries.followups.path_patching.passes import PathResults
    from queries.followups.path_patching.patch_paths import PathPatchingRequest

    Floats = NDArray[np.float64]

PATHS = pa.schema(
    [
        ("edge", pa.int64()),
        ("prompt", pa.string()),
        ("metric", pa.string()),
        ("base", pa.float64()),
        ("total", pa.float64()),
        ("through", pa.float64()),
        ("rest", pa.float64()),
        ("flag", pa.string()),
    ]
)
"""A row an edge (from 1, in the request's order), prompt and metric: its value without a change,
and the changes of it. `flag`: ``silent`` where the sender's activation does not change (all are
then null), ``not_finite``."""

RECEIVERS = pa.schema(
    [
        ("edge", pa.int64()),
        ("prompt", pa.string()),
        ("receiver", pa.string()),
        ("activation", pa.float64()),
        ("change", pa.float64()),
        ("summed", pa.float64()),
    ]
)
"""A row an edge, prompt and receiver: its mean activation without a change and the mean change, at
positions where the sender fires, and the change summed over all positions."""

SUMMARY = pa.schema(
    [
        ("edge", pa.int64()),
        ("sender", pa.string()),
        ("receivers", pa.list_(pa.string())),
        ("metric", pa.string()),
        ("prompts", pa.int64()),
        ("base", pa.float64()),
        *(
            (f"{way}{end}", pa.float64())
            for way in WAYS
            for end in ("", "_low", "_high", "_p", "_q")
        ),
        ("share", pa.float64()),
        ("share_low", pa.float64()),
        ("share_high", pa.float64()),
    ]
)
"""A row an edge and metric, over the prompts in which the sender's activation changes: the changes
with 95% intervals, and the share of the total that runs through the receivers (sum over sum)."""


def path_tables(
    request: PathPatchingRequest,
    results: PathResults,
    *,
    base: Floats,
    prompts: Sequence[str],
    target: str | None,
) -> dict[str, pa.Table]:
    """Return the tables of the graph, ``paths``, ``path_receivers`` and ``path_summary``.

    Each edge is three interventions, in the order of `WAYS`.

    Parameters
    ----------
    request
        What was asked.
    results
        What was measured.
    base
        ``[prompts, metrics]``, without a change.
    prompts
        Ids.
    target
        Text of the target where all prompts have one.
    """
    changes = results.values - base[None, :, None, :]
    summary, effects = [], []
    for k, metric in enumerate(request.metrics):
        shown = None if metric in WITHOUT_TARGET else target
        rows = _summary(request, changes[..., k], base[:, k], metric)
        summary += rows
        effects += [_effect(row, number, shown) for row in rows for number in range(len(WAYS))]
    summary.sort(key=lambda row: row["edge"])
    effects.sort(key=lambda row: row["intervention"])
    return {
        **_interventions(request),
        "effects": pa.Table.from_pylist(effects, schema=EFFECTS),
        "affects": pa.Table.from_pylist(_affects(request, results), schema=AFFECTS),
        "paths": pa.Table.from_pylist(
            _paths(request, results, changes, base=base, prompts=prompts), schema=PATHS
        ),
        "path_receivers": pa.Table.from_pylist(
            _receivers(request, results, prompts), schema=RECEIVERS
        ),
        "path_summary": pa.Table.from_pylist(summary, schema=SUMMARY),
    }


def _summary(
    request: PathPatchingRequest, changes: Floats, base: Floats, metric: str
) -> list[dict[str, Any]]:
    """Take changes of one metric, ``[edges, prompts, 3]``, over prompts; q is among them all."""
    edges = range(len(request.edges))
    means = [mean_of(changes[edge, :, way]) for edge in edges for way in range(len(WAYS))]
    q, rows = false_discovery(means), []
    for number, edge in enumerate(request.edges):
        known = ~np.isnan(changes[number]).any(axis=1)
        share = share_of(changes[number, :, 1], changes[number, :, 0])
        row: dict[str, Any] = {
            "edge": number + 1,
            "sender": edge.sender,
            "receivers": list(edge.receivers),
            "metric": metric,
            "prompts": int(known.sum()),
            "base": float(base[known].mean()) if known.any() else None,
            "share": share.value,
            "share_low": share.low,
            "share_high": share.high,
        }
        for k, way in enumerate(WAYS):
            mean = means[number * len(WAYS) + k]
            row |= {
                way: mean.value,
                f"{way}_low": mean.low,
                f"{way}_high": mean.high,
                f"{way}_p": mean.p,
                f"{way}_q": q[number * len(WAYS) + k],
            }
        rows.append(row)
    return rows


def _effect(row: dict[str, Any], number: int, target: str | None) -> dict[str, Any]:
    way = WAYS[number]
    change, base = row[way], row["base"]
    return {
        "intervention": (row["edge"] - 1) * len(WAYS) + number + 1,
        "metric": row["metric"],
        "target": target,
        "value": None if change is None else base + change,
        "baseline": base,
        "change": change,
        "prompts": row["prompts"],
        **{end: row[f"{way}_{end}"] for end in ("low", "high", "p", "q")},
        "flag": "silent" if change is None else None,
    }


def _interventions(request: PathPatchingRequest) -> dict[str, pa.Table]:
    rows, on = [], []
    ablate = request.sender == "ablate"
    shared = {
        "sender_is": request.sender,
        "direction": None if ablate else request.direction,
        "positions": request.positions,
        "chosen": list(request.chosen),
    }
    for number, edge in enumerate(request.edges):
        for k, way in enumerate(WAYS):
            features = edge.receivers if way == "through" else (edge.sender,)
            parameters = {
                "path": way, "sender": edge.sender, "receivers": list(edge.receivers), **shared
            }  # fmt: skip
            plain = ablate and way == "total"
            one = {
                "number": number * len(WAYS) + k + 1,
                "kind": "ablate" if plain else "patch",
                "mode": "zero" if plain else None,
                # Receivers move wherever the sender makes them.
                "positions": "all" if way == "through" else request.positions,
                "features": len(features),
                "parameters": json.dumps(parameters, sort_keys=True),
            }
            rows.append(one)
            on += [{"intervention": one["number"], "feature": key} for key in features]
    return {
        "interventions": pa.Table.from_pylist(rows, schema=INTERVENTIONS),
        "on": pa.Table.from_pylist(on, schema=ON),
    }


def _affects(request: PathPatchingRequest, results: PathResults) -> list[dict[str, Any]]:
    """Return the change of each receiver's activation, by the intervention that is the total."""
    means = [mean_of(one) for acts in results.receivers for one in acts[..., 1].T]
    ends = [
        (number * len(WAYS) + 1, edge.sender, receiver)
        for number, edge in enumerate(request.edges)
        for receiver in edge.receivers
    ]
    return [
        {
            "intervention": intervention, "source": source, "target": receiver,
            "metric": "activation", "change": mean.value, "low": mean.low, "high": mean.high,
            "p": mean.p, "q": q, "prompts": mean.n,
        }
        for (intervention, source, receiver), mean, q in zip(
            ends, means, false_discovery(means), strict=True
        )
        if mean.value is not None
    ]  # fmt: skip


def _paths(
    request: PathPatchingRequest,
    results: PathResults,
    changes: Floats,
    *,
    base: Floats,
    prompts: Sequence[str],
) -> list[dict[str, Any]]:
    rows = []
    for edge, prompt, metric in np.ndindex(len(changes), len(prompts), len(request.metrics)):
        values = changes[edge, prompt, :, metric]
        silent = bool(np.isnan(results.receivers[edge][prompt]).all())
        known = {
            way: None if np.isnan(v) else float(v) for way, v in zip(WAYS, values, strict=True)
        }
        rows.append(
            {
                "edge": edge + 1,
                "prompt": prompts[prompt],
                "metric": request.metrics[metric],
                "base": float(base[prompt, metric]),
                **known,
                "flag": "silent" if silent else "not_finite" if None in known.values() else None,
            }
        )
    return rows


def _receivers(
    request: PathPatchingRequest, results: PathResults, prompts: Sequence[str]
) -> list[dict[str, Any]]:
    return [
        {
            "edge": number + 1,
            "prompt": prompt,
            "receiver": receiver,
            **dict(zip(("activation", "change", "summed"), map(float, values), strict=True)),
        }
        for number, edge in enumerate(request.edges)
        for prompt, acts in zip(prompts, results.receivers[number], strict=True)
        for receiver, values in zip(edge.receivers, acts, strict=True)
        if not np.isnan(values).any()
    ]
