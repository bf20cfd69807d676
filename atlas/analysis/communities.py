"""Communities of features: Leiden on the backbone, with stable keys and readable labels."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from atlas.analysis.centrality import CONCURRENCY, AlgorithmResult, describe
from atlas.analysis.labels import Background, CommunityLabel, Member, label_community

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atlas.analysis.projection import Backbone
    from atlas.graph.reader import Reader

ALGORITHM = "leiden"
MIN_SIZE = 3
"""Smallest group of features that is called a community."""

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
        ``{run}/leiden/{number}``.
    number
        1 for the largest; equal sizes in the order of their first member's key.
    members
        Keys of its features, sorted.
    label
        Its label and what that was made from.
    """

    key: str
    number: int
    members: Sequence[str]
    label: CommunityLabel


def leiden(backbone: Backbone, *, seed: int) -> AlgorithmResult:
    """Run Leiden, weighted by phi, on one thread, and leave its groups in the projection.

    Parameters
    ----------
    backbone
        The projection; receives the node property ``leiden`` (int).
    seed
        Random seed, recorded with the result.
    """
    result = backbone.gds.leiden.mutate(
        backbone.graph,
        mutate_property=ALGORITHM,
        relationship_weight_property="phi",
        random_seed=seed,
        concurrency=CONCURRENCY,
    )
    return describe("gds.leiden", ALGORITHM, result, seed=seed)


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


def name_communities(reader: Reader, run: str, assignment: Mapping[str, int]) -> list[Community]:
    """Return the communities of an assignment, with labels from what their members fire on.

    Parameters
    ----------
    reader
        Reads the members' tokens and words.
    run
        Key of the run.
    assignment
        Feature key -> number of its group.
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
        communities.append(Community(f"{run}/{ALGORITHM}/{number}", number, keys, label))
    return communities


def _member(row: Mapping[str, Any]) -> Member:
    tokens = [(text, float(lift)) for text, lift in row["tokens"]]
    return Member(tokens=tokens, words=row["words"], promoted=row["promoted"])
