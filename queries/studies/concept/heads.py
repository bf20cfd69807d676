"""Which attention heads look from the last token at the term of a prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from queries.followups.attention.attend import attention_weights
from queries.studies.inference import paired_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from atlas.progress import Reporter
    from queries.studies.concept.setting import Setting

    Floats = NDArray[np.float64]

#: Heads whose features and picture are kept.
HEADS = 8

TERM_HEADS = pa.schema(
    [
        ("layer", pa.int64()),
        ("head", pa.int64()),
        ("on_term", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("expected", pa.float64()),
        ("p", pa.float64()),
        ("q", pa.float64()),
        ("on_bos", pa.float64()),
        ("on_control_term", pa.float64()),
        ("prompts", pa.int64()),
        ("rank", pa.int64()),
    ]
)
"""A row a head, layer and head from 0: mean weight from the last token on the term's tokens, with
its interval over prompts, beside what they would get (`expected`) if the head spread what it does
not give BOS evenly over the tokens; `p` of no difference from that by sign flips of prompts, `q`
over the heads; and the same weight in control prompts on their terms. Rank 1 exceeds most."""

READ = pa.schema(
    [
        ("layer", pa.int64()),
        ("head", pa.int64()),
        ("feature", pa.string()),
        ("value", pa.float64()),
        ("control", pa.float64()),
        ("prompts", pa.int64()),
    ]
)
"""A row a head and feature: the feature's activation at each token times the weight that the head
gives it from the last token, summed over tokens, mean over concept and over control prompts."""

PICTURE = pa.schema(
    [
        ("layer", pa.int64()),
        ("head", pa.int64()),
        ("prompt", pa.string()),
        ("tokens", pa.list_(pa.string())),
        ("weights", pa.list_(pa.float64())),
        ("term", pa.list_(pa.int64())),
    ]
)
"""A row one of the first heads and prompts: its weights from the last token, BOS first, and which
of them are the term's (from 0, BOS counted)."""


def head_tables(
    setting: Setting, features: Mapping[str, Sequence[int]], *, reporter: Reporter
) -> dict[str, pa.Table]:
    """Read where heads look in held-out prompts of both sets.

    Parameters
    ----------
    setting
        The study.
    features
        SAE's key to the features whose activations are joined.
    reporter
        Told of each prompt.

    Returns
    -------
    dict
        ``term_heads``, see `TERM_HEADS`; ``head_features``, see `READ`; ``head_pictures``, see
        `PICTURE`. All are empty where fewer than two prompts have a term.
    """
    most = setting.request.causes.attention
    numbers = {concept: _with_term(setting, concept, most) for concept in (True, False)}
    if len(numbers[True]) < 2:
        return {"term_heads": TERM_HEADS.empty_table(), "head_features": READ.empty_table(),
                "head_pictures": PICTURE.empty_table()}  # fmt: skip
    total = sum(map(len, numbers.values()))
    looks: dict[int, Floats] = {}
    with reporter.step("attention (prompts)", total) as advance:
        for number in (*numbers[True], *numbers[False]):
            looks[number] = _looks(setting, number)
            advance(len(looks))
    table = _term_heads(setting, looks, numbers)
    first = [(row["layer"], row["head"]) for row in table.to_pylist()[:HEADS]]
    return {
        "term_heads": table,
        "head_features": _read(setting, looks, numbers, features, first),
        "head_pictures": _pictures(setting, looks, numbers[True][:2], first),
    }


def _with_term(setting: Setting, concept: bool, most: int) -> list[int]:
    every = setting.held_out(concept=concept, most=len(setting.prompts))
    ends = {k: len(setting.prompts[k].tokens) - 1 for k in every}
    return [
        k for k in every
        if setting.term_places[k] and setting.term_places[k][-1] < ends[k]
    ][:most]  # fmt: skip


def _looks(setting: Setting, number: int) -> Floats:
    """Weights of all heads from the last token, float64 ``[layers, heads, tokens]``, BOS first."""
    model = setting.lab.model
    weights = attention_weights(model, setting.prompts[number].tokens, layers=range(model.n_layers))
    found: Floats = weights[:, :, -1].double().numpy()
    return found


