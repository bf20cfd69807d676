"""Compares two runs: checkpoints, seeds, widths or layers of SAEs, or two corpora."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from atlas.errors import UsageError
from atlas.progress import Reporter, SilentReporter
from queries.compare.agreement import adjusted_mutual_information, adjusted_rand, correlation
from queries.compare.edges import compare_edges, number
from queries.compare.match import Matching, match_decoders, match_keys, match_tokens
from queries.compare.read import Side, read_decoders, read_side, read_tokens
from queries.compare.result import (
    CommunityDiff,
    FeatureRef,
    Matched,
    MatchedFeature,
    RateDiff,
    RunDiff,
)
from queries.resolve import resolve_run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from atlas.graph.reader import Reader

BY = ("auto", "key", "decoder", "tokens")
"""Ways to match features."""
FLOORS = {"decoder": 0.7, "tokens": 0.5}
"""Smallest score of a pair, by default."""


def diff_runs(
    reader: Reader,
    a: str,
    b: str,
    *,
    by: str = "auto",
    floor: float | None = None,
    partition: str | None = None,
    top: int = 20,
    reporter: Reporter | None = None,
) -> RunDiff:
    """Compare two runs of a database: features, edges, firing rates and communities.

    Features of an SAE that both runs have are matched by key. The others are matched one to one
    where each is the other's nearest: SAEs of the same hook with each other, then the rest with
    the rest. Only features that fire in their run take part.

    Parameters
    ----------
    reader
        Where to read.
    a, b
        Keys of the runs.
    by
        ``auto``: as above, by decoder where keys do not match. ``decoder`` or ``tokens``: all
        features by the cosine of their decoder vectors, or of the tokens that they fire on.
        ``key``: only features of SAEs that both runs have.
    floor
        Smallest cosine of a pair; by default 0.7 for decoders and 0.5 for tokens.
    partition
        Communities to compare: the part of their keys after the run's; None takes those there are.
    top
        Most changes listed of each sort.
    reporter
        Is told of each step.

    Returns
    -------
    RunDiff
        The comparison.

    Raises
    ------
    NotFoundError
        There is no such run.
    UsageError
        The runs are one, a run is not loaded in full, `by` or `floor` is wrong, or decoder
        vectors are missing or of models of different width.
    DatabaseError
        The database fails.
    """
    _check(a, b, by, floor)
    told = reporter or SilentReporter()
    with told.step(f"comparing {a} and {b}", 4) as advance:
        sides = []
        for done, run in enumerate((a, b), start=1):
            sides.append(read_side(reader, resolve_run(reader, run), partition=partition))
            advance(done)
        one, two = sides
        pairs, matching = _match(reader, one, two, by=by, floor=floor)
        advance(3)
        edges, changes = compare_edges(one, two, pairs, top=top)
        advance(4)
    matched = _matched(one, two, pairs)
    return RunDiff(
        a=a,
        b=b,
        matching=matching,
        matched=matched,
        lost=_unmatched(one, pairs.a),
        gained=_unmatched(two, pairs.b),
        edges=edges,
        changes=changes,
        rates=_rates(one, two, pairs, matched, top=top),
        communities=_communities(one, two, pairs),
        notes=_notes(one, two, matching),
    )


def _check(a: str, b: str, by: str, floor: float | None) -> None:
    if a == b:
        raise UsageError(f"{a} is compared with itself.", hint="Name two runs.")
    if by not in BY:
        raise UsageError(f"Features cannot be matched by {by!r}.", hint=f"Use {', '.join(BY)}.")
    if floor is not None and not -1 <= floor <= 1:
        raise UsageError(f"The floor is {floor}, and no cosine.", hint="Give a number up to 1.")


@dataclass(frozen=True)
class _Group:
    """Places of features that are matched with each other."""

    a: NDArray[np.intp]
    b: NDArray[np.intp]
    by: str


def _match(
    reader: Reader, a: Side, b: Side, *, by: str, floor: float | None
) -> tuple[Matching, list[Matched]]:
    """Match the features of two runs, group by group, and say how."""
    parts, told = [], []
    for group in _groups(a, b, by):
        limit = None if group.by == "key" else FLOORS[group.by] if floor is None else floor
        found = _match_group(reader, a, b, group, limit)
        parts.append(Matching(_int32(group.a[found.a]), _int32(group.b[found.b]), found.score))
        told.append(
            Matched(
                saes_a=sorted({a.saes[i] for i in group.a}),
                saes_b=sorted({b.saes[i] for i in group.b}),
                by=group.by,
                floor=limit,
                features_a=len(group.a),
                features_b=len(group.b),
                matched=len(found.a),
                mean_score=float(found.score.mean()) if len(found.a) else None,
            )
        )
    left, right = (
        _int32(np.concatenate([[], *(getattr(p, side) for p in parts)])) for side in "ab"
    )
    score = np.concatenate([np.empty(0), *(part.score for part in parts)])
    order = np.argsort(left)
    return Matching(left[order], right[order], score[order]), told


def _groups(a: Side, b: Side, by: str) -> list[_Group]:
    """Cut the features into those that are matched with each other; empty groups are left out."""
    shared = set(a.saes) & set(b.saes) if by in ("auto", "key") else set()
    groups = [_Group(_in(a.saes, {sae}), _in(b.saes, {sae}), "key") for sae in sorted(shared)]
    if by == "key":
        return groups
    way = "decoder" if by == "auto" else by
    rest_a, rest_b = (
        {sae: hook for sae, hook in zip(side.saes, side.hooks, strict=True) if sae not in shared}
        for side in (a, b)
    )
    both = (set(rest_a.values()) & set(rest_b.values())) - {None}
    for hooks in (*({hook} for hook in sorted(filter(None, both))), None):
        chosen_a, chosen_b = (
            {sae for sae, hook in rest.items() if (hook in hooks if hooks else hook not in both)}
            for rest in (rest_a, rest_b)
        )
        if chosen_a and chosen_b:
            groups.append(_Group(_in(a.saes, chosen_a), _in(b.saes, chosen_b), way))
    return groups


def _match_group(reader: Reader, a: Side, b: Side, group: _Group, floor: float | None) -> Matching:
    keys_a, keys_b = [a.keys[i] for i in group.a], [b.keys[i] for i in group.b]
    if floor is None:
        return match_keys(keys_a, keys_b)
    if group.by == "tokens":
        tokens = (read_tokens(reader, side.run, k) for side, k in ((a, keys_a), (b, keys_b)))
        return match_tokens(*tokens, floor=floor)
    if a.d_model is not None and b.d_model is not None and a.d_model != b.d_model:
        raise UsageError(
            f"{a.run} is of {a.model}, whose vectors have {a.d_model} numbers, and {b.run} of"
            f" {b.model}, whose have {b.d_model}: their decoders have no cosine.",
            hint="Match the features by the tokens that they fire on: `--by tokens`.",
        )
    return match_decoders(read_decoders(reader, keys_a), read_decoders(reader, keys_b), floor=floor)


def _in(saes: Sequence[str], chosen: set[str]) -> NDArray[np.intp]:
    return np.flatnonzero([sae in chosen for sae in saes])


def _int32(places: NDArray[np.generic]) -> NDArray[np.int32]:
    return places.astype(np.int32)


def _matched(a: Side, b: Side, pairs: Matching) -> list[MatchedFeature]:
    return [
        MatchedFeature(
            a=a.keys[i],
            b=b.keys[j],
            score=float(score),
            label_a=a.labels[i],
            label_b=b.labels[j],
            rate_a=number(a.rate[i]),
            rate_b=number(b.rate[j]),
        )
        for i, j, score in zip(pairs.a, pairs.b, pairs.score, strict=True)
    ]


def _unmatched(side: Side, matched: NDArray[np.int32]) -> list[FeatureRef]:
    """Return the features that have no partner, those that fire most first."""
    alone = np.setdiff1d(np.arange(len(side.keys)), matched)
    order = np.lexsort((alone, -np.nan_to_num(side.rate[alone])))
    return [FeatureRef(side.keys[i], side.labels[i], number(side.rate[i])) for i in alone[order]]


def _rates(
    a: Side, b: Side, pairs: Matching, matched: Sequence[MatchedFeature], *, top: int
) -> RateDiff:
    first, second = a.rate[pairs.a], b.rate[pairs.b]
    rows = np.flatnonzero((first > 0) & (second > 0))
    before, after = np.log2(first[rows]), np.log2(second[rows])
    change = np.abs(after - before)
    largest = rows[np.lexsort((rows, -change))][:top]
    return RateDiff(
        features=len(rows),
        correlation=correlation(before, after),
        median_change=float(np.median(change)) if len(rows) else None,
        largest=[matched[row] for row in largest],
    )


def _communities(a: Side, b: Side, pairs: Matching) -> CommunityDiff | None:
    if not any(a.communities) or not any(b.communities):
        return None
    both = [
        (a.communities[i], b.communities[j])
        for i, j in zip(pairs.a, pairs.b, strict=True)
        if a.communities[i] and b.communities[j]
    ]
    first, second = [pair[0] for pair in both], [pair[1] for pair in both]
    return CommunityDiff(
        features=len(both),
        communities_a=len(set(first)),
        communities_b=len(set(second)),
        ari=adjusted_rand(first, second),
        ami=adjusted_mutual_information(first, second),
    )


def _notes(a: Side, b: Side, matching: Sequence[Matched]) -> list[str]:
    notes = []
    if a.model != b.model and any(group.by == "decoder" for group in matching):
        notes.append(
            "The models differ. Cosines of decoders mean something only for checkpoints or"
            " fine-tunes of one model; other models have other directions."
        )
    if a.corpus != b.corpus:
        notes.append("The corpora differ: rates and edges change with the text, too.")
    unknown = [side.run for side in (a, b) if np.isnan(side.rate).any()]
    if unknown:
        notes.append(
            f"Some firing rates of {' and '.join(unknown)} are no longer in the graph: a run"
            " loaded later has the same features, and no edge tells them."
        )
    if not any(a.communities) or not any(b.communities):
        notes.append("Communities are not compared: a run has none. Run `atlas analyse` on both.")
    return notes
