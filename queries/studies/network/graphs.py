"""The signed graph of significant correlations, the published graph beside it, and resamples.

The signed graph has the pairs that `ingest.attribution.edges.co_attribution` finds: tested, with
a sign and a weight. The published graph has an edge, without sign or weight, wherever Pearson's r
is beyond a threshold in absolute value.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from atlas.analysis.network import Network
from ingest.attribution.bootstrap import resample_weights, resampled_r
from ingest.attribution.correlation import TESTS, VARIANCE, fisher_p
from ingest.attribution.edges import co_attribution
from ingest.attribution.groups import without_group_means
from ingest.attribution.sums import PromptSums, pearson

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from ingest.attribution.edges import CoAttribution
    from ingest.attribution.options import EdgeOptions

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]
    Groups = Sequence[str | None] | None

#: Resamples whose correlations are held at a time.
CHUNK = 10

EDGES = pa.schema(
    [
        ("source", pa.int64()),
        ("target", pa.int64()),
        ("r", pa.float64()),
        ("r_spearman", pa.float64()),
        ("p", pa.float64()),
        ("q", pa.float64()),
        ("sign", pa.int64()),
        ("n_both", pa.int64()),
        ("stability", pa.float64()),
        ("r_low", pa.float64()),
        ("r_high", pa.float64()),
        ("signed", pa.bool_()),
        ("published", pa.bool_()),
    ]
)
"""A row a pair that is an edge of either graph, by latent indices from 0, the lower first. What
only the signed graph knows is null elsewhere."""


@dataclass(frozen=True)
class Graphs:
    """Both graphs of one matrix of attributions.

    Attributes
    ----------
    r
        float64 ``[features, features]``, Pearson's; 0 where a feature does not vary, and on the
        diagonal.
    signed
        The tested edges.
    published
        Unweighted (all weights 1), without sign.
    positive
        Edges of `signed` above 0, weighted by r: what communities are of.
    fdr
        False-discovery rate of `signed`.
    """

    r: Floats
    signed: CoAttribution
    published: Network
    positive: Network
    fdr: float

    @property
    def critical(self) -> float:
        """Largest p that is significant, by Benjamini and Hochberg, for as many edges."""
        return self.fdr * len(self.signed.i) / max(self.signed.tested, 1)


def make_graphs(
    values: Floats, *, options: EdgeOptions, threshold: float, groups: Groups = None
) -> Graphs:
    """Make both graphs.

    Parameters
    ----------
    values
        float64 ``[prompts, features]``.
    options
        Of the signed graph.
    threshold
        Of the published one.
    groups
        Groups of the prompts, which `options` may ask for.

    Raises
    ------
    CorpusError, UsageError
        As `co_attribution`.
    """
    signed = co_attribution(values, options=options, groups=groups)
    r = correlations(values)
    i, j = np.nonzero(np.triu(np.abs(r) > threshold, 1))
    up = signed.sign > 0
    names = names_of(values.shape[1])
    return Graphs(
        r,
        signed,
        published=network(names, i, j, np.ones(len(i))),
        positive=network(names, signed.i[up], signed.j[up], signed.r[up]),
        fdr=options.fdr,
    )


def correlations(values: Floats) -> Floats:
    """Return Pearson's r of all pairs of columns, 0 for constant ones and on the diagonal."""
    sums = PromptSums.of(values)
    varies = np.flatnonzero(sums.varies)
    found = np.zeros((values.shape[1],) * 2)
    found[np.ix_(varies, varies)] = pearson(sums.take(varies), slice(None))
    np.fill_diagonal(found, 0.0)
    return found


def names_of(features: int) -> list[str]:
    """Return names of columns in ascending order, for `Network`."""
    return [f"{column:09d}" for column in range(features)]


def network(
    names: Sequence[str], i: NDArray[np.integer], j: NDArray[np.integer], weight: Floats
) -> Network:
    """Return an undirected network of columns, each pair given with the lower first."""
    return Network(names, i.astype(np.int32), j.astype(np.int32), np.asarray(weight, np.float64))


