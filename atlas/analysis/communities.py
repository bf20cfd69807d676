"""Communities of features: the groups of a partition, with stable keys and readable labels."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from atlas.analysis.labels import Background, CommunityLabel, Member, label_community
from atlas.analysis.stability.settings import MIN_SIZE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atlas.analysis.stability.result import Consensus
    from atlas.graph.reader import Reader

_MEMBERS = """
UNWIND $keys AS key
MATCH (f:Feature {key: key})
RETURN f.key AS key, coalesce(f.top_words, []) AS words, coalesce(f.promoted, []) AS promoted,
       COLLECT {
         MATCH (f)-[r:FIRES_ON {run: $run}]->(t:Token)
         RETURN [t.text, coalesce(r.score, 0.0)] ORDER BY r.rank, t.key
       } AS tokens
"""


@dataclass(frozen=True)
class Community:
    """One community.

    Attributes
    ----------
    key
        ``{run}/{algorithm}/{number}``.
    number
        1 for the largest; equal sizes in the order of their first member's key.
    members
        Keys of its features, sorted.
    label
        Its label and what that was made from.
    stability, stable
        How well halves of the documents give it again, and whether that is enough; see
        `atlas.analysis.stability.Consensus`. None where nobody looked.
    stay
        Share of runs in which each member is in the core, in the order of `members`; or empty.
    """

    key: str
    number: int
    members: Sequence[str]
    label: CommunityLabel
    stability: float | None = None
    stable: bool | None = None
    stay: Sequence[float] = ()


def group(assignment: Mapping[str, int]) -> list[list[str]]:
    """Return the groups of at least `MIN_SIZE` features, largest first.

    Parameters
    ----------
    assignment
        Feature key -> number of its group; the numbers themselves do not matter.

    Returns
    -------
    list of list of str
        Sorted keys of each group; groups of equal size in the order of their first key.
    """
    groups: dict[int, list[str]] = defaultdict(list)
    for key in sorted(assignment):
        groups[assignment[key]].append(key)
    large = [keys for keys in groups.values() if len(keys) >= MIN_SIZE]
    return sorted(large, key=lambda keys: (-len(keys), keys[0]))


def name_communities(
    reader: Reader, run: str, assignment: Mapping[str, int], *, algorithm: str
) -> list[Community]:
    """Return the communities of an assignment, with labels from what their members fire on.

    Parameters
    ----------
    reader
        Reads the members' tokens and words.
    run
        Key of the run.
    assignment
        Feature key -> number of its group.
    algorithm
        What made the groups; part of the communities' keys.
    """
    groups = group(assignment)
    everyone = [key for keys in groups for key in keys]
    rows = reader.read(_MEMBERS, {"keys": everyone, "run": run}, what="reading communities")
    known = {row["key"]: _member(row) for row in rows}
    background = Background(list(known.values()))
    communities = []
    for number, keys in enumerate(groups, start=1):
        label = label_community(
            [known[key] for key in keys],
            fallback=f"community {number}",
            background=background,
        )
        communities.append(Community(f"{run}/{algorithm}/{number}", number, keys, label))
    return communities


def with_stability(communities: Sequence[Community], found: Consensus) -> list[Community]:
    """Return communities of a consensus with how stable they are and their members."""
    stay = dict(zip(found.keys, found.stay.tolist(), strict=True))
    number = dict(zip(found.keys, found.community.tolist(), strict=True))
    return [
        replace(
            community,
            stability=float(found.stability[number[community.members[0]]]),
            stable=bool(found.stable[number[community.members[0]]]),
            stay=[stay[key] for key in community.members],
        )
        for community in communities
    ]


def _member(row: Mapping[str, Any]) -> Member:
    tokens = [(text, float(lift)) for text, lift in row["tokens"]]
    return Member(tokens=tokens, words=row["words"], promoted=row["promoted"])
