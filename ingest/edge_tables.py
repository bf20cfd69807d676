"""Tables of what joins two features: CO_OCCURS, IMPLIES, FEEDS, and sums by folds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from atlas.schemas import schema
from ingest.cooccurrence.kinds import KINDS
from ingest.cooccurrence.sums import FLOAT_SUMS, INTEGER_SUMS
from ingest.significance import activation_correlation, effects, position_share

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ingest.cooccurrence.search import Found

#: Rows of a table that are made at a time.
ROWS = 100_000


def feature_keys(sae_key: str, d_sae: int) -> pa.StringArray:
    """Return the key of each feature of an SAE, by index."""
    return pa.array([f"{sae_key}/{index}" for index in range(d_sae)], pa.string())


def edge_tables(
    found: Found,
    sae_key: str,
    *,
    top_k: int,
    cosine: NDArray[np.float64] | None,
    contexts: pa.ListArray | None = None,
) -> Iterator[pa.Table]:
    """Yield rows of CO_OCCURS, lower index first, ordered by the two indices, then kind.

    Parameters
    ----------
    found
        Edges of one SAE.
    sae_key
        Key of the SAE.
    top_k
        An edge is mutual where it is among the strongest `top_k` of both its features.
    cosine
        float64 ``[edges]``: cosine of the decoder vectors, or None without a decoder.
    contexts
        Keys of contexts where both features fire, one list an edge; None stands for empty lists.
    """
    edges = found.edges
    r, r_joint = activation_correlation(edges.sums, found.values, found.marginals)
    share = position_share(edges.sums, found.marginals)
    names, kinds = feature_keys(sae_key, len(found.marginals.n)), pa.array(KINDS)
    nothing = np.full(len(r), np.nan)
    if contexts is None:
        none = pa.array(np.zeros(len(r) + 1, np.int32))
        contexts = pa.ListArray.from_arrays(none, pa.array([], pa.string()))
    for some in _slices(len(r)):
        columns = _pair_columns(found, some, top_k=top_k)
        i, j = edges.sums.i[some], edges.sums.j[some]
        yield _table(
            "edges",
            {
                **columns,
                "source": names.take(pa.array(i)),
                "target": names.take(pa.array(j)),
                "kind": kinds.take(pa.array(edges.kind[some])),
                "phi_within": edges.phi_within[some],
                "r_topic": edges.r_topic[some],
                "r": r[some],
                "r_joint": r_joint[some],
                "cosine": (nothing if cosine is None else cosine)[some],
                "position_share": share[some],
                "contexts": contexts[some],
            },
        )


def feeds_tables(
    found: Found,
    keys: tuple[str, str],
    *,
    top_k: int,
    weight: NDArray[np.float64] | None,
    weight_cosine: NDArray[np.float64] | None,
) -> Iterator[pa.Table]:
    """Yield rows of FEEDS, from a feature of the earlier SAE to one of the later.

    Parameters
    ----------
    found
        Token edges between two SAEs.
    keys
        Keys of the earlier and the later SAE.
    top_k
        As for `edge_tables`.
    weight, weight_cosine
        float64 ``[edges]``: decoder row of the earlier times encoder column of the later, and
        that over both norms; None without weights.
    """
    edges, first = found.edges, found.groups[0]
    r, r_joint = activation_correlation(edges.sums, found.values, found.marginals)
    names = [feature_keys(key, size) for key, size in zip(keys, found.groups, strict=True)]
    nothing = np.full(len(r), np.nan)
    for some in _slices(len(r)):
        yield _table(
            "feeds",
            {
                **_pair_columns(found, some, top_k=top_k),
                "source": names[0].take(pa.array(edges.sums.i[some])),
                "target": names[1].take(pa.array(edges.sums.j[some] - first)),
                "r": r[some],
                "r_joint": r_joint[some],
                "weight": (nothing if weight is None else weight)[some],
                "weight_cosine": (nothing if weight_cosine is None else weight_cosine)[some],
            },
        )


def implies_table(
    found: Found, sae_key: str, *, cosine: NDArray[np.float64] | None = None
) -> pa.Table:
    """Rows of IMPLIES, from the rarer feature to the other, ordered by the two indices."""
    pairs, m = found.implications, found.marginals
    size = effects(pairs.n, m.n[pairs.source], m.n[pairs.target], positions=m.positions)
    names = feature_keys(sae_key, len(m.n))
    return _table(
        "implies",
        {
            "source": names.take(pa.array(pairs.source)),
            "target": names.take(pa.array(pairs.target)),
            "n": pairs.n,
            "p_target_given_source": size.j_given_i,
            "p_source_given_target": size.i_given_j,
            "lift": size.lift,
            "cosine": np.full(len(pairs.n), np.nan) if cosine is None else cosine,
            "absorption": pairs.absorption,
            "p": pairs.p,
            "q": pairs.q,
        },
    )


def fold_tables(found: Found, sae_key: str) -> Iterator[pa.Table]:
    """Yield the edges' sums by folds of documents: for each sum of `SUMS` a list, one a fold."""
    if found.folds is None:
        return
    integers, floats = found.folds
    i, j = found.edges.sums.i, found.edges.sums.j
    names, kinds = feature_keys(sae_key, len(found.marginals.n)), pa.array(KINDS)
    for some in _slices(len(i)):
        columns: dict[str, Any] = {
            "source": names.take(pa.array(i[some])),
            "target": names.take(pa.array(j[some])),
            "kind": kinds.take(pa.array(found.edges.kind[some])),
        }
        for name, values in zip(
            INTEGER_SUMS + FLOAT_SUMS, [*integers[:, :, some], *floats[:, :, some]], strict=True
        ):
            flat = pa.array(np.ascontiguousarray(values.T).ravel())
            columns[name] = pa.FixedSizeListArray.from_arrays(flat, len(values))
        yield pa.table(columns)


