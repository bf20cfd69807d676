"""The plan of a build: what it will cost, before it runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ingest.plan.needs import peak

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from ingest.plan.graph import GraphSize
    from ingest.plan.machine import Machine
    from ingest.plan.needs import Phase
    from ingest.plan.pairs import EdgeRange, Search


@dataclass(frozen=True)
class Measured:
    """What was measured on this machine while a plan was made.

    Attributes
    ----------
    documents, positions
        Documents and unmasked positions of the sample that was run through the model.
    whole
        Whether that was all of the text.
    tokens_per_second
        Tokens that the truncated forward pass reads.
    positions_per_second
        Positions that each SAE encodes, by its name.
    seconds
        Seconds of each part of the build, in their order; loading into Neo4j is not among them.
    device
        Most bytes that PyTorch reserved on the CUDA device; 0 without one.
    """

    documents: int
    positions: int
    whole: bool
    tokens_per_second: float
    positions_per_second: Mapping[str, float]
    seconds: Mapping[str, float]
    device: int

    @property
    def total(self) -> float:
        """Seconds of all parts."""
        return sum(self.seconds.values())


@dataclass(frozen=True)
class Plan:
    """What a build will cost.

    Attributes
    ----------
    name
        Name of the recipe.
    documents, tokens
        Of the text, BOS not counted.
    tokenised
        Documents that were tokenised to count them; the lengths of the others are estimates.
    positions
        Expected unmasked positions.
    masked
        Share of the tokens that the model reads, BOS included, that are masked.
    l0
        Mean firings at a position, by the SAE's name.
    searches
        Searches for edges: one an SAE, and one from every SAE to every later hook's.
    rows
        Expected rows of each table.
    memory, device, disk
        What takes bytes while each part of the build runs; `device` is empty without a CUDA
        device.
    graph
        Expected size in Neo4j.
    machine
        What is there.
    measured
        What was measured; None where firing rates were assumed and nothing was timed.
    fixed
        Bytes of memory that are taken while the model runs, whatever the documents are.
    lengths, ids
        int64 ``[documents]``: tokens of each document, and its id.
    """

    name: str
    documents: int
    tokens: int
    tokenised: int
    positions: int
    masked: float
    l0: Mapping[str, float]
    searches: tuple[Search, ...]
    rows: Mapping[str, int]
    memory: tuple[Phase, ...]
    device: tuple[Phase, ...]
    disk: tuple[Phase, ...]
    graph: GraphSize
    machine: Machine
    measured: Measured | None
    fixed: int
    lengths: NDArray[np.int64] = field(repr=False)
    ids: Sequence[str] = field(repr=False)

    @property
    def tested(self) -> int:
        """Number of tested pairs."""
        return sum(search.tested for search in self.searches)

    @property
    def joint(self) -> int:
        """Number of joint firings."""
        return sum(search.joint for search in self.searches)

    @property
    def code_bytes(self) -> int:
        """Bytes of the code shards."""
        return next(n.bytes for n in self.disk[0].needs if n.what == "code shards")

    def edges(self) -> dict[str, EdgeRange]:
        """Add the expected edges of all searches, by kind."""
        found: dict[str, EdgeRange] = {}
        for search in self.searches:
            for kind in search.edges:
                found[kind.kind] = found[kind.kind] + kind if kind.kind in found else kind
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the plan as a JSON object; bytes are numbers of bytes."""
        plain = ("name", "documents", "tokens", "tokenised", "positions", "masked")
        measured = None
        if self.measured is not None:
            measured = asdict(self.measured) | {"total_seconds": self.measured.total}
        return {
            **{name: getattr(self, name) for name in plain},
            "l0": dict(self.l0),
            "tested_pairs": self.tested,
            "joint_firings": self.joint,
            "edges": {name: asdict(kind) for name, kind in self.edges().items()},
            "searches": [search.to_json() for search in self.searches],
            "rows": dict(self.rows),
            "memory": _phases(self.memory),
            "device": _phases(self.device),
            "disk": _phases(self.disk),
            "graph": self.graph.to_json(),
            "machine": asdict(self.machine),
            "measured": measured,
        }


def _phases(phases: Sequence[Phase]) -> dict[str, Any]:
    if not phases:
        return {}
    return {
        "peak_bytes": peak(phases).bytes,
        "peak_while": peak(phases).name,
        "phases": {phase.name: {need.what: need.bytes for need in phase.needs} for phase in phases},
    }
