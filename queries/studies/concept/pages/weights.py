"""Sections on logit weights, on groups and maps, and on how features go together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from queries.studies.concept.pages.view import BETWEEN, View, arrow, names, sae_name, short, slug
from queries.studies.concept.subgraph import DRAWS
from queries.studies.report import (
    Block,
    Bullets,
    Caption,
    Figure,
    Section,
    Table,
    community_graph,
    feature_map,
    scatter,
)

#: Other features that a picture shows; tokens of a feature in a table.
POINTS, TOKENS = 1500, 6


def weight_section(view: View) -> Section:
    """Show moments of logit weights against sparsity, the ends, and promoted tokens."""
    frame = view.frame("logit_weights")
    sure = set(view.confirmed["feature"])
    blocks: list[Block] = [
        "Logit weights are a feature's decoder direction times the unembedding, one number a "
        "token; their skewness and excess kurtosis over the vocabulary say whether the feature "
        "speaks for a few tokens. The log sparsity is the decimal logarithm of the share of "
        "positions at which it fires, in "
        + " and ".join(sorted({"the " + str(name) for name in frame["rate_source"]}))
        + "."
    ]
    for sae, mine in frame.groupby("sae", sort=False):
        blocks += [_moments(view, str(sae), mine), _sparsity(view, str(sae), mine)]
    headings = {
        "name": "SAE", "measure": "moment", "spearman": "correlation with log sparsity",
        "median_confirmed": "median, confirmed", "median_other": "median, others", "auc": "AUC",
        "p": "p", "q": "q",
    }  # fmt: skip
    summary = view.frame("weight_summary")
    blocks += [
        Table(
            "weight_summary", arrow(summary.assign(name=summary["sae"].str.rpartition("/")[2])),
            f"Moments of {len(sure)} confirmed and of other features that fire. Of the directions "
            "as they are and, as cosine, of directions and tokens scaled to length 1. AUC: how "
            "often a confirmed feature has the higher value; Mann-Whitney, Benjamini-Hochberg over "
            "the rows. Features are not independent of each other, which these p ignore.",
            columns=headings,
        ),
        *_ends(view),
        _tokens(view),
    ]  # fmt: skip
    return Section("What the features write to the logits", blocks)


def _drawn(frame: pd.DataFrame, sure: set[str]) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the confirmed features and some others, with 0 for those and -1 for these."""
    ours = frame[frame["feature"].isin(sure)]
    others = frame[~frame["feature"].isin(sure)]
    if len(others) > POINTS:
        others = others.sample(POINTS, random_state=0)
    found = pd.concat([others, ours], ignore_index=True)
    return found, np.where(found["feature"].isin(sure), 0, -1)


def _cloud(
    view: View, name: str, frame: pd.DataFrame, *, columns: tuple[str, str], text: str
) -> Figure:
    sure = set(view.confirmed["feature"])
    some, groups = _drawn(frame[frame[list(columns)].notna().all(axis=1)], sure)
    far = some[groups == 0].nlargest(4, columns[1])
    caption = Caption(
        text, n=f"{len(frame)} features; shown are the {(groups == 0).sum()} confirmed ones and "
        f"{(groups < 0).sum()} others" + (", drawn at random" if len(some) < len(frame) else ""),
        test="none: descriptive; see the table", correction="none here",
    )  # fmt: skip
    titles = {"skewness": "skewness", "kurtosis": "excess kurtosis", "log_sparsity": "log sparsity"}
    return scatter(
        name, some[list(columns)].to_numpy(float), caption=caption, x_label=titles[columns[0]],
        y_label=titles[columns[1]], groups=groups,
        labels=names(far["feature"], short),
        group_names={-1: "other features", 0: "confirmed"},
    )  # fmt: skip


def _moments(view: View, sae: str, frame: pd.DataFrame) -> Figure:
    return _cloud(
        view,
        f"moments-{slug(sae)}",
        frame,
        columns=("skewness", "kurtosis"),
        text=f"Skewness and excess kurtosis of the logit weights of {sae_name(sae)}.",
    )


