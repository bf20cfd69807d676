"""Circuits: a prompt's features and errors as a pruned graph, tested by ablation."""

from __future__ import annotations

from queries.followups.circuits.file import circuit_saes, write_circuit
from queries.followups.circuits.picture import circuit_page, draw_circuit
from queries.followups.circuits.trace import CircuitRequest, run

__all__ = [
    "CircuitRequest",
    "circuit_page",
    "circuit_saes",
    "draw_circuit",
    "run",
    "write_circuit",
]