def _on_term(setting: Setting, looks: Mapping[int, Floats], numbers: Sequence[int]) -> Floats:
    """Weight on the term and what is expected, float64 ``[2, prompts, layers, heads]``."""
    found = []
    for number in numbers:
        weights, places = looks[number], [1 + k for k in setting.term_places[number]]
        share = len(places) / (weights.shape[2] - 1)
        rest = 1 - weights[:, :, 0]
        found.append((weights[:, :, places].sum(axis=2), rest * share))
    return np.array(found).transpose(1, 0, 2, 3)


def _term_heads(
    setting: Setting, looks: Mapping[int, Floats], numbers: Mapping[bool, Sequence[int]]
) -> pa.Table:
    on, expected = _on_term(setting, looks, numbers[True])
    control = _on_term(setting, looks, numbers[False])[0] if numbers[False] else None
    bos = np.mean([looks[k][:, :, 0] for k in numbers[True]], axis=0)
    heads = list(np.ndindex(on.shape[1:]))
    request = setting.request
    tests = paired_table(
        on.reshape(len(on), -1), expected.reshape(len(on), -1),
        names=[f"{layer}.{head}" for layer, head in heads], permutations=request.permutations,
        resamples=request.resamples, seed=request.seed,
    )  # fmt: skip
    rows = [
        {
            "layer": layer, "head": head, "on_term": test["mean_a"], "expected": test["mean_b"],
            "low": test["mean_b"] + test["low"], "high": test["mean_b"] + test["high"],
            "p": test["p_permutation"], "q": test["q"], "on_bos": float(bos[layer, head]),
            "on_control_term": None if control is None else float(control[:, layer, head].mean()),
            "prompts": test["n"],
        }
        for (layer, head), test in zip(heads, tests.to_pylist(), strict=True)
    ]  # fmt: skip
    rows.sort(key=lambda row: (-round(row["on_term"] - row["expected"], 9), row["layer"]))
    return pa.Table.from_pylist(
        [{**row, "rank": rank} for rank, row in enumerate(rows, start=1)], schema=TERM_HEADS
    )


def _read(
    setting: Setting,
    looks: Mapping[int, Floats],
    numbers: Mapping[bool, Sequence[int]],
    features: Mapping[str, Sequence[int]],
    heads: Sequence[tuple[int, int]],
) -> pa.Table:
    """Activations of features where heads look; only what some head reads is listed."""
    every = [*numbers[True], *numbers[False]]
    prepared = setting.lab.engine.prepare([setting.prompts[k].tokens for k in every])
    concept = np.arange(len(every)) < len(numbers[True])
    rows: list[dict[str, Any]] = []
    for sae, index in features.items():
        acts = prepared.codes[sae].of_features(list(index))
        for layer, head in heads:
            seen = np.array(
                [looks[k][layer, head, 1:] @ acts[row, 1 : looks[k].shape[2]].astype(float)
                 for row, k in enumerate(every)]
            )  # fmt: skip
            for place, k in enumerate(index):
                value = float(seen[concept, place].mean())
                control = float(seen[~concept, place].mean()) if numbers[False] else None
                if value > 0 or control:
                    rows.append(
                        {"layer": layer, "head": head, "feature": f"{sae}/{k}", "value": value,
                         "control": control, "prompts": int(concept.sum())}
                    )  # fmt: skip
    rows.sort(key=lambda row: -round(row["value"], 9))
    return pa.Table.from_pylist(rows, schema=READ)


def _pictures(
    setting: Setting,
    looks: Mapping[int, Floats],
    numbers: Sequence[int],
    heads: Sequence[tuple[int, int]],
) -> pa.Table:
    rows = [
        {
            "layer": layer, "head": head, "prompt": setting.prompts[k].id,
            "tokens": [setting.lab.text(token) for token in setting.prompts[k].tokens],
            "weights": looks[k][layer, head].tolist(),
            "term": [1 + place for place in setting.term_places[k]],
        }
        for layer, head in heads
        for k in numbers
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=PICTURE)
