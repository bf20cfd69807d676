"""Sections on the prompts, the filter and the features that were found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from queries.studies.concept.pages.view import View, arrow, names, short
from queries.studies.report import (
    Block,
    Bullets,
    Caption,
    Figure,
    Note,
    Section,
    ShadedText,
    Table,
    bars,
    scatter,
)

if TYPE_CHECKING:
    import pandas as pd

#: Prompts whose text is shaded, and features of a forest plot.
EXAMPLES, FOREST = 6, 12
#: Effects as large as this are of features that hardly vary within a set, and are not drawn.
CLEAR = 50.0
GROUPS = {-1: "not found", 0: "confirmed", 1: "confirmed for the control", 2: "found only"}


def prompt_section(view: View) -> Section:
    """Say which prompts turn on their term, and show some of them."""
    frame = view.frame("prompt_rows")
    asked = frame[frame["kept"].notna()]
    blocks: list[Block] = [
        (
            f"{(frame['set'] == 'concept').sum()} prompts of the concept and "
            f"{(frame['set'] == 'control').sum()} controls. Half of the "
            f"{'pairs' if view.request.matches else 'prompts'}, drawn by seed {view.request.seed}, "
            "are the training half."
        )
    ]
    if asked.empty:
        blocks.append("No prompt has a term, so none was filtered.")
    else:
        settings = view.request.shap
        what = "the likeliest next token" if settings.of == "next" else "the prompt's answer"
        said = [
            f"{group}: {int(mine['kept'].sum())} of {len(mine)} kept"
            for group, mine in asked.groupby("set", sort=False)
        ]
        blocks += [
            (
                f"The filter keeps a prompt where a token of its term is among the first "
                f"{settings.top} by the size of its SHAP value for the log odds of {what}. Both "
                "sets are filtered by this rule, each by its own terms. To choose prompts by what "
                "the model does with them may bias what is found on them, so the contrast is made "
                "with the filter and without."
            ),
            Bullets(said),
            *_shaded(view, asked),
        ]
    shown = frame[["prompt", "set", "half", "term", "next", "term_rank", "kept", "reason"]]
    blocks.append(
        Table("prompt_rows", arrow(shown), "The prompts, whether the filter keeps them, and why.")
    )
    return Section("Prompts and the filter", blocks)


def _shaded(view: View, asked: pd.DataFrame) -> list[ShadedText]:
    """Shade the first prompts of either set that are kept, and dropped ones."""
    explained = {
        row["prompt"]: row
        for row in view.tables["explanations"].to_pylist()
        if row["players"] == "tokens"
    }
    chosen = [
        row
        for kept, number in ((True, 2), (False, 1))
        for group in ("concept", "control")
        for row in asked[(asked["kept"] == kept) & (asked["set"] == group)]
        .head(number).to_dict("records")
    ][:EXAMPLES]  # fmt: skip
    found = []
    for row in chosen:
        about = explained[row["prompt"]]
        caption = Caption(
            f"{row['prompt']} ({row['set']}): SHAP values of tokens for the log odds of "
            f"{about['target']!r}, {about['base']:.2f} without any token and {about['value']:.2f} "
            f"with all. {'Kept' if row['kept'] else 'Dropped'}: {row['reason']}.",
            n="1 prompt", test="none: descriptive", correction="none",
        )  # fmt: skip
        found.append(ShadedText(about["names"], about["values"], caption))
    return found


def feature_section(view: View) -> Section:
    """List the features, with the effect in both halves."""
    row = view.confirmation
    blocks: list[Block] = [
        (
            f"{row['features']} features fire in at least {view.request.min_prompts} training "
            f"prompts and were tested ({view.sizes}). {row['found_more']} fire more for the "
            f"concept on the training half (q at most {view.request.fdr:g}), and "
            f"{row['confirmed']} of these are confirmed on the held-out half, with the same sign "
            f"and q at most {view.request.fdr:g} among those found. With these numbers a "
            f"difference of {row['detectable_g']:.2f} standard deviations is found with 80 % power "
            f"in one feature, one of {row['detectable_g_corrected']:.2f} after correction for all."
        ),
        "Indices of features are from 0.",
    ]
    top = view.frame("top_features")
    shown = top.assign(
        name=top["feature"].map(short), fires_on=top["feature"].map(view.words)
    ).rename(columns={"fires_concept": "in_concept", "fires_control": "in_control"})
    columns = {
        "name": "feature", "fires_on": "fires on", "mean_concept": "concept",
        "mean_control": "control", "g": "g", "g_held": "g held out", "auc_held": "AUC held out",
        "q": "q", "q_held": "q held out", "confirmed": "confirmed", "beyond_2sd": "beyond 2 sd",
    }  # fmt: skip
    blocks += [
        Table(
            "top_features", arrow(shown),
            f"The first {len(top)} features by {view.request.order} on the training half: "
            f"{view.request.statistic} activation over a prompt's tokens, mean over prompts. "
            f"{view.sizes}; permutation of {view.unit}, Benjamini-Hochberg.",
            columns=columns,
        ),
        *_forest(view),
        _halves(view),
    ]  # fmt: skip
    return Section("Features of the concept", blocks)


def _forest(view: View) -> list[Figure]:
    some = view.frame("top_features").head(FOREST)
    some = some[some[["g", "g_low", "g_high", "g_held"]].notna().all(axis=1)]
    some = some[some[["g", "g_held"]].abs().max(axis=1) < CLEAR]
    if some.empty:
        return []
    labels, values, low, high, marked = [], [], [], [], []
    for row in some.to_dict("records"):
        for tail in ("", "_held"):
            labels.append("held out" if tail else view.label(row["feature"]))
            values.append(row[f"g{tail}"])
            low.append(row[f"g_low{tail}"])
            high.append(row[f"g_high{tail}"])
            marked.append(bool(tail) and bool(row["confirmed"]))
    caption = Caption(
        "Hedges' g of the first features, on the training half and under it held out, with 95 % "
        "bootstrap intervals. Filled: confirmed on the held-out half. The training half chose "
        "them, so that its values are too large.",
        n=view.sizes, test=f"permutation of {view.unit}",
        correction="Benjamini-Hochberg over features",
    )  # fmt: skip
    return [
        bars("effect-sizes", labels, values=np.array(values), low=np.array(low),
             high=np.array(high), caption=caption, x_label="Hedges' g", marked=marked)
    ]  # fmt: skip


def _halves(view: View) -> Figure:
    frame = view.contrast
    some = frame[frame[["g", "g_held"]].abs().max(axis=1) < CLEAR].reset_index(drop=True)
    some = some[some["g"].notna() & some["g_held"].notna()].reset_index(drop=True)
    less = some["replicated"] & (some["difference"] < 0)
    groups = np.select([some["confirmed"], less, some["found"]], [0, 1, 2], -1)
    first = some[some["confirmed"]].head(5)
    row = view.confirmation
    caption = Caption(
        "Effect of every tested feature on the training half and on the held-out half; Spearman's "
        f"correlation is {row['rank_correlation']:.2f}. Of those found, the effect held out is "
        f"{row['shrinkage']:.2f} of that in training (median).",
        n=f"{len(some)} features; {view.sizes}", test=f"permutation of {view.unit}",
        correction="Benjamini-Hochberg over features, and over those found",
    )  # fmt: skip
    return scatter(
        "halves", some[["g", "g_held"]].to_numpy(float), caption=caption,
        x_label="Hedges' g, training half", y_label="Hedges' g, held out",
        labels=names(first["feature"], short),
        groups=groups, group_names=GROUPS,
        line=(1.0, 0.0), x_zero=True, y_zero=True,
    )  # fmt: skip


def comparison_section(view: View) -> Section:
    """Set the filtered contrast and the published outlier rule beside what was done."""
    frame = view.contrast
    lost = frame[frame["beyond_2sd"]].sort_values("rank")
    sure = int(lost["confirmed"].sum())
    said = [note for note in view.notes if "standard deviations" in note]
    headings = {name: name.replace("_", " ") for name in (
        "selection", "features", "concept_train", "concept_held", "found_more", "confirmed",
        "rate", "rate_low", "rate_high", "rank_correlation", "shrinkage")}  # fmt: skip
    shown = lost.assign(name=lost["feature"].map(short), fires_on=lost["feature"].map(view.words))
    columns = {
        "name": "feature", "fires_on": "fires on", "difference": "difference", "rank": "rank",
        "q": "q", "q_held": "q held out", "confirmed": "confirmed",
    }  # fmt: skip
    agreement = _agreement(view)
    blocks: list[Block] = [
        Table("confirmation", view.tables["confirmation"], "With the filter and without: how many "
              "features are found on the training half and confirmed.", columns=headings),
        *([agreement] if agreement else []),
        ("The published analysis dropped features whose difference lies beyond 2 standard "
        "deviations of all differences. Here nothing is dropped. The rule would have lost "
        f"{len(lost)} of {len(frame)} features, {sure} of the {len(view.confirmed)} confirmed."),
        Note(" ".join(said)) if said else "No feature would have been dropped.",
        Table("beyond-2sd", arrow(shown), "Features that the published rule would have dropped, by "
              "the rank of their difference.", columns=columns),
    ]  # fmt: skip
    return Section("With the filter, and without; outliers", blocks)


def _agreement(view: View) -> str | None:
    frame = view.frame("contrast")
    parts = {name: mine.set_index("feature") for name, mine in frame.groupby("selection")}
    if len(parts) < 2:
        return None
    every, some = parts["all"], parts["filtered"]
    top = view.request.top
    first = [set(part.nsmallest(top, "rank_order").index) for part in (every, some)]
    sure = [set(part.index[part["confirmed"]]) for part in (every, some)]
    g = every["g"].corr(some["g"].reindex(every.index), method="spearman")
    return (
        f"Of the first {top} features, {len(first[0] & first[1])} are the same with and without "
        f"the filter; {len(sure[0] & sure[1])} features are confirmed both ways, {len(sure[0])} "
        f"without and {len(sure[1])} with it. Effect sizes on the training half correlate with "
        f"{g:.2f} (Spearman)."
    )
