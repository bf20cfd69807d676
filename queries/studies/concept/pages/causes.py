"""Sections on patching, attention, SHAP values of features, and steering."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from queries.studies.concept.pages.view import View, arrow, sae_name, short, slug
from queries.studies.report import (
    Block,
    Bullets,
    Caption,
    Figure,
    Links,
    Section,
    ShadedText,
    Table,
    bars,
    curves,
    shap_bars,
)

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    import pandas as pd

#: Rows of a picture.
ROWS = 20


def patch_section(view: View) -> Section:
    """Say what of a concept prompt's answer its features carry to the matched control."""
    frame = view.frame("patch_summary")
    if frame.empty:
        return Section("Activation patching", ["Nothing was patched; see the notes."])
    some = frame[(frame["metric"] == "logit_diff") & frame["share"].notna()].reset_index(drop=True)
    some = some.assign(label=[_patch_name(view, row) for row in some.to_dict("records")])
    shown = some[some["share_low"].notna()].head(ROWS)
    blocks: list[Block] = [
        (
            "In each held-out pair, parts of the control prompt's run are set to what they are in "
            "the concept prompt's. The share is the part of the difference of the metric that "
            "comes with them: the logit of the concept prompt's answer less that of the control's, "
            "each the likeliest next token where a prompt has no answer. The stream at a hook as a "
            "whole is the ceiling; the error is what the SAE does not reconstruct. A control is a "
            "set of random features that fire as often and as strongly in concept prompts."
        )
    ]
    if len(shown):
        caption = Caption(
            "Share of the difference between control and concept prompt that comes with each "
            "patch, with 95 % intervals. Filled: q at most 0.05.",
            n=f"{int(shown['prompts'].max())} held-out pairs",
            test="Student's t of the change over pairs",
            correction=f"Benjamini-Hochberg over {len(some)} patches",
        )
        blocks.append(
            bars("patching", shown["label"].tolist(), values=shown["share"].to_numpy(float),
                 low=shown["share_low"].to_numpy(float), high=shown["share_high"].to_numpy(float),
                 caption=caption, x_label="share of the difference",
                 marked=[bool(q <= 0.05) for q in shown["q"].fillna(1.0)])
        )  # fmt: skip
    columns = {"label": "patched", "clean": "concept", "corrupt": "control", "patched": "patched ",
               "share": "share", "share_low": "low", "share_high": "high", "p": "p", "q": "q",
               "prompts": "pairs"}  # fmt: skip
    blocks.append(Table("patching-shares", arrow(some), "All patches.", columns=columns))
    return Section("Activation patching", blocks)


def _patch_name(view: View, row: Mapping[Hashable, object]) -> str:
    name = str(row["name"])
    if row["what"] != "set":
        return f"{row['what']}, {str(row['sae']).split('/')[-1]}"
    what, _, where = name.partition(" of ")
    if what == "features" or what.startswith("control"):
        return f"{'set' if what == 'features' else what}, {where.rpartition('/')[2]}"
    return view.label(name)


def head_section(view: View) -> Section:
    """Say which heads look from the last token at the term."""
    frame = view.frame("term_heads")
    if frame.empty:
        return Section("Attention to the term", ["No prompt has a term for heads to look at."])
    some = frame.head(ROWS)
    names = [f"layer {row.layer}, head {row.head}" for row in some.itertuples()]
    caption = Caption(
        "Weight from the last token on the tokens of the term, beyond what an even share of what "
        "the head does not give BOS would be, with 95 % intervals. Filled: q at most "
        f"{view.request.fdr:g}. Layers and heads are from 0.",
        n=f"{int(some['prompts'].max())} held-out concept prompts", test="sign flips of prompts",
        correction=f"Benjamini-Hochberg over {len(frame)} heads",
    )  # fmt: skip
    above = some["expected"].to_numpy(float)
    blocks: list[Block] = [
        "A weight says where a head looks, not what it reads there nor that it matters.",
        bars("heads", names, values=some["on_term"].to_numpy(float) - above,
             low=some["low"].to_numpy(float) - above, high=some["high"].to_numpy(float) - above,
             caption=caption, x_label="weight on the term, beyond an even share",
             marked=[bool(q <= view.request.fdr) for q in some["q"]]),
        *_looks(view),
        Table("term_heads", arrow(frame), "All heads, in the order of the excess. Control: the "
              "same weight in control prompts, on their own term.",
              columns={"layer": "layer", "head": "head", "on_term": "on the term",
                       "expected": "even share", "q": "q", "on_bos": "on BOS",
                       "on_control_term": "control"}),
    ]  # fmt: skip
    read = view.frame("head_features")
    if len(read):
        shown = read.assign(name=[view.label(feature) for feature in read["feature"]])
        blocks.append(
            Table("head_features", arrow(shown), "Features of the concept that fire where these "
                  "heads look: activation times weight, summed over tokens, mean over prompts.",
                  columns={"layer": "layer", "head": "head", "name": "feature",
                           "value": "concept", "control": "control"})
        )  # fmt: skip
    return Section("Attention to the term", blocks)


