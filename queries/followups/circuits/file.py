"""Circuits of evidence as graph files of circuit-tracer, which its page and the atlas read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atlas.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from queries.followups.evidence import Evidence

#: Kinds of nodes by the names that circuit-tracer's page knows.
_TYPES = {
    "feature": "cross layer transcoder",
    "error": "mlp reconstruction error",
    "token": "embedding",
    "logit": "logit",
}


def graph_file(
    nodes: Sequence[Mapping[str, Any]],
    edges: Sequence[Mapping[str, Any]],
    *,
    metadata: Mapping[str, Any],
    output: str,
    probability: float,
) -> dict[str, Any]:
    """Return a circuit as circuit-tracer's JSON object.

    Parameters
    ----------
    nodes, edges
        Kept rows of the tables ``circuit_nodes`` and ``circuit_edges``.
    metadata
        ``slug`` (name of the graph), ``scan`` (of the model), ``prompt``, ``prompt_tokens``
        (without BOS: positions count these), ``node_threshold``, and ``saes``, layer to the SAE's
        key, a field of ours that other readers pass over.
    output, probability
        What the output is called, and the answer's probability.
    """
    metadata = {"transcoder_list": [], "schema_version": 1, **metadata}
    query = {"pinnedIds": [], "supernodes": [], "linkType": "both", "clickedId": "", "sg_pos": ""}
    links = [{name: edge[name] for name in ("source", "target", "weight")} for edge in edges]
    shown = [_node(node, output=output, probability=probability) for node in nodes]
    return {"metadata": metadata, "qParams": query, "nodes": shown, "links": links}


def _node(node: Mapping[str, Any], *, output: str, probability: float) -> dict[str, Any]:
    layer, index, _ = node["id"].split("_")
    logit = node["kind"] == "logit"
    return {
        "node_id": node["id"],
        "feature": _number(node, layer, index),
        "layer": layer,
        "ctx_idx": node["position"],
        "feature_type": _TYPES[node["kind"]],
        "token_prob": probability if logit else 0.0,
        "is_target_logit": logit,
        "run_idx": 0,
        "reverse_ctx_idx": 0,
        "jsNodeId": f"{layer}_{index}-{0 if node['kind'] == 'feature' else node['position']}",
        "clerp": output if logit else "",
        "influence": node["influence"],
        "activation": node["activation"],
    }


def _number(node: Mapping[str, Any], layer: str, index: str) -> int:
    """Return what circuit-tracer's page tells nodes of a kind apart by."""
    if node["kind"] == "feature":  # its pairing of layer and index
        total = int(layer) + int(index)
        return total * (total + 1) // 2 + int(index)
    return int(node["position"]) if node["kind"] == "token" else int(index)


def circuit_row(found: Evidence, prompt: str | None = None) -> dict[str, Any]:
    """Return the row of the table ``circuits`` of a prompt, by default of the only one.

    Raises
    ------
    UsageError
        The evidence is of another kind, or has several prompts and none is named.
    NotFoundError
        There is no such prompt.
    """
    if "circuits" not in found.tables:
        raise UsageError(
            f"What a follow-up of the kind {found.kind!r} found is no circuit.",
            hint="Give the evidence of a circuit.",
        )
    rows = found.tables["circuits"].to_pylist()
    names = [row["prompt"] for row in rows]
    if prompt is None and len(rows) > 1:
        raise UsageError(f"There are {len(rows)} circuits.", hint=f"Name one: {', '.join(names)}.")
    if prompt is not None and prompt not in names:
        raise NotFoundError(f"There is no circuit of a prompt {prompt!r}.",
                            hint=f"Prompts: {', '.join(names)}.")  # fmt: skip
    row: dict[str, Any] = rows[names.index(prompt) if prompt is not None else 0]
    return row


def write_circuit(found: Evidence, path: str | Path, *, prompt: str | None = None) -> Path:
    """Write a circuit as a graph file of circuit-tracer; see `circuit_row` for what is raised.

    `ingest.imports.circuit.import_circuit` reads it, with `circuit_saes` for its `saes`.
    """
    path = Path(path).expanduser()
    path.write_text(circuit_row(found, prompt)["json"], "utf-8")
    return path


def circuit_saes(found: Evidence, *, prompt: str | None = None) -> dict[int, str]:
    """Return layer -> key of its SAE of a circuit's graph file."""
    saes = json.loads(circuit_row(found, prompt)["json"])["metadata"]["saes"]
    return {int(layer): key for layer, key in saes.items()}
