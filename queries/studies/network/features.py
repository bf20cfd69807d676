"""Metrics of features, and how they differ between communities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from queries.studies.inference import metric_table
from queries.studies.network import published
from queries.studies.network.communities import WAYS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from queries.studies.network.communities import Found
    from queries.studies.network.graphs import Graphs
    from queries.studies.network.request import NetworkRequest

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

OF_ATTRIBUTIONS = ("sum", "abs_sum", "max", "std", "sum_abs_r")
"""Over prompts: the sum of a feature's attributions, that without its sign, the largest and their
standard deviation; over other features: the sum of |r|."""
OF_ACTIVATIONS = ("maximum", "corpus_maximum")
"""The largest activation in the prompts, and over the generic corpus (null without one)."""


def feature_table(
    values: Floats, graphs: Graphs, found: Found, *, features: Integers, activity: pa.Table
) -> pa.Table:
    """List the network's features: where they fire, their metrics and communities.

    Parameters
    ----------
    values
        float64 ``[prompts, features]``, attributions.
    graphs, found
        Of these.
    features
        Latent indices, from 0.
    activity
        Of `queries.studies.network.attributions.activity_table`.

    Returns
    -------
    pyarrow.Table
        feature, prompts, maximum, corpus_rate, corpus_maximum, corpus_mean, `OF_ATTRIBUTIONS`,
        stay, and a column of communities for each way (-1 for none).
    """
    where = np.searchsorted(activity["feature"].to_numpy(), features)
    fires = activity.take(pa.array(where)).drop_columns(["feature"])
    sums = values.sum(axis=0)
    columns = {
        "sum": sums, "abs_sum": np.abs(sums), "max": values.max(axis=0),
        "std": values.std(axis=0, ddof=1), "sum_abs_r": np.abs(graphs.r).sum(axis=0),
    }  # fmt: skip
    labels = {way: found.labels[way].astype(np.int64) for way in WAYS}
    fired = {name: fires[name] for name in fires.column_names}
    return pa.table({"feature": features, **fired, **columns, "stay": found.stay, **labels})


def metric_tables(
    features: pa.Table, central: Mapping[str, Mapping[str, Floats]], *, request: NetworkRequest
) -> pa.Table:
    """Compare every metric between the communities of each graph.

    Parameters
    ----------
    features
        Of `feature_table`.
    central
        Graph to centrality to its values; those of a graph go with its communities.
    request
        Permutations and seed.

    Returns
    -------
    pyarrow.Table
        `grouping` (``published`` or ``signed``), the columns of
        `queries.studies.inference.metric_table`, and `published_f`. No row for a grouping of
        fewer than two communities.
    """
    parts = []
    for grouping, scores in central.items():
        labels = features[grouping].to_numpy()
        if labels.max(initial=-1) < 1:
            continue
        names = [name for name in (*OF_ATTRIBUTIONS, *OF_ACTIVATIONS)
                 if features[name].null_count == 0]  # fmt: skip
        metrics = {name: features[name].to_numpy() for name in names} | dict(scores)
        varying = {name: x for name, x in metrics.items() if np.ptp(x[labels >= 0]) > 0}
        found = metric_table(
            varying, labels, permutations=request.permutations, seed=request.seed, smallest=3
        )
        of = [published.F.get(name) for name in found["metric"].to_pylist()]
        found = found.append_column("published_f", pa.array(of, pa.float64()))
        parts.append(found.add_column(0, "grouping", pa.array([grouping] * found.num_rows)))
    return pa.concat_tables(parts) if parts else pa.table({"grouping": pa.array([], pa.string())})