def _sparsity(view: View, sae: str, frame: pd.DataFrame) -> Figure:
    return _cloud(
        view,
        f"sparsity-{slug(sae)}",
        frame,
        columns=("log_sparsity", "kurtosis"),
        text="Excess kurtosis of the logit weights against the log sparsity, features that fire, "
        f"{sae_name(sae)}.",
    )


def _ends(view: View) -> list[Table]:
    frame = view.frame("weight_ends")
    promoted, suppressed = (view.tokens("standardised", s) for s in ("promoted", "suppressed"))
    shown = frame.assign(
        name=frame["feature"].map(short),
        promoted=frame["feature"].map(promoted).map(_cut),
        suppressed=frame["feature"].map(suppressed).map(_cut),
    )
    columns = {
        "name": "feature", "measure": "moment", "side": "end", "rank": "rank", "value": "value",
        "log_sparsity": "log sparsity", "promoted": "promotes", "suppressed": "suppresses",
    }  # fmt: skip
    text = "The ten features with the highest and lowest value of each moment and SAE"
    return [
        Table("weight_ends", arrow(shown), f"{text}, with their standardised tokens.",
              limit=20, columns=columns)
    ]  # fmt: skip


def _tokens(view: View) -> Table:
    top = view.frame("top_features")[["feature", "confirmed"]]
    shown = top.assign(name=top["feature"].map(short), fires=top["feature"].map(view.words))
    for way in ("raw", "standardised"):
        for side in ("promoted", "suppressed"):
            shown[f"{way}_{side}"] = top["feature"].map(view.tokens(way, side)).map(_cut)
    columns = {
        "name": "feature", "fires": "fires on", "standardised_promoted": "promotes",
        "standardised_suppressed": "suppresses", "raw_promoted": "promotes, raw",
        "raw_suppressed": "suppresses, raw",
    }  # fmt: skip
    return Table(
        "promoted", arrow(shown),
        "What the first features fire on in the prompts, and the tokens that they promote and "
        "suppress. Raw lists are headed by the same few tokens of large norm.",
        columns=columns,
    )  # fmt: skip


def _cut(words: object) -> str:
    return BETWEEN.join(words.split(BETWEEN)[:TOKENS]) if isinstance(words, str) else ""


def map_section(view: View) -> Section:
    """Show groups of features by decoder direction, and maps."""
    frame, choices = view.frame("groups"), view.frame("group_choices")
    blocks: list[Block] = []
    if frame.empty:
        blocks.append("Too few features are confirmed for groups and maps.")
        return Section("Groups and maps of the features", blocks)
    blocks.append(
        "The confirmed features of each SAE, by the cosine of their decoder directions. The number "
        "of groups is that of the largest mean silhouette; stability is the mean adjusted Rand "
        f"index between {view.request.maps.seeds} runs of k-means from other seeds. A silhouette "
        "near 0 says that there are no groups to speak of."
    )
    for sae, mine in frame.groupby("sae", sort=False):
        blocks += _maps(view, str(sae), mine.reset_index(drop=True), choices)
    rows = [
        {"SAE": str(sae).rpartition("/")[2], "group": group, "features": len(mine),
         "silhouette": mine["silhouette"].mean(),
         "members": "; ".join(view.label(f) for f in mine.nlargest(6, "silhouette")["feature"])}
        for (sae, group), mine in frame.groupby(["sae", "group"], sort=False)
    ]  # fmt: skip
    rows.sort(key=lambda row: (row["SAE"], row["group"]))
    blocks.append(
        Table(
            "group-members",
            pa.Table.from_pylist(rows),
            "The groups, with the members closest to their group.",
            limit=20,
        )
    )
    return Section("Groups and maps of the features", blocks)


