"""Pairs that share neighbours: likeness of neighbourhoods, and scores of missing links.

The scores of links are those of Liben-Nowell and Kleinberg (2007), *The link-prediction problem
for social networks*, and of Zhou, Lü and Zhang (2009). Everything is a product of the sparse
adjacency matrix with itself, a block of rows at a time: memory stays bounded, and time grows with
the sum of squared degrees.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.analysis.outputs import Call, Computed, pairs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from atlas.analysis.network import Network

    Method = Callable[[Network, Call], Computed]

LINK_SCORES = (
    "adamic_adar",
    "resource_allocation",
    "common_neighbours",
    "preferential_attachment",
    "total_neighbours",
)
"""Scores of a missing link, in the order of the formulas of `link_scores`."""

_BLOCK = 256


def adjacency(network: Network) -> Any:
    """Return the unweighted adjacency matrix without direction, in compressed rows."""
    from scipy import sparse

    ones = np.ones(network.edges)
    shape = (network.nodes, network.nodes)
    half = sparse.csr_array((ones, (network.source, network.target)), shape)
    return (half + half.T).tocsr()


def best_of_each(
    end: NDArray[Any], other: NDArray[Any], score: NDArray[Any], *, top_k: int
) -> NDArray[np.int64]:
    """Return the places of the `top_k` best entries of each `end`, equal ones by `other`."""
    order = np.lexsort((other, -score, end))
    ordered = end[order]
    rank = np.arange(len(ordered)) - np.searchsorted(ordered, ordered)
    best: NDArray[np.int64] = order[rank < top_k]
    return best


def _node_similarity(network: Network, call: Call) -> Computed:
    """Return the Jaccard index of neighbourhoods: for each feature, the best `top_k` others."""
    matrix = adjacency(network)
    degree = np.diff(matrix.indptr)
    takes_part = (degree >= call["min_degree"]) & (degree <= call["max_degree"])
    found = []
    for row, column, shared in _blocks(matrix, matrix):
        score = shared / (degree[row] + degree[column] - shared)
        kept = takes_part[row] & takes_part[column] & (row != column) & (score >= call["cutoff"])
        ends, others, scores = row[kept], column[kept], score[kept]
        best = best_of_each(ends, others, scores, top_k=call["top_k"])
        found.append((ends[best], others[best], scores[best]))
    source, target, score = (np.concatenate(part) for part in zip(*found, strict=True))
    return Computed(pairs(source, target, {"score": score}))


def _blocks(left: Any, right: Any) -> Iterator[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]:
    """Yield rows, columns and values of ``left @ right``, some rows at a time."""
    for start in range(0, left.shape[0], _BLOCK):
        product = (left[start : start + _BLOCK] @ right).tocsr()
        product.sort_indices()
        found = product.tocoo()
        yield found.row.astype(np.int64) + start, found.col.astype(np.int64), found.data


def _link_prediction(network: Network, call: Call) -> Computed:
    """Score pairs without an edge that share a neighbour; keep the best of each feature."""
    matrix = adjacency(network)
    degree = np.diff(matrix.indptr)
    counts = degree <= (call["max_degree"] or network.nodes)
    joined = np.repeat(np.arange(network.nodes), degree) * network.nodes + matrix.indices
    joined.sort()
    found = []
    for row, column, scores in _scored_blocks(matrix, degree, counts):
        pair = row * network.nodes + column
        place = np.minimum(np.searchsorted(joined, pair), max(len(joined) - 1, 0))
        kept = np.flatnonzero((row != column) & (joined[place] != pair))
        by = scores[call["by"]][kept]
        best = kept[best_of_each(row[kept], column[kept], by, top_k=call["top_k"])]
        low, high = np.minimum(row, column)[best], np.maximum(row, column)[best]
        found.append((low, high, *(scores[name][best] for name in LINK_SCORES)))
    source, target, *table = (np.concatenate(part) for part in zip(*found, strict=True))
    # A pair may be among the best of both of its ends.
    _, once = np.unique(source * network.nodes + target, return_index=True)
    values = dict(zip(LINK_SCORES, table, strict=True))
    names = [call["by"], *(name for name in LINK_SCORES if name != call["by"])]
    columns = {name: values[name][once] for name in names}
    return Computed(pairs(source[once], target[once], columns), bool(counts.all()))


def _scored_blocks(
    matrix: Any, degree: NDArray[Any], counts: NDArray[np.bool_]
) -> Iterator[tuple[NDArray[Any], NDArray[Any], dict[str, NDArray[Any]]]]:
    """Yield rows, columns and scores of the pairs that share a neighbour which counts."""
    from scipy import sparse

    # A node of degree 1 is between no two others, so its logarithm of 0 is never asked for.
    logarithm = np.log(np.maximum(degree, 2))
    weights = (1 / logarithm, 1 / np.maximum(degree, 1), np.ones(len(degree)))
    through = []
    for weight in weights:
        scaled = (sparse.diags_array(np.where(counts, weight, 0.0)) @ matrix).tocsr()
        scaled.eliminate_zeros()
        through.append(scaled)
    for parts in zip(*(_blocks(matrix, scaled) for scaled in through), strict=True):
        row, column, common = parts[2]
        both = degree[row] + degree[column]
        # What may not stand between two features is still a neighbour of both.
        shared = common if counts.all() else _values_at(matrix, row, column)
        values = (parts[0][2], parts[1][2], common, degree[row] * degree[column], both - shared)
        yield row, column, dict(zip(LINK_SCORES, map(np.asarray, values), strict=True))


def _values_at(matrix: Any, row: NDArray[Any], column: NDArray[Any]) -> NDArray[Any]:
    """Return the entries of ``matrix @ matrix`` at the given places of one block of rows."""
    first = int(row[0]) if len(row) else 0
    last = int(row[-1]) + 1 if len(row) else 0
    product = (matrix[first:last] @ matrix).tocsr()
    values: NDArray[Any] = np.asarray(product[row - first, column]).ravel()
    return values


METHODS: Mapping[str, Method] = MappingProxyType(
    {"node_similarity": _node_similarity, "link_prediction": _link_prediction}
)
"""Algorithm -> its method."""
