"""How a concept's features go together: in the prompts, and in a corpus where there is one."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy import stats

from atlas.analysis.network import Network
from atlas.analysis.stability.leiden import leiden
from atlas.extras import extra
from queries.studies.concept.maps import by_size
from queries.studies.inference import false_discovery

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from queries.studies.builds import CorpusFigures
    from queries.studies.concept.activations import Firing
    from queries.studies.concept.setting import Setting

    Floats = NDArray[np.float64]

#: Smallest phi of an edge, and fewest prompts in which both its features fire, and do not.
MIN_PHI, MIN_PROMPTS = 0.3, 3
#: Random sets of features that a corpus subgraph is held against.
DRAWS = 200
KINDS = ("token", "topic", "exclusive")

EDGES = pa.schema(
    [
        ("source", pa.string()),
        ("target", pa.string()),
        ("kind", pa.string()),
        ("weight", pa.float64()),
        ("n_both", pa.int64()),
        ("p", pa.float64()),
        ("q", pa.float64()),
    ]
)
"""A row an edge. Of the kind ``prompts`` both features fire in the same concept prompts more often
than by chance: `weight` is phi, `p` Fisher's, one-sided, `q` over all pairs that could be tested.
Of the other kinds the corpus joins them: `weight` is NPMI, of ``topic`` the correlation over
documents."""

NODES = pa.schema(
    [
        ("feature", pa.string()),
        ("sae", pa.string()),
        ("index", pa.int64()),
        ("prompts", pa.int64()),
        ("degree", pa.int64()),
        ("strength", pa.float64()),
        ("community", pa.int64()),
        ("hub", pa.int64()),
        ("corpus_degree", pa.int64()),
        ("corpus_community", pa.int64()),
    ]
)
"""A row a feature: concept prompts in which it fires, edges of the kind ``prompts`` and the sum of
their weights, community by Leiden (0 the largest, -1 none), place among the hubs by strength, from
1; and, of the corpus, edges of the kind ``token`` to other features of the concept, and community,
null where there is none."""


def subgraph_tables(
    setting: Setting,
    features: Mapping[str, Sequence[int]],
    *,
    firing: Mapping[str, Firing],
    corpora: Mapping[str, CorpusFigures],
) -> dict[str, pa.Table]:
    """Return the graph of a concept's features.

    Parameters
    ----------
    setting
        The study.
    features
        SAE's key to indices of the concept's features.
    firing
        SAE's key to activations in the prompts.
    corpora
        SAE's key to the figures of a build that has it.

    Returns
    -------
    dict
        ``subgraph_edges``, see `EDGES`; ``subgraph_nodes``, see `NODES`; ``subgraph_summary``, a
        row a kind: pairs tested, edges, and of the corpus' kinds how many edges `DRAWS` random
        sets of features that fire as often have (mean and share of sets with as many, `p`).
    """
    keys = [(sae, int(k)) for sae, some in sorted(features.items()) for k in sorted(some)]
    names = [f"{sae}/{k}" for sae, k in keys]
    concept = np.flatnonzero(setting.concept & setting.used)
    fires = np.concatenate(
        [firing[sae].of_features(sorted(some), "max")[concept] > 0
         for sae, some in sorted(features.items())], axis=1,
    )  # fmt: skip
    pairs = joint_firing(fires)
    kept = pairs[(pairs["q"] <= setting.request.fdr) & (pairs["phi"] >= MIN_PHI)]
    network = Network(
        names, kept["source"].to_numpy(np.int32), kept["target"].to_numpy(np.int32),
        kept["phi"].to_numpy(float),
    )  # fmt: skip
    edges = [
        {"source": names[int(row["source"])], "target": names[int(row["target"])],
         "kind": "prompts", "weight": row["phi"], "n_both": int(row["n_both"]), "p": row["p"],
         "q": row["q"]}
        for row in kept.to_dict("records")
    ]  # fmt: skip
    community, about = communities(network, seeds=setting.request.maps.seeds)
    summary: list[dict[str, Any]] = [
        {"kind": "prompts", "sae": None, "features": len(keys), "tested": len(pairs),
         "edges": len(kept), "prompts": len(concept), **about}
    ]  # fmt: skip
    nodes = _nodes(keys, fires, network, community)
    for sae, figures in corpora.items():
        mine = [k for key, k in keys if key == sae]
        joined, rows = corpus_edges(figures, sae, mine, seed=setting.request.seed)
        edges += joined
        summary += rows
        _add_corpus(nodes, figures, sae, joined)
    return {
        "subgraph_edges": pa.Table.from_pylist(edges, schema=EDGES),
        "subgraph_nodes": pa.Table.from_pylist(nodes, schema=NODES),
        "subgraph_summary": pa.Table.from_pandas(pd.DataFrame(summary), preserve_index=False),
    }


def joint_firing(fires: NDArray[np.bool_]) -> pd.DataFrame:
    """Test every pair of features for firing in the same prompts.

    Prompts are those of one set: over both sets any two features of the concept would go together.

    Parameters
    ----------
    fires
        bool ``[prompts, features]``.

    Returns
    -------
    DataFrame
        A row a pair of features that fire in at least `MIN_PROMPTS` prompts and stay silent in as
        many: places `source` < `target`, `n_both`, `phi`, Fisher's one-sided `p`, and `q`.
    """
    n = len(fires)
    often = fires.sum(axis=0)
    some = np.flatnonzero((often >= MIN_PROMPTS) & (n - often >= MIN_PROMPTS))
    low, high = np.triu_indices(len(some), 1)
    source, target = some[low], some[high]
    numbers = fires.astype(np.int64)
    both = (numbers.T @ numbers)[source, target]
    a, b = often[source].astype(float), often[target].astype(float)
    phi = (n * both - a * b) / np.sqrt(a * b * (n - a) * (n - b))
    p = stats.hypergeom.sf(both - 1, n, often[source], often[target])
    return pd.DataFrame(
        {"source": source, "target": target, "n_both": both, "phi": phi, "p": p,
         "q": false_discovery(p) if len(p) else p}
    )  # fmt: skip


def communities(network: Network, *, seeds: int) -> tuple[NDArray[np.int64], dict[str, Any]]:
    """Group features by Leiden, and say how far runs from several seeds agree.

    Returns
    -------
    labels
        int64 ``[nodes]`` of the run of the largest modularity, -1 without an edge.
    about
        Its `modularity`, the number of `communities`, and the mean adjusted Rand index of pairs
        of runs, `stability`.
    """
    labels = np.full(network.nodes, -1, np.int64)
    if not network.edges:
        return labels, {"communities": 0, "modularity": float("nan"), "stability": float("nan")}
    runs = [leiden(network, resolution=1.0, seed=seed) for seed in range(seeds)]
    found, modularity = max(runs, key=lambda run: round(run[1], 9))
    linked = found >= 0
    labels[linked] = by_size(found[linked])
    score = extra("sklearn.metrics").adjusted_rand_score
    agreement = [score(a[0][linked], b[0][linked]) for a, b in combinations(runs, 2)]
    about = {"communities": int(labels.max()) + 1, "modularity": modularity}
    return labels, {**about, "stability": float(np.mean(agreement))}


def corpus_edges(
    figures: CorpusFigures, sae: str, index: Sequence[int], *, seed: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return a corpus' edges among features, and how many random features have.

    Returns
    -------
    list of dict
        Rows of `EDGES`.
    list of dict
        A row a kind; see `subgraph_tables`.
    """
    rng = np.random.default_rng([seed, len(index)])
    drawn = [_as_often(figures.rate, index, rng) for _ in range(DRAWS)]
    edges, summary = [], []
    for kind in KINDS:
        table = figures.edges(kind)
        source, target = (table[end].to_numpy() for end in ("source", "target"))

        def among(some: Sequence[int] | NDArray[np.int64], a: Any = source, b: Any = target) -> Any:
            inside = np.zeros(figures.d_sae, bool)
            inside[list(some)] = True
            return inside[a] & inside[b]

        ours = among(index)
        random = np.array([int(among(one).sum()) for one in drawn])
        summary.append(
            {"kind": kind, "sae": sae, "features": len(index), "edges": int(ours.sum()),
             "tested": None, "random": float(random.mean()),
             "p": float((1 + (random >= ours.sum()).sum()) / (1 + DRAWS))}
        )  # fmt: skip
        weight = table["r_topic" if kind == "topic" else "npmi"].to_numpy()
        together = table["n"].to_numpy()
        edges += [
            {"source": f"{sae}/{source[k]}", "target": f"{sae}/{target[k]}", "kind": kind,
             "weight": float(weight[k]), "n_both": int(together[k]), "p": None,
             "q": None}
            for k in np.flatnonzero(ours)
        ]  # fmt: skip
    return edges, summary