def _looks(view: View) -> list[ShadedText]:
    found = []
    for row in view.tables["head_pictures"].to_pylist()[:3]:
        caption = Caption(
            f"Where head {row['head']} of layer {row['layer']} looks from the last token of "
            f"{row['prompt']}; BOS, with {row['weights'][0]:.2f}, is left out.",
            n="1 prompt", test="none: descriptive", correction="none",
        )  # fmt: skip
        found.append(ShadedText(row["tokens"][1:], row["weights"][1:], caption))
    return found


def shap_section(view: View) -> Section:
    """Say what of the next token is due to the concept's features."""
    frame = view.frame("players")
    if frame.empty:
        return Section("SHAP values of features", ["No feature was explained."])
    blocks: list[Block] = [
        (
            "The log odds of a concept prompt's answer (its likeliest next token where it has "
            "none), less what they are with no feature at the hook, divided among the concept's "
            "features and all that fire besides. An absent feature has an activation of 0 at every "
            "token."
        )
    ]
    for sae, mine in frame.groupby("sae", sort=False):
        by = mine.groupby("player")["value"].agg(["mean", "sem"]).reset_index()
        others = by.loc[~by["player"].str.contains("/"), "mean"].sum()
        by = by[by["player"].str.contains("/")]
        labels = [view.label(one) for one in by["player"]]
        caption = Caption(
            f"Mean SHAP values over prompts, {sae_name(str(sae))}, with standard errors over them. "
            f"All other features that fire have {others:+.2f} together.",
            n=f"{mine['prompt'].nunique()} held-out concept prompts", test="none: descriptive",
            correction="none",
        )  # fmt: skip
        blocks.append(
            shap_bars(f"shap-{slug(str(sae).split('/')[-1])}", labels,
                      values=by["mean"].to_numpy(float), caption=caption,
                      errors=by["sem"].fillna(0.0).to_numpy(float),
                      x_label="SHAP value (log odds)")
        )  # fmt: skip
    shown = frame.assign(
        name=[view.label(one) if "/" in one else one for one in frame["player"]]
    ).sort_values("value", key=abs, ascending=False)
    columns = {"prompt": "prompt", "name": "player", "value": "value", "error": "error",
               "activation": "activation", "flag": "flag"}  # fmt: skip
    blocks.append(
        Table("players", arrow(shown), "The largest values; error is the standard error where "
              "orders were drawn.", columns=columns)
    )  # fmt: skip
    return Section("SHAP values of features", blocks)


def steering_section(view: View) -> Section:
    """Say whether features raise and lower the concept's words beside matched controls."""
    frame = view.frame("steering")
    if frame.empty:
        return Section("Causes: steering", ["Nothing was steered; see the notes."])
    words = ", ".join(word.strip() for word in view.frame("words")["token"].head(20))
    request = view.request.causes
    blocks: list[Block] = [
        (
            "Confirmed features are added at held-out control prompts and set to 0 at held-out "
            "concept prompts, at all tokens. What counts is the logarithm of the probability of "
            f"all the concept's words together as the next token ({view.frame('words').shape[0]} "
            f"first tokens: {words}, ...), beside that with {request.controls} sets of random "
            "features matched on how often and how strongly they fire in concept prompts, whose "
            "additions are of the same length."
        ),
        Bullets([_verdict(row) for row in frame.to_dict("records") if "/" not in _tail(row)]),
    ]
    for action, title in (("add", "Additions at control prompts"),
                          ("ablate", "Ablations at concept prompts")):  # fmt: skip
        mine = frame[frame["action"] == action].head(2 * ROWS)
        if len(mine):
            blocks.append(_differences(view, action, title, mine))
    blocks += _doses(view, frame)
    shown = frame.assign(name=[_plain(one) for one in frame["set"]])
    columns = {"name": "features", "action": "action", "strength": "strength", "change": "change",
               "control_change": "controls", "difference": "difference", "low": "low",
               "high": "high", "p_permutation": "p", "q": "q", "dz": "dz", "kl": "KL",
               "control_kl": "KL, controls", "n": "prompts"}  # fmt: skip
    blocks.append(
        Table("steering", arrow(shown), "All sets: mean change of the log probability (nats) with "
              "the features and with their controls; sign flips of prompts, Benjamini-Hochberg "
              "over the rows.", columns=columns)
    )  # fmt: skip
    return Section("Causes: steering", blocks)


