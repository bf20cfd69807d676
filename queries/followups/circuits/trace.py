"""A prompt's circuit: the features of several hooks that a metric hangs on, and their edges.

See `queries.followups.circuits.edges` for the linearisation, `queries.followups.circuits.pruning`
for what is kept and `queries.followups.circuits.check` for the test by ablation.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from atlas.errors import UsageError
from atlas.progress import Reporter, SilentReporter
from queries.followups.attribution.attribute import metric_prompts, scorer
from queries.followups.circuits.check import Check, Errors, Reference
from queries.followups.circuits.file import graph_file
from queries.followups.circuits.graph import ERROR, FEATURE, LOGIT, TOKEN, local_graph, ordered
from queries.followups.circuits.pruning import prune
from queries.followups.circuits.tables import (
    CIRCUIT_EDGES,
    CIRCUIT_HOOKS,
    CIRCUIT_NODES,
    CIRCUITS,
    FAITHFULNESS,
)
from queries.followups.evidence import Evidence, Request, evidence
from queries.followups.lab import PromptText  # noqa: TC001 - pydantic reads it

if TYPE_CHECKING:
    from queries.followups.circuits.check import Members
    from queries.followups.circuits.graph import LocalGraph
    from queries.followups.circuits.pruning import Pruned
    from queries.followups.lab import Lab, TaskPrompt


class CircuitRequest(Request):
    """The circuits of some prompts, one each.

    Attributes
    ----------
    prompts
        The prompts, each with an answer, and foils for ``logit_diff``.
    metric
        See `queries.followups.attribution.attribute.AttributionRequest`.
    saes
        Keys of SAEs, one a depth; all that are loaded by default.
    candidates
        Features, one a position, that are opened at each hook: those of the largest attribution.
    node_threshold, edge_threshold
        Share of all influence that the kept nodes, and edges, hold.
    max_nodes
        Most features and errors kept.
    check
        Whether to test the circuit by ablation.
    sizes
        Sizes of the sets of the most influential nodes that are tested beside the circuit.
    draws
        Random sets of each size.
    seed
        Of the random sets.
    errors
        What becomes of errors in the test: all ``kept``, all ``ablated``, or treated as nodes of
        the ``circuit``.
    reference
        Prompts whose mean activations ablated nodes take; with none they become 0.
    """

    kind: ClassVar[str] = "circuit"

    prompts: tuple[PromptText, ...]
    metric: str = "logit"
    saes: tuple[str, ...] = ()
    candidates: int = Field(default=100, ge=1)
    node_threshold: float = Field(default=0.8, ge=0, le=1)
    edge_threshold: float = Field(default=0.98, ge=0, le=1)
    max_nodes: int = Field(default=60, ge=1)
    check: bool = True
    sizes: tuple[int, ...] = (10, 20, 50, 100, 200)
    draws: int = Field(default=5, ge=0)
    seed: int = 0
    errors: Errors = "kept"
    reference: tuple[PromptText, ...] = ()


def run(lab: Lab, request: CircuitRequest, *, reporter: Reporter | None = None) -> Evidence:
    """Find the circuits of prompts and test them by ablation.

    Returns
    -------
    Evidence
        Tables ``circuits``, ``circuit_nodes``, ``circuit_edges``, ``circuit_hooks`` and, if asked
        for, ``faithfulness``. `queries.followups.circuits.write_circuit` writes the graph file,
        `queries.followups.circuits.draw_circuit` draws it.

    Raises
    ------
    CorpusError, UsageError
        A prompt has no answer or no foil, there is no such metric, or two SAEs read one stream.
    NotFoundError
        An SAE is not loaded.
    ModelError
        The metric or a gradient is not finite.
    """
    prompts, notes = metric_prompts(lab, request.prompts, request.metric)
    if min(request.sizes, default=1) < 1:
        raise UsageError("A set of nodes has at least one.", hint="Give sizes from 1.")
    keys = ordered(lab, request.saes)
    work = _Circuits(lab, request, keys)
    with (reporter or SilentReporter()).step("tracing circuits (prompts)", len(prompts)) as advance:
        for number, (prompt, text) in enumerate(zip(prompts, request.prompts, strict=True), 1):
            work.add(prompt, text)
            advance(number)
    return evidence(lab, request, prompts=request.prompts, tables=work.tables(), notes=notes)


class _Circuits:
    """Collects the rows of all tables."""

    def __init__(self, lab: Lab, request: CircuitRequest, keys: list[str]) -> None:
        self.lab, self.request, self.keys = lab, request, keys
        self.saes = [lab.sae(key) for key in keys]
        self.reference = Reference.zero(lab, self.saes)
        if request.reference:
            others, _ = lab.prompts(request.reference)
            self.reference = Reference.mean(lab, self.saes, others)
        schemas = [CIRCUITS, CIRCUIT_NODES, CIRCUIT_EDGES, CIRCUIT_HOOKS]
        names = ["circuits", "circuit_nodes", "circuit_edges", "circuit_hooks"]
        if request.check:
            schemas, names = [*schemas, FAITHFULNESS], [*names, "faithfulness"]
        self.schemas = dict(zip(names, schemas, strict=True))
        self.rows: dict[str, list[dict[str, Any]]] = {name: [] for name in names}

    def tables(self) -> dict[str, pa.Table]:
        """Return the tables."""
        return {
            name: pa.Table.from_pylist(self.rows[name], schema=schema)
            for name, schema in self.schemas.items()
        }

    def add(self, prompt: TaskPrompt, text: PromptText) -> None:
        """Find one prompt's circuit."""
        r = self.request
        graph = local_graph(
            self.lab, prompt, saes=self.keys, metric=r.metric, candidates=r.candidates
        )
        output = graph.of_kind(LOGIT)
        pruned = prune(
            graph.adjacency,
            weights=output.astype(float),
            always=output | graph.of_kind(TOKEN),
            fed=graph.of_kind(FEATURE),
            node_threshold=r.node_threshold,
            edge_threshold=r.edge_threshold,
            max_nodes=r.max_nodes,
        )
        nodes, edges = self._nodes(prompt, graph, pruned), _edges(prompt, graph, pruned)
        self.rows["circuit_nodes"] += nodes
        self.rows["circuit_edges"] += edges
        self.rows["circuit_hooks"] += self._hooks(prompt, graph)
        kept = [node for node in nodes if node["kept"]]
        self.rows["circuits"].append(self._circuit(prompt, text, graph, kept, edges))
        if r.check:
            self._check(prompt, graph, pruned)

    def _nodes(self, prompt: TaskPrompt, graph: LocalGraph, pruned: Pruned) -> list[dict[str, Any]]:
        total = max(float(pruned.influence.sum()), 1e-300)
        rows = []
        for number, node in enumerate(graph.nodes):
            inside = node.kind in {FEATURE, ERROR}
            sae = graph.levels[node.level].key if inside else None
            rows.append(
                {
                    "prompt": prompt.id,
                    "id": node.id,
                    "kind": node.kind,
                    "sae": sae,
                    "feature": f"{sae}/{node.index}" if node.kind == FEATURE else None,
                    "level": node.level,
                    "position": node.position,
                    "token": self.lab.text(prompt.tokens[node.position + 1]),
                    "activation": node.activation,
                    "attribution": node.attribution,
                    "plain": node.plain,
                    "captured": node.captured,
                    "share": float(pruned.influence[number]) / total,
                    "influence": float(pruned.cumulative[number]),
                    "kept": bool(pruned.nodes[number]),
                }
            )
        return rows

    def _hooks(self, prompt: TaskPrompt, graph: LocalGraph) -> list[dict[str, Any]]:
        return [
            {
                "prompt": prompt.id,
                "sae": level.key,
                "firing": len(level.row),
                "candidates": min(len(level.row), self.request.candidates),
                **vars(sums),
            }
            for level, sums in zip(graph.levels, graph.sums, strict=True)
        ]

    def _circuit(
        self,
        prompt: TaskPrompt,
        text: PromptText,
        graph: LocalGraph,
        kept: list[dict[str, Any]],
        edges: list[dict[str, Any]],
    ) -> dict[str, Any]:
        target = self.lab.text(prompt.target or 0)
        metadata = {
            "slug": prompt.id,
            "scan": self.lab.model.name,
            "prompt": text.prompt,
            "prompt_tokens": [self.lab.text(token) for token in prompt.tokens[1:]],
            "node_threshold": self.request.node_threshold,
            "saes": {str(level.layer): level.key for level in graph.levels},
        }
        output = f'{self.request.metric} "{target}" (p={graph.probability:.3f})'
        told = graph_file(
            kept, edges, metadata=metadata, output=output, probability=graph.probability
        )
        return {
            "prompt": prompt.id,
            "metric": self.request.metric,
            "target": target,
            "value": graph.score,
            "probability": graph.probability,
            "nodes": len(kept),
            "features": sum(node["kind"] == FEATURE for node in kept),
            "edges": len(edges),
            "json": json.dumps(told, ensure_ascii=False),
        }

    def _check(self, prompt: TaskPrompt, graph: LocalGraph, pruned: Pruned) -> None:
        r = self.request
        inside = graph.of_kind(FEATURE, ERROR)
        ranked = np.argsort(-pruned.influence, kind="stable")
        check = Check(
            self.lab,
            prompt,
            saes=self.saes,
            score=scorer(r.metric, prompt, device=self.lab.model.device),
            reference=self.reference,
            errors=r.errors,
        )
        found = check.curve(
            _members(graph, np.flatnonzero(pruned.nodes & inside)),
            ranked=_members(graph, ranked[inside[ranked]]),
            firing=_all_members(graph),
            sizes=r.sizes,
            draws=r.draws,
            seed=r.seed,
        )
        self.rows["faithfulness"] += [{"prompt": prompt.id, **row} for row in found]


def _edges(prompt: TaskPrompt, graph: LocalGraph, pruned: Pruned) -> list[dict[str, Any]]:
    total = max(float(pruned.scores.sum()), 1e-300)
    return [
        {
            "prompt": prompt.id,
            "source": graph.nodes[source].id,
            "target": graph.nodes[target].id,
            "weight": float(graph.adjacency[target, source]),
            "share": float(pruned.scores[target, source]) / total,
        }
        for target, source in np.argwhere(pruned.edges)
    ]


def _members(graph: LocalGraph, numbers: np.ndarray[Any, Any]) -> Members:
    some = [graph.nodes[number] for number in numbers]
    found = [(node.level, node.position + 1, node.index) for node in some]
    return np.array(found, np.int64).reshape(-1, 3)


def _all_members(graph: LocalGraph) -> Members:
    """All that fires and all errors, of every hook."""
    parts = []
    for number, level in enumerate(graph.levels):
        rows = np.arange(1, len(level.stream))
        parts.append(np.column_stack([np.full(len(level.row), number), level.row, level.index]))
        parts.append(np.column_stack([np.full(len(rows), number), rows, np.full(len(rows), -1)]))
    return np.concatenate(parts)
