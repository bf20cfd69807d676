"""Sections of the report about prompts, attributions, the graph and its metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from queries.studies.network import published
from queries.studies.network.stored import NAMES
from queries.studies.report import (
    Bullets,
    Caption,
    Figure,
    Note,
    Section,
    Table,
    bars,
    community_graph,
    heat_map,
)

if TYPE_CHECKING:
    from queries.studies.network.stored import Stored
    from queries.studies.report import Block

#: Features of a community that the graph names, and those whose ranks are drawn.
NAMED, RANKED = 3, 15


def prompt_section(found: Stored) -> Section:
    """Say which prompts the model gets right."""
    groups = _by_answer(found)
    blocks: list[Block] = [
        (f"In the published study {100 * published.KEPT:.0f} % of the prompts were right. What "
        "follows holds for what the model knows, not for what it does not."),
        Table(
            "known",
            groups,
            "What the model knows, by answer; low and high are the 95 % interval of the share. "
            "'above foils' counts answers above all wrong ones, of which guessing among the "
            "answers would give the share 'chance'.",
            columns={"group": "answer", "candidates": "prompts", "first": "ranks first",
                     "share": "share", "low": "low", "high": "high",
                     "choice": "above foils", "chance": "chance", "kept": "kept"},
        ),
    ]  # fmt: skip
    few = [note for note in found.evidence.notes if "are few" in note]
    blocks += [Note(note.capitalize() + ".") for note in few]
    wrong = [row for row in found.rows("candidates") if not row["first"]]
    if wrong:
        table = pa.Table.from_pylist(wrong[:200])
        blocks.append(
            Table(
                "wrong_prompts", table, "Prompts that the model does not get right.", limit=6,
                columns={"text": "prompt", "answer": "answer", "likeliest": "likeliest token",
                         "rank": "rank of the answer", "logit_diff": "logit difference"},
            )
        )  # fmt: skip
    return Section("Which prompts the model gets right", blocks)


def _by_answer(found: Stored) -> pa.Table:
    """Return the row over all prompts, and those of answers of more than one prompt."""
    rows = [{**row, "group": row["group"] or "all"} for row in found.rows("known")]
    several = [row for row in rows[1:] if row["candidates"] > 1]
    several.sort(key=lambda row: (-row["candidates"], row["group"]))
    return pa.Table.from_pylist([rows[0], *several])


def attribution_section(found: Stored) -> Section:
    """Say what features the metric is attributed to, and how much of it."""
    splits = found.frame("splits")
    parts = ["features", "bias", "error"]
    share = [float((splits[name].abs() / splits[parts].abs().sum(axis=1)).mean()) for name in parts]
    request = found.request
    figure = bars(
        "splits", ["features", "decoder's bias", "not reconstructed"], values=share,
        x_label="mean share of the absolute attribution",
        caption=Caption(
            "Where the attribution lies: stream times gradient splits exactly into the SAE's "
            "features, its decoder's bias and what it does not reconstruct.",
            n=f"{found.kept} prompts", test="none: descriptive", correction="none: no test",
        ),
    )  # fmt: skip
    counts = found.table("counts")
    return Section(
        "Attributions",
        [
            (f"A feature's attribution is its activation times the derivative of the "
            f"{NAMES.get(request.metric, 'log probability')} by it, with what the SAE does not "
            "reconstruct added back. It is aggregated over positions in every way; the rest of "
            f"the study is of the way {request.aggregation!r} and of the {len(found.features)} "
            f"features with an attribution in {_rule(request.features)}. The published study kept "
            f"{published.FEATURES} features by intersection."),
            Table(
                "counts", counts, "Features with an attribution in the prompts.",
                columns={"aggregation": "aggregation", "union": "in any prompt",
                         "half": "in half of them", "intersection": "in every one",
                         "kept": "kept"},
            ),
            figure,
        ],
    )  # fmt: skip


def _rule(features: str | float) -> str:
    words = {"union": "any prompt", "intersection": "every prompt"}
    return words.get(str(features)) or f"{100 * float(features):g} % of the prompts or more"


def graph_section(found: Stored) -> Section:
    """Draw the signed graph and its communities, beside the published rule."""
    modularity = found.rows("modularity")
    networks = found.table("networks").sort_by([("primary", "descending")])
    of = {row["way"]: row for row in modularity}
    blocks: list[Block] = [
        *_graph_figures(found),
        Table(
            "networks",
            networks,
            "The graph by each aggregation, the study's own first. 'lost within' are edges that "
            "are not there within answers; '|r| edges' those of the published rule, 'r < 0' how "
            "many of these oppose each other; 'shared' is the Jaccard index of positive edges, "
            "ARI that of communities, with the first row.",
            columns={"aggregation": "aggregation", "positive": "+ edges",
                     "negative": "- edges", "lost_within": "lost within",
                     "published": "|r| edges",
                     "published_negative": "r < 0",
                     "edges_shared": "shared", "communities_ari": "ARI"},
        ),
        (f"The published rule joins features that oppose each other: "
        f"{sum(r['published_negative_inside'] for r in found.rows('communities', way='published'))}"
        f" of its edges inside communities have a negative r, and "
        f"{of['published']['negative_inside']} of {of['published']['negative']} significant "
        f"negative edges lie inside its communities. Of the signed graph only positive edges make "
        f"communities, and {of['signed']['negative_inside']} negative ones lie inside."),
        Table(
            "communities", found.table("communities"),
            "Communities in every way: the mean Jaccard index with what bootstraps find again "
            "(stable from 0.75), and significant edges inside by sign.", limit=20,
            columns={"way": "way", "community": "community", "features": "features",
                     "recovery": "Jaccard", "stable": "stable",
                     "positive_inside": "inside +",
                     "negative_inside": "inside -"},
        ),
        Table(
            "stability", found.table("stability"), "How far runs agree with each other.",
            columns={"way": "way", "between": "between", "measure": "measure", "mean": "mean",
                     "low": "least", "high": "most", "pairs": "pairs"},
        ),
    ]  # fmt: skip
    return Section("The graph and its communities", blocks)


def _graph_figures(found: Stored) -> list[Block]:
    request = found.request
    edges = found.table("edges")
    signed = edges.filter(pc.field("signed")) if edges.num_rows else edges
    tested = next((row["tested"] for row in found.rows("networks", primary=True)), 0)
    if not signed.num_rows:
        return [Note("No pair of features has a significant correlation: there is no graph.")]
    rows = pa.table(
        {
            "source": np.searchsorted(found.features, signed["source"].to_numpy()),
            "target": np.searchsorted(found.features, signed["target"].to_numpy()),
            "weight": signed["r"],
        }
    )
    correction = f"Benjamini-Hochberg over {tested} pairs, {request.edges.fdr:g}"
    n = f"{found.kept} prompts, {len(found.features)} features, {signed.num_rows} edges"
    test = {"both": "Pearson's and Spearman's r by Fisher's z"}.get(
        request.edges.test, f"{request.edges.test.capitalize()}'s r by Fisher's z"
    )
    graph = community_graph(
        "graph", rows, communities=found.labels, labels=_hubs(found),
        caption=Caption(
            "Features whose attributions rise and fall together over prompts (blue) or oppose "
            "each other (orange, dashed), by community. Named are each community's features of the "
            "most positive edges, with the token where they are strongest.",
            n=n, test=f"{test}, |r| of {request.edges.min_r:g} or more", correction=correction,
        ),
    )  # fmt: skip
    heat = heat_map(
        "correlations", found.r, communities=found.labels, limit=1.0,
        caption=Caption(
            "Correlations of attributions over prompts, features ordered by community; features "
            "without one come last.",
            n=n, test="none: all correlations are shown", correction="none: no test",
        ),
    )  # fmt: skip
    return [graph, heat]


def _hubs(found: Stored) -> dict[int, str]:
    """Return the features with the most positive edges of each community, by their place."""
    rows = found.rows("centralities", graph="signed", measure="degree")
    order = sorted(range(len(rows)), key=lambda k: (-rows[k]["value"], rows[k]["feature"]))
    named: dict[int, list[int]] = {}
    for place in order:
        some = named.setdefault(int(found.labels[place]), [])
        if len(some) < NAMED:
            some.append(place)
    places = [place for label, some in sorted(named.items()) if label >= 0 for place in some]
    return {place: found.names[int(found.features[place])] for place in places}


def metric_section(found: Stored) -> Section:
    """Set the metrics over communities beside the published ones."""
    blocks: list[Block] = []
    table = found.table("metric_table")
    if table.num_columns > 1:
        own = table.filter(pc.equal(table["grouping"], found.request.grouping))
        other = table.filter(pc.not_equal(table["grouping"], found.request.grouping))
        ordered = pa.concat_tables([own, other])
        blocks.append(
            Table(
                "metric_table", ordered,
                "Do communities differ? p is by permutation, with Bonferroni's and Benjamini and "
                "Hochberg's (q) correction over the metrics; KW is Kruskal and Wallis; eta2 has "
                "its 95 % interval. 'published F' is of other features.", limit=24,
                columns={"grouping": "communities", "metric": "metric", "n": "features",
                         "k": "groups", "f": "F", "published_f": "published F",
                         "p_permutation": "p", "p_bonferroni": "Bonf.",
                         "q": "q", "p_kruskal": "p KW",
                         "eta_squared": "eta2", "eta_low": "low", "eta_high": "high"},
            )
        )  # fmt: skip
    else:
        blocks.append(Note("There are fewer than two communities: nothing can be compared."))
    blocks += ["Why these figures need not be the published ones:", Bullets(published.DIFFERENCES)]
    if found.rows("null"):
        blocks += [
            ("A centrality and a community of one graph are bound to each other. Graphs with the "
            "same degrees but edges at random, and communities found anew, show by how much:"),
            Table(
                "null", found.table("null"),
                "F over greedy communities of the published graph against graphs of equal degrees.",
                columns={"measure": "centrality", "f": "F", "null_mean": "mean F of the null",
                         "null_high": "95 % of the null", "p": "p", "graphs": "graphs"},
            ),
        ]  # fmt: skip
    figure = _ranks(found)
    return Section("Metrics over communities", [*blocks, *([figure] if figure else [])])


def _ranks(found: Stored) -> Figure | None:
    rows = found.rows("centralities", graph="signed", measure="eigenvector")
    if not any(row["value"] for row in rows):
        return None
    top = sorted(rows, key=lambda row: (row["rank"], row["feature"]))[:RANKED]
    return bars(
        "ranks", [found.names[row["feature"]] for row in top],
        values=[row["rank_median"] for row in top], low=[row["rank_low"] for row in top],
        high=[row["rank_high"] for row in top], reference=1.0,
        x_label="rank by eigenvector centrality, positive edges",
        caption=Caption(
            "The most central features, with the ranks that they have on bootstraps of the prompts "
            "(median and 95 %).",
            n=f"{found.request.rank_bootstraps} bootstraps of {found.kept} prompts",
            test="none: intervals of ranks", correction="none: no test",
        ),
    )  # fmt: skip
