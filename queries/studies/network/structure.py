"""From attributions to graphs, communities, centralities and metrics: everything but the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from atlas.analysis.stability import compare, leiden
from atlas.analysis.stability.consensus import number_groups
from queries.studies.network.attributions import features_of, matrix
from queries.studies.network.centrality import (
    GRAPHS,
    centrality_table,
    rewired_null,
    values_of,
)
from queries.studies.network.communities import (
    community_table,
    find,
    greedy,
    negative_inside,
    stability_table,
)
from queries.studies.network.features import feature_table, metric_tables
from queries.studies.network.graphs import edge_table, make_graphs, overlap, resampled_graphs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from queries.studies.network.communities import Found
    from queries.studies.network.graphs import Graphs
    from queries.studies.network.request import NetworkRequest

    Tables = Mapping[str, pa.Table]
    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]


#: Mean size that groups of prompts must have for their means to say anything.
MEMBERS = 3


def structure_tables(tables: Tables, request: NetworkRequest) -> dict[str, pa.Table]:
    """Make the graphs of the primary aggregation and all that is read off them.

    Parameters
    ----------
    tables
        ``candidates``, ``attributions`` and ``activity``.
    request
        What is asked.

    Returns
    -------
    dict
        ``edges``, ``communities``, ``stability``, ``features``, ``centralities``,
        ``metric_table``, ``null``, ``networks`` (a row an aggregation) and ``structure_notes``.
    """
    prompts, groups = _kept(tables["candidates"], request)
    features = features_of(tables["attributions"])
    every: dict[str, Floats] = {
        how: matrix(tables["attributions"], how, prompts=prompts, features=features)
        for how in request.aggregations
    }
    made = structure_of(
        every[request.aggregation], features, groups=groups, request=request,
        activity=tables["activity"],
    )  # fmt: skip
    networks = network_table(every, request, groups=groups)
    notes = _notes(networks, made, request)
    return {**made, "networks": networks, "structure_notes": pa.table({"note": notes})}


def _kept(
    candidates: pa.Table, request: NetworkRequest
) -> tuple[list[str], list[str | None] | None]:
    """Return ids and groups of the kept prompts; small groups only where they are asked for."""
    rows = [row for row in candidates.to_pylist() if row["kept"]]
    groups = [row["group"] for row in rows]
    asked = request.edges.within_groups or request.edges.resample == "group"
    many = asked or MEMBERS * len(set(groups)) <= len(rows)
    return [row["prompt"] for row in rows], groups if many else None


def structure_of(
    values: Floats,
    features: Integers,
    *,
    groups: Sequence[str | None] | None,
    request: NetworkRequest,
    activity: pa.Table,
) -> dict[str, pa.Table]:
    """Find the graphs, communities, centralities and metrics of one matrix of attributions.

    Parameters
    ----------
    values
        float64 ``[prompts, features]``.
    features
        Latent indices of the columns, ascending.
    groups
        Of the prompts.
    request
        What is asked; nothing of it is read that the model is needed for.
    activity
        Of `queries.studies.network.attributions.activity_table`.

    Returns
    -------
    dict
        The tables of `structure_tables` but for ``networks`` and notes.
    """
    options = {"options": request.edges, "threshold": request.published_r, "groups": groups}
    graphs = make_graphs(values, **options)  # type: ignore[arg-type]
    number = max(request.bootstraps, request.greedy_bootstraps, request.rank_bootstraps)
    resampled = list(
        resampled_graphs(values, graphs, number=number, seed=request.seed, **options)  # type: ignore[arg-type]
    )
    found = find(graphs, resampled, request=request)
    some = resampled[: request.rank_bootstraps]
    central = centrality_table(
        {"published": graphs.published, "signed": graphs.positive},
        {"published": [pair[1] for pair in some], "signed": [pair[0] for pair in some]},
        features=features,
    )
    table = feature_table(values, graphs, found, features=features, activity=activity)
    scores = {name: values_of(central, name) for name in GRAPHS}
    null = rewired_null(graphs.published, number=request.null_graphs, seed=request.seed)
    return {
        "edges": edge_table(graphs, features),
        "communities": community_table(found, graphs),
        "stability": stability_table(found, graphs),
        "features": table,
        "centralities": central,
        "metric_table": metric_tables(table, scores, request=request),
        "null": null,
        "modularity": _modularity(found, graphs),
    }


def _modularity(found: Found, graphs: Graphs) -> pa.Table:
    rows = []
    for way, value in found.modularity.items():
        inside, number = negative_inside(found.labels[way], graphs)
        labels = found.labels[way]
        rows.append(
            {"way": way, "modularity": value, "communities": int(labels.max(initial=-1)) + 1,
             "features": int((labels >= 0).sum()), "negative_inside": inside, "negative": number}
        )  # fmt: skip
    return pa.Table.from_pylist(rows)


def network_table(
    every: Mapping[str, Floats], request: NetworkRequest, *, groups: Sequence[str | None] | None
) -> pa.Table:
    """Compare the graphs of all aggregations with that of the primary one.

    Returns
    -------
    pyarrow.Table
        A row an aggregation: features, tested pairs, edges by sign, `detectable_r`,
        `lost_within` (edges that are not there within groups of prompts), edges and negative
        edges of the published graph, communities and modularity by Leiden and greedily, and how
        alike edges (Jaccard) and communities (adjusted Rand) are to the primary aggregation's.
    """
    graphs = {
        how: make_graphs(
            values, options=request.edges, threshold=request.published_r, groups=groups
        )
        for how, values in every.items()
    }
    own, rows = graphs[request.aggregation], []
    labels = {how: _once(one, request) for how, one in graphs.items()}
    for how, one in graphs.items():
        signed, published = one.signed, one.published
        below = one.r[published.source, published.target] < 0
        same = compare(
            labels[how]["leiden"], labels[request.aggregation]["leiden"],
            features=own.positive.nodes,
        )  # fmt: skip
        row: dict[str, Any] = {
            "aggregation": how, "primary": how == request.aggregation,
            "features": signed.features, "tested": signed.tested,
            "positive": int((signed.sign > 0).sum()), "negative": int((signed.sign < 0).sum()),
            "detectable_r": signed.detectable_r, "lost_within": signed.lost_within,
            "published": published.edges, "published_negative": int(below.sum()),
        }  # fmt: skip
        for way, some in labels[how].items():
            row[f"{way}_communities"] = int(some.max(initial=-1)) + 1
        row["edges_shared"] = overlap([own.positive, one.positive])[0]
        row["published_shared"] = overlap([own.published, one.published])[0]
        rows.append(row | {"communities_ari": same.ari})
    return pa.Table.from_pylist(rows)


def _once(graphs: Graphs, request: NetworkRequest) -> dict[str, NDArray[np.int32]]:
    found, _ = leiden(graphs.positive, resolution=request.resolution, seed=request.seed)
    return {"leiden": number_groups(found), "greedy": greedy(graphs.published)[0]}


def _notes(networks: pa.Table, made: Tables, request: NetworkRequest) -> list[str]:
    row = next(row for row in networks.to_pylist() if row["primary"])
    found = made["modularity"].to_pylist()
    of = {one["way"]: one for one in found}
    inside = {way: one["negative_inside"] for way, one in of.items()}
    edges = (
        f"the signed graph has {row['positive']} positive and {row['negative']} negative edges "
        f"among {row['tested']} pairs of {row['features']} features; the published rule gives "
        f"{row['published']}, of which {row['published_negative']} join features that oppose each "
        "other"
    )
    merged = (
        f"{inside['published']} of {of['published']['negative']} negative edges lie inside "
        f"communities as published, {inside['signed']} inside those of the signed graph"
    )
    notes = [edges, merged]
    if row["lost_within"]:
        edges = row["positive"] + row["negative"]
        notes.append(
            f"{row['lost_within']} of {edges} edges are not there within groups of prompts: they "
            "tell answers apart, not prompts"
        )
    if of[request.grouping]["communities"] < 2:
        notes.append(
            f"fewer than two communities of the {request.grouping} graph: nothing can be compared "
            "between them"
        )
    return notes