def _tail(row: Mapping[Hashable, object]) -> str:
    """Return what follows the SAE in a set's name: an index for single features."""
    parts = str(row["set"]).split("/")
    return "/" if len(parts) > 3 else ""


def _verdict(row: Mapping[Hashable, object]) -> str:
    done = "adding" if row["action"] == "add" else "ablating"
    name = str(row["set"]).split("/")[-1]
    factor = f" at strength {row['strength']:g}" if row["action"] == "add" else ""
    return (
        f"{done} {row['features']} features of {name}{factor}: {row['change']:+.3f} nats, controls "
        f"{row['control_change']:+.3f}; difference {row['difference']:+.3f} ({row['low']:+.3f} to "
        f"{row['high']:+.3f}), q = {row['q']:.3g}"
    )


def _set_name(view: View, name: str) -> str:
    return view.label(name) if name.count("/") > 2 else _plain(name)


def _plain(name: str) -> str:
    return short(name) if name.count("/") > 2 else name.rpartition("/")[2]


def _differences(view: View, action: str, title: str, frame: pd.DataFrame) -> Figure:
    labels = [
        (f"x{row['strength']:g} " if action == "add" else "") + _set_name(view, row["set"])
        for row in frame.to_dict("records")
    ]
    caption = Caption(
        f"{title}: change of the log probability of the concept's words less that by matched "
        "random features, with 95 % intervals. Filled: as expected, with q at most "
        f"{view.request.fdr:g}.",
        n=f"{int(frame['n'].max())} held-out prompts, {int(frame['draws'].max())} control sets",
        test="sign flips of prompts", correction="Benjamini-Hochberg over all sets",
    )  # fmt: skip
    return bars(
        f"steering-{action}", labels, values=frame["difference"].to_numpy(float),
        low=frame["low"].to_numpy(float), high=frame["high"].to_numpy(float), caption=caption,
        x_label="nats, beside controls", marked=frame["as_expected"].tolist(),
    )  # fmt: skip


def _doses(view: View, frame: pd.DataFrame) -> list[Figure]:
    """Draw the largest set's additions by strength, features and controls."""
    mine = frame[frame["action"] == "add"]
    if mine["strength"].nunique() < 2:
        return []
    name = str(mine["set"].iloc[int(mine["features"].argmax())])
    rows = view.frame("steering_rows")
    rows = rows[rows["metric"] == "concept_log_probability"]
    series: dict[str, list[tuple[float, float, float]]] = {"features": [], "controls": []}
    strengths = []
    for row in mine[mine["set"] == name].sort_values("strength").to_dict("records"):
        strengths.append(row["strength"])
        some = rows[rows["arm"] == row["intervention"]]
        change = some["value"] - some["baseline"]
        for label, part in (("features", some["draw"] == 0), ("controls", some["draw"] > 0)):
            each = change[part].groupby(some.loc[part, "prompt"]).mean()
            reach = 1.96 * float(each.sem())
            series[label].append((float(each.mean()), float(each.mean()) - reach,
                                  float(each.mean()) + reach))  # fmt: skip
    caption = Caption(
        f"Change of the log probability of the concept's words by the strength of the addition of "
        f"all features of {str(name).split('/')[-1]} and of their controls, mean over prompts with "
        "95 % intervals.",
        n=f"{int(mine['n'].max())} held-out control prompts",
        test="see the table", correction="see the table",
    )  # fmt: skip
    columns = {label: tuple(np.array(values).T) for label, values in series.items()}
    return [
        curves("doses", np.array(strengths), series=columns, caption=caption,
               x_label="strength (times the mean activation)", y_label="nats")
    ]  # fmt: skip


def link_section(view: View) -> Section:
    """Link lists of features at Neuronpedia, or say that there are none."""
    rows = view.tables["links"].to_pylist()
    links = [(f"{sae_name(row['sae'])} at Neuronpedia", row["url"]) for row in rows if row["url"]]
    without = [sae_name(row["sae"]) for row in rows if not row["neuronpedia"]]
    blocks: list[Block] = [Links(links)] if links else []
    if without:
        blocks.append(f"Not at Neuronpedia, by their metadata: {', '.join(without)}.")
    return Section("Elsewhere", blocks or ["No feature is confirmed."])
