"""Which part of a run's graph is meant, checked before anything is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from atlas.errors import UsageError
from atlas.formats.relations import RELATIONS
from atlas.graph.asking import ask
from queries.resolve import community_key, only_run, resolve_feature, resolve_run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atlas.graph.reader import Reader

ALL = "all"

_KEYS = """
MATCH (f:Feature)-[:FROM_RUN]->(:Run {key: $run})
MATCH (f)-[:IN]->(s:Sae)
RETURN f.key AS key, s.key AS sae
ORDER BY s.key, f.index
"""
_MEMBERS = "MATCH (f:Feature)-[:MEMBER_OF]->(:Community {key: $community}) RETURN f.key AS key"
_KINDS = """
MATCH (:Feature)-[r:CO_OCCURS {run: $run}]->(:Feature)
RETURN DISTINCT r.kind AS kind ORDER BY kind
"""


_SEQUENCES = (
    "relations",
    "kinds",
    "features",
    "communities",
    "node_properties",
    "edge_properties",
)


@dataclass(frozen=True)
class Selection:
    """Part of a run's graph.

    Attributes
    ----------
    run
        Key of the run; may be left out if the database has one.
    relations
        Relationship types, of `atlas.formats.relations.RELATIONS`, or ``("all",)``.
    kinds
        Kinds of `CO_OCCURS`, such as ``("token",)``; None is all.
    weight
        Property that is the weight of all edges; None is the own one of each relation and kind.
    min_weight
        Keep edges whose weight is at least this; edges without a weight go.
    mutual
        Keep edges that are among the strongest of both of their features, as the build marks them.
    top_k
        Keep edges among the strongest `top_k` of both of their features.
    features, communities
        Keep these features and those of these communities, and the edges among them.
    isolated
        Keep features that have no edge left.
    node_properties, edge_properties
        Names to keep; None is all.
    """

    run: str | None = None
    relations: Sequence[str] = ("CO_OCCURS",)
    kinds: Sequence[str] | None = None
    weight: str | None = None
    min_weight: float | None = None
    mutual: bool = False
    top_k: int | None = None
    features: Sequence[str | int] = ()
    communities: Sequence[str | int] = ()
    isolated: bool = True
    node_properties: Sequence[str] | None = None
    edge_properties: Sequence[str] | None = None

    def __post_init__(self) -> None:
        """Refuse what no run can have."""
        for name in _SEQUENCES:
            value = getattr(self, name)
            if isinstance(value, str):
                raise UsageError(f"{name} is a list, not one name.")
            object.__setattr__(self, name, None if value is None else tuple(value))
        unknown = [name for name in self.relations if name not in (*RELATIONS, ALL)]
        if unknown or not self.relations:
            raise UsageError(
                f"There is no relation {unknown[0]!r}." if unknown else "No relation is named.",
                hint=f"Name some of {', '.join(RELATIONS)}, or all.",
            )
        if self.top_k is not None and self.top_k < 1:
            raise UsageError(f"top_k is {self.top_k}; it is at least 1.")

    @property
    def types(self) -> list[str]:
        """Relationship types, in the order of `RELATIONS`."""
        return [name for name in RELATIONS if name in self.relations or ALL in self.relations]

    def as_dict(self) -> dict[str, Any]:
        """Return what is not left at its default, as plain values."""
        usual = vars(Selection())
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in vars(self).items()
            if name != "run" and value != usual[name]
        }


@dataclass(frozen=True)
class Chosen:
    """A selection, looked up.

    Attributes
    ----------
    run
        Key of the run.
    keys
        Keys of the features, in ascending order of (SAE, index).
    saes
        Key of the SAE of each.
    part
        Whether `keys` are only some of the run's features.
    """

    run: str
    keys: list[str]
    saes: list[str]
    part: bool


def choose(reader: Reader, selection: Selection) -> Chosen:
    """Look up a selection's run, features and communities.

    Raises
    ------
    NotFoundError
        The run, a feature, a community or a kind is not there.
    UsageError
        No run is named and there are several, a name is ambiguous, or a feature is of another run.
    """
    run = resolve_run(reader, selection.run) if selection.run else only_run(reader)
    _check_kinds(reader, run, selection)
    rows = reader.read(_KEYS, {"run": run}, what="reading the features")
    wanted = {resolve_feature(reader, name) for name in selection.features}
    strangers = wanted - {row["key"] for row in rows}
    if strangers:
        raise UsageError(f"The feature {min(strangers)} is not of the run {run}.")
    for name in selection.communities:
        community = ask(reader, community_key(name))
        wanted |= {row["key"] for row in reader.read(_MEMBERS, {"community": community})}
    part = bool(selection.features or selection.communities)
    if part:
        rows = [row for row in rows if row["key"] in wanted]
    return Chosen(run, [row["key"] for row in rows], [row["sae"] for row in rows], part)


def _check_kinds(reader: Reader, run: str, selection: Selection) -> None:
    if selection.kinds is None:
        return
    known = [row["kind"] for row in reader.read(_KINDS, {"run": run}, what="reading the kinds")]
    unknown = sorted(set(selection.kinds) - set(known))
    if unknown:
        raise UsageError(
            f"The run {run} has no edges of kind {unknown[0]!r}.",
            hint=f"It has: {', '.join(known)}.",
        )