def _pair_columns(found: Found, some: slice, *, top_k: int) -> dict[str, Any]:
    """Columns that every co-occurrence has."""
    edges, m, s = found.edges, found.marginals, found.edges.sums
    i, j = s.i[some], s.j[some]
    size = effects(s.a[some], m.n[i], m.n[j], positions=m.positions)
    with np.errstate(divide="ignore", invalid="ignore"):
        phi_share = size.phi / size.phi_max
    one, two = edges.rank_i[some], edges.rank_j[some]
    return {
        "n": s.a[some],
        "d": s.d[some],
        "expected": size.expected,
        "lift": size.lift,
        "pmi": size.pmi,
        "npmi": size.npmi,
        "phi": size.phi,
        "phi_max": size.phi_max,
        "phi_share": phi_share,
        "jaccard": size.jaccard,
        "p_target_given_source": size.j_given_i,
        "p_source_given_target": size.i_given_j,
        "z": edges.z[some],
        "z_within": edges.z_within[some],
        "p": edges.p[some],
        "q": edges.q[some],
        "rank_source": one,
        "rank_target": two,
        "mutual": (one <= top_k) & (two <= top_k),
    }


def _table(name: str, columns: dict[str, Any]) -> pa.Table:
    """Make a table of a schema: undefined numbers become null where nulls are allowed."""
    wanted = schema(name)
    arrays = []
    for field in wanted:
        values = columns[field.name]
        if field.nullable and isinstance(values, np.ndarray) and values.dtype.kind == "f":
            arrays.append(pa.array(values, mask=~np.isfinite(values)))
        else:
            arrays.append(pa.array(values, type=field.type))
    return pa.Table.from_arrays(arrays, schema=wanted)


def _slices(rows: int) -> Iterator[slice]:
    for start in range(0, max(rows, 1), ROWS):
        yield slice(start, start + ROWS)