def resampled_graphs(
    values: Floats,
    graphs: Graphs,
    *,
    options: EdgeOptions,
    threshold: float,
    number: int,
    seed: int,
    groups: Groups = None,
) -> Iterator[tuple[Network, Network]]:
    """Make both graphs again on bootstraps of the prompts.

    The signed graph keeps the largest p that was significant for all prompts, as an edge's
    stability does.

    Parameters
    ----------
    values, options, threshold, groups
        As for `make_graphs`.
    graphs
        What that gave.
    number
        Bootstraps.
    seed
        Of the draws.

    Yields
    ------
    positive, published
        As in `Graphs`.
    """
    labels = groups if groups is not None and len(set(groups)) > 1 else None
    drawn = labels if options.resample == "group" else None
    weights = resample_weights(len(values), number, seed=seed, groups=drawn)
    data, columns = _tested(values, options, labels)
    n = len(values) - (len(set(labels)) - 1 if labels and options.within_groups else 0)
    i, j = np.triu_indices(len(columns), 1)
    names = names_of(values.shape[1])
    for first in range(0, number, CHUNK):
        some = weights[first : first + CHUNK]
        found: list[list[tuple[Integers, Floats, bool]]] = [[] for _ in some]
        streams = [resampled_r(part, i, j, weights=some) for part in data.values()]
        for blocks in zip(*streams, strict=True):
            r = dict(zip(data, (block for _, block in blocks), strict=True))
            up = np.ones(r["raw"].shape, bool)
            for test in TESTS[options.test]:
                p = fisher_p(np.nan_to_num(r[test]), n, variance=VARIANCE[test])
                up &= (r[test] >= options.min_r) & (p <= graphs.critical)
            beyond = np.abs(r["raw"]) > threshold
            for row, kept in enumerate(found):
                for mask, way in ((up[row], True), (beyond[row], False)):
                    at = np.flatnonzero(mask)
                    weight = r["pearson"][row, at] if way else np.ones(len(at))
                    kept.append((at + blocks[0][0].start, weight, way))
        for kept in found:
            yield (
                _joined(names, columns, (i, j), [part for part in kept if part[2]]),
                _joined(names, columns, (i, j), [part for part in kept if not part[2]]),
            )


def _tested(
    values: Floats, options: EdgeOptions, groups: Groups
) -> tuple[dict[str, Floats], Integers]:
    """Return values as they are, those that are tested and their ranks; and their columns."""
    from scipy.stats import rankdata

    within = without_group_means(values, groups) if groups and options.within_groups else values
    columns = np.flatnonzero(PromptSums.of(values).varies & PromptSums.of(within).varies)
    tested = within[:, columns]
    data = {"raw": values[:, columns], "pearson": tested, "spearman": rankdata(tested, axis=0)}
    return data, columns


def _joined(
    names: Sequence[str],
    columns: Integers,
    pairs: tuple[Integers, Integers],
    parts: Sequence[tuple[Integers, Floats, bool]],
) -> Network:
    at = np.concatenate([part[0] for part in parts]) if parts else np.zeros(0, np.int64)
    weight = np.concatenate([part[1] for part in parts]) if parts else np.zeros(0)
    return network(names, columns[pairs[0][at]], columns[pairs[1][at]], weight)


def edge_table(graphs: Graphs, features: Integers) -> pa.Table:
    """List the edges of both graphs by latent index; columns of `EDGES`."""
    signed = graphs.signed
    both = dict.fromkeys(zip(signed.i.tolist(), signed.j.tolist(), strict=True), True)
    place = {pair: row for row, pair in enumerate(both)}
    ends = zip(graphs.published.source.tolist(), graphs.published.target.tolist(), strict=True)
    beyond = set(ends)
    names = ("r_spearman", "p", "q", "n_both", "stability", "r_low", "r_high")
    columns = {name: getattr(signed, name).tolist() for name in names}
    rows: list[dict[str, Any]] = []
    for i, j in sorted(both.keys() | beyond):
        at = place.get((i, j))
        r = float(graphs.r[i, j]) if at is None else float(signed.r[at])
        known = {name: None if at is None else columns[name][at] for name in names}
        rows.append(
            {
                "source": int(features[i]), "target": int(features[j]), "r": r, **known,
                "sign": 1 if r > 0 else -1, "signed": at is not None, "published": (i, j) in beyond,
            }
        )  # fmt: skip
    return pa.Table.from_pylist(rows, schema=EDGES)


def overlap(graphs: Sequence[Network]) -> list[float]:
    """Return the Jaccard index of the edges of each pair of networks, in the pairs' order."""
    sets = [set(zip(g.source.tolist(), g.target.tolist(), strict=True)) for g in graphs]
    return [len(a & b) / len(a | b) if a | b else float("nan") for a, b in combinations(sets, 2)]