def _maps(view: View, sae: str, frame: pd.DataFrame, choices: pd.DataFrame) -> list[Figure]:
    chosen = choices[(choices["sae"] == sae) & choices["chosen"]].iloc[0]
    first = frame.sort_values(["group", "silhouette"], ascending=[True, False])
    labels = names(first.groupby("group").head(2)["feature"], view.label)
    found = []
    for name, title in (("tsne", "t-SNE"), ("umap", "UMAP")):
        caption = Caption(
            f"{title} of the confirmed features of {sae_name(sae)}, coloured by {chosen['groups']} "
            f"groups (silhouette {chosen['silhouette']:.2f}, stability {chosen['stability']:.2f}). "
            "Only what lies close together means something.",
            n=f"{len(frame)} features", test="none: descriptive", correction="none",
        )  # fmt: skip
        found.append(
            feature_map(f"{name}-{slug(sae)}",
                        frame[[f"{name}_x", f"{name}_y"]].to_numpy(float), caption=caption,
                        groups=frame["group"].to_numpy(), labels=labels)
        )  # fmt: skip
    return found


def subgraph_section(view: View) -> Section:
    """Show which features go together in the prompts and in a corpus."""
    nodes, edges = view.frame("subgraph_nodes"), view.frame("subgraph_edges")
    summary = view.frame("subgraph_summary")
    if nodes.empty:
        return Section("The concept's subgraph", ["No feature is confirmed."])
    row = next(
        one for one in view.tables["subgraph_summary"].to_pylist() if one["kind"] == "prompts"
    )
    blocks: list[Block] = [
        (
            "An edge joins two confirmed features that fire in the same concept prompts more often "
            f"than by chance: {row['edges']:.0f} of {row['tested']:.0f} pairs. Only the concept's "
            "prompts count, since over both sets any two of its features would go together."
        )
    ]
    ours = edges[edges["kind"] == "prompts"]
    if len(ours):
        blocks.append(_picture(view, nodes, ours, row))
    hubs = nodes.sort_values("hub").assign(
        name=nodes["feature"].map(short), fires=nodes["feature"].map(view.words)
    )
    columns = {
        "hub": "rank", "name": "feature", "fires": "fires on", "prompts": "concept prompts",
        "degree": "edges", "strength": "summed phi", "community": "community",
        "corpus_degree": "token edges in the corpus", "corpus_community": "corpus community",
    }  # fmt: skip
    blocks.append(
        Table("subgraph_nodes", arrow(hubs), "Hubs: features by the summed phi of their edges.",
              columns=columns)
    )  # fmt: skip
    corpus = summary[summary["kind"] != "prompts"]
    if corpus.empty:
        blocks.append("No build was given, so the corpus' edges are not known.")
    else:
        said = [
            f"{line['kind']} edges, {sae_name(line['sae'])}: {line['edges']:.0f} among "
            f"{line['features']:.0f} features, {line['random']:.1f} on average among random "
            f"features that fire as often (p = {line['p']:.3f}, {DRAWS} random sets)"
            for line in corpus.to_dict("records")
        ]
        blocks += ["In the build's corpus:", Bullets(said)]
    return Section("The concept's subgraph", blocks)


def _picture(view: View, nodes: pd.DataFrame, edges: pd.DataFrame, row: dict[str, Any]) -> Figure:
    place = {feature: k for k, feature in enumerate(nodes["feature"])}
    table = pa.table(
        {
            "source": [place[one] for one in edges["source"]],
            "target": [place[one] for one in edges["target"]],
            "weight": edges["weight"].to_numpy(float),
        }
    )
    hubs = nodes[nodes["degree"] > 0].nsmallest(5, "hub")
    caption = Caption(
        f"Features that fire in the same concept prompts, in {row['communities']:.0f} communities "
        f"(modularity {row['modularity']:.2f}; runs from other seeds agree to an adjusted Rand "
        f"index of {row['stability']:.2f}). The hubs are named.",
        n=f"{row['prompts']:.0f} concept prompts, {len(nodes)} features",
        test="Fisher's, one-sided, and phi of at least 0.3",
        correction=f"Benjamini-Hochberg over {row['tested']:.0f} pairs",
    )
    return community_graph(
        "subgraph", table, caption=caption, communities=nodes["community"].to_numpy(np.int64),
        labels=names(hubs["feature"], view.label),
    )  # fmt: skip
