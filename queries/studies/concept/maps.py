"""Groups and maps of a concept's features, by the directions of their decoder."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from atlas.analysis.layout.vectors import tsne_layout, umap_layout, unit_vectors
from atlas.extras import extra
from queries.followups.codes import directions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from queries.studies.concept.request import Maps
    from queries.studies.concept.setting import Setting

    Floats = NDArray[np.float64]

#: Fewest features of an SAE for a map.
FEWEST = 8
#: Of the maps; smaller where there are few features.
NEIGHBOURS, PERPLEXITY = 15, 30.0

GROUPS = pa.schema(
    [
        ("feature", pa.string()),
        ("sae", pa.string()),
        ("index", pa.int64()),
        ("group", pa.int64()),
        ("silhouette", pa.float64()),
        ("tsne_x", pa.float64()),
        ("tsne_y", pa.float64()),
        ("umap_x", pa.float64()),
        ("umap_y", pa.float64()),
    ]
)
"""A row a feature: its group (0 is the largest of its SAE), the feature's silhouette, its place in
both maps, each in the unit square."""

CHOICES = pa.schema(
    [
        ("sae", pa.string()),
        ("features", pa.int64()),
        ("groups", pa.int64()),
        ("silhouette", pa.float64()),
        ("stability", pa.float64()),
        ("stability_low", pa.float64()),
        ("chosen", pa.bool_()),
    ]
)
"""A row an SAE and number of groups: mean silhouette by cosine, and the mean and least adjusted
Rand index between runs of k-means from different seeds."""


def map_tables(setting: Setting, sae: str, index: Sequence[int]) -> dict[str, pa.Table]:
    """Group features of an SAE and put them on maps.

    Parameters
    ----------
    setting
        The study.
    sae
        Key of the SAE.
    index
        Indices of its features, from 0.

    Returns
    -------
    dict
        ``groups``, see `GROUPS`, and ``group_choices``, see `CHOICES`; both empty for fewer than
        `FEWEST` features.
    """
    if len(index) < FEWEST:
        return {"groups": GROUPS.empty_table(), "group_choices": CHOICES.empty_table()}
    units = unit_vectors(directions(setting.lab.sae(sae), list(index)).float().cpu().numpy())
    seed = setting.request.seed
    labels, silhouettes, choices = grouped(units, settings=setting.request.maps, seed=seed)
    most = len(index) - 1
    tsne = tsne_layout(units, perplexity=min(PERPLEXITY, most / 3), seed=seed)
    umap = umap_layout(units, neighbours=min(NEIGHBOURS, most), seed=seed)
    columns = [
        [f"{sae}/{k}" for k in index], [sae] * len(index), list(index), labels, silhouettes,
        tsne[:, 0], tsne[:, 1], umap[:, 0], umap[:, 1],
    ]  # fmt: skip
    rows = [{"sae": sae, "features": len(index), **row} for row in choices]
    return {
        "groups": pa.table(columns, schema=GROUPS),
        "group_choices": pa.Table.from_pylist(rows, schema=CHOICES),
    }


def grouped(
    units: NDArray[np.float32], *, settings: Maps, seed: int
) -> tuple[NDArray[np.int64], Floats, list[dict[str, Any]]]:
    """Group vectors by k-means, with as many groups as have the largest silhouette.

    Parameters
    ----------
    units
        float32 ``[features, dimensions]``, of length 1.
    settings
        Largest number of groups, and runs.
    seed
        Of the first run; each run has the next.

    Returns
    -------
    labels
        int64 ``[features]``, 0 for the largest group.
    silhouettes
        float64 ``[features]``, by cosine.
    choices
        What each number of groups gave.
    """
    cluster, metrics = extra("sklearn.cluster"), extra("sklearn.metrics")
    fits: list[NDArray[np.int64]] = []
    choices: list[dict[str, Any]] = []
    for k in range(2, min(settings.most, len(units) - 1) + 1):
        runs = [
            cluster.KMeans(k, n_init=4, random_state=seed + run).fit(units)
            for run in range(settings.seeds)
        ]
        # Of all runs the closest fit stands for this number of groups.
        labels = min(runs, key=lambda run: round(float(run.inertia_), 9)).labels_
        agreement = [
            metrics.adjusted_rand_score(one.labels_, other.labels_)
            for one, other in combinations(runs, 2)
        ]
        score = float(metrics.silhouette_score(units, labels, metric="cosine"))
        choices.append(
            {
                "groups": k, "silhouette": score, "stability": float(np.mean(agreement)),
                "stability_low": float(np.min(agreement)), "chosen": False,
            }
        )  # fmt: skip
        fits.append(by_size(labels))
    best = int(np.argmax([round(row["silhouette"], 9) for row in choices]))
    choices[best]["chosen"] = True
    silhouettes = metrics.silhouette_samples(units, fits[best], metric="cosine")
    return fits[best], np.asarray(silhouettes, float), choices


def by_size(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return labels numbered from 0 by falling size, equal ones by their first member."""
    _, first, back, sizes = np.unique(
        labels, return_index=True, return_inverse=True, return_counts=True
    )
    number = np.empty(len(first), np.int64)
    number[np.lexsort((first, -sizes))] = np.arange(len(first))
    return number[back]
