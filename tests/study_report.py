"""A report with every kind of block, from made-up tables."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from queries.studies.report import (
    Bullets,
    Caption,
    Figure,
    Links,
    Method,
    Note,
    Section,
    ShadedText,
    Table,
    bars,
    community_graph,
    curves,
    feature_map,
    heat_map,
    histogram,
    scatter,
    shap_bars,
    write_report,
)

CAPTION = Caption(
    "What the picture shows, in a sentence of an ordinary length that has to wrap on a phone.",
    n="84 prompts, 84 controls",
    test="permutation of labels, two-sided",
    correction="Benjamini and Hochberg over 8,192 features",
)
NASTY = ["<script>alert(1)</script>", "$x^2$", "\n\t\x00", "Ġbasketball", "球", 'a"b&c', "x" * 90]
COMMUNITIES = np.append(np.repeat(np.arange(5), [20, 15, 12, 8, 5]), [-1] * 6)


def correlations(seed: int = 0) -> np.ndarray:
    """Features x features: 0.6 within a community, -0.6 between the first two."""
    rng = np.random.default_rng(seed)
    k = COMMUNITIES
    wanted = 0.6 * ((k[:, None] == k) & (k >= 0)) - 0.6 * (k[:, None] + k == 1) * (k[:, None] != k)
    wanted = np.where((k[:, None] < 0) | (k < 0), 0.0, wanted)
    noise = rng.normal(0, 0.1, wanted.shape)
    return np.clip(wanted + (noise + noise.T) / 2, -1, 1)


def edges() -> pa.Table:
    """Pairs whose correlation is strong, either way."""
    r = correlations()
    source, target = np.nonzero(np.triu(np.abs(r) > 0.5, 1))
    return pa.table({"source": source, "target": target, "weight": r[source, target]})


def figures() -> list[Figure]:
    """One figure of every maker."""
    rng, r = np.random.default_rng(1), correlations()
    places = rng.normal(size=(len(r), 2)) + 2 * np.column_stack([COMMUNITIES % 3, COMMUNITIES // 3])
    labels = dict(enumerate(NASTY))
    factors = np.array([0.1, 0.5, 1, 2, 5, 10, 20, 40])
    mean = rng.normal(size=(3, 8)).cumsum(axis=1)
    series = {name: (one, one - 1, one + 1) for name, one in zip("abc", mean, strict=True)}
    values = rng.normal(size=7)
    return [
        scatter(
            "scatter",
            places,
            caption=CAPTION,
            x_label="betweenness",
            y_label="change of the logit difference",
            labels=labels,
            line=(0.2, 0.1),
            y_zero=True,
        ),
        feature_map(
            "map", places, caption=CAPTION, groups=COMMUNITIES, labels=labels, highlight=[0, 1]
        ),
        curves(
            "curves",
            factors,
            series=series,
            caption=CAPTION,
            x_label="factor",
            y_label="y",
            x_log=True,
        ),
        histogram(
            "null",
            {"permuted": rng.normal(size=500)},
            marks={"observed": 3.2},
            caption=CAPTION,
            x_label="F",
        ),
        bars(
            "bars",
            NASTY,
            values=values,
            low=values - 1,
            high=values + 1,
            marked=values > 0,
            caption=CAPTION,
            x_label="Hedges' g",
        ),
        shap_bars("shap", NASTY, values=values, errors=np.abs(values) / 4, caption=CAPTION, most=5),
        heat_map("correlations", r, communities=COMMUNITIES, caption=CAPTION),
        heat_map(
            "changes",
            rng.normal(size=(7, 9)),
            row_labels=NASTY,
            column_labels=list("abcdefghi"),
            caption=CAPTION,
        ),
        community_graph("graph", edges(), communities=COMMUNITIES, labels=labels, caption=CAPTION),
    ]


def features(rows: int = 40) -> pa.Table:
    """A table with every kind of column."""
    rng = np.random.default_rng(2)
    return pa.table(
        {
            "feature": np.arange(rows),
            "label": [NASTY[row % len(NASTY)] for row in range(rows)],
            "g": rng.normal(size=rows),
            "p": rng.random(rows) ** 8,
            "found": rng.random(rows) < 0.5,
            "link": [
                f"https://www.neuronpedia.org/gpt2-small/7-res-jb/{row}" for row in range(rows)
            ],
            "nothing": pa.array([None] * rows, pa.float64()),
        }
    )


def make_report(folder):
    """Write the report; returns its page."""
    made = figures()
    tokens = ShadedText(
        [" Fact", ":", " Michael", " Jordan", "\n", *NASTY],
        np.linspace(-1, 1, 12).tolist(),
        CAPTION,
    )
    sections = [
        Section("Pictures", [f"Plain text, {NASTY[0]}.", *made]),
        Section(
            "The rest",
            [
                tokens,
                Table("features", features(), "The largest differences.", limit=6),
                Bullets(["one", NASTY[0]]),
                Note("Nothing is dropped."),
                Links([("the list", "https://www.neuronpedia.org/list/1")]),
            ],
        ),
    ]
    return write_report(
        folder,
        title=f"A study {NASTY[0]}",
        lead=["What was found.", "And how sure that is."],
        sections=sections,
        methods=[Method("Attribution", "Activation times gradient.", "After somebody (2024)")],
        tables={"features": features(), "edges": edges()},
        about={"Model": "made-up", "Long": "y" * 120},
    )