def _as_often(rate: Floats, index: Sequence[int], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw a feature that fires about as often as each of some, none of them, none twice."""
    order = np.argsort(rate, kind="stable")
    place = np.empty(len(rate), np.int64)
    place[order] = np.arange(len(rate))
    taken = set(map(int, index))
    found = []
    for k in index:
        near = order[max(0, place[k] - 25) : place[k] + 26]
        free = [int(one) for one in near if int(one) not in taken]
        if free:
            found.append(free[int(rng.integers(len(free)))])
            taken.add(found[-1])
    return np.array(found, np.int64)


def _nodes(
    keys: Sequence[tuple[str, int]],
    fires: NDArray[np.bool_],
    network: Network,
    community: NDArray[np.int64],
) -> list[dict[str, Any]]:
    ends = np.concatenate([network.source, network.target])
    degree = np.bincount(ends, minlength=len(keys))
    strength = np.bincount(ends, np.tile(network.weight, 2), minlength=len(keys))
    order = np.lexsort((np.arange(len(keys)), -strength.round(9)))
    hub = np.empty(len(keys), np.int64)
    hub[order] = np.arange(1, len(keys) + 1)
    return [
        {
            "feature": f"{sae}/{k}", "sae": sae, "index": k, "prompts": int(fires[:, place].sum()),
            "degree": int(degree[place]), "strength": float(strength[place]),
            "community": int(community[place]), "hub": int(hub[place]),
            "corpus_degree": None, "corpus_community": None,
        }
        for place, (sae, k) in enumerate(keys)
    ]  # fmt: skip


def _add_corpus(
    nodes: Sequence[dict[str, Any]],
    figures: CorpusFigures,
    sae: str,
    joined: Sequence[Mapping[str, Any]],
) -> None:
    groups = figures.communities()
    tokens = [row for row in joined if row["kind"] == "token"]
    for node in nodes:
        if node["sae"] == sae:
            name = node["feature"]
            node["corpus_degree"] = sum(name in {row["source"], row["target"]} for row in tokens)
            group = -1 if groups is None else int(groups[node["index"]])
            node["corpus_community"] = group if group >= 0 else None
