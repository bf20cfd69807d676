"""What features write to the logits: moments of their weights, beside how rarely they fire."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from scipy import stats

from ingest.decoder import token_scale
from queries.followups.codes import directions
from queries.studies.inference import logit_weight_moments

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from atlas.progress import Reporter
    from queries.studies.builds import CorpusFigures
    from queries.studies.concept.activations import Firing
    from queries.studies.concept.setting import Setting

    Floats = NDArray[np.float64]

MEASURES = ("skewness", "kurtosis", "sd")
"""Moments whose first and last features are listed; kurtosis is excess kurtosis."""
#: Features at either end of a moment that are listed, and tokens of a feature.
ENDS, TOKENS = 10, 10


def weight_tables(
    setting: Setting, sae: str, *, rate: Floats, source: str, reporter: Reporter
) -> dict[str, pa.Table]:
    """Return moments of all features of an SAE, and the features at their ends.

    Parameters
    ----------
    setting
        The study.
    sae
        Key of the SAE.
    rate
        float64 ``[d_sae]``: share of positions at which each feature fires.
    source
        Where the rates are from, ``corpus`` or ``prompts``.
    reporter
        Told what is done.

    Returns
    -------
    dict
        ``logit_weights``: a row a feature, the moments of W_dec . W_U over the vocabulary, and the
        same of directions and tokens scaled to length 1 (``_cosine``), its `rate` and
        `log_sparsity`, the decimal logarithm of the rate, null where it is 0. ``weight_ends``: a
        row a moment, side and rank. Features that never fire in a corpus are at no end.
    """
    lab = setting.lab
    loaded = lab.sae(sae)
    reporter.note(f"logit weights of {sae}")
    ways = directions(loaded, range(loaded.d_sae)).float().cpu().numpy()
    unembedding = lab.model.unembedding().numpy()
    plain = logit_weight_moments(ways, unembedding)
    cosine = logit_weight_moments(ways, unembedding, standardised=True)
    with np.errstate(divide="ignore"):
        sparsity = np.where(rate > 0, np.log10(rate), np.nan)
    names = ("mean", "sd", "skewness", "kurtosis")
    frame = pd.DataFrame(
        {
            "feature": [f"{sae}/{k}" for k in range(loaded.d_sae)],
            "sae": sae,
            "index": np.arange(loaded.d_sae),
            **{name: getattr(plain, name) for name in names},
            **{f"{name}_cosine": getattr(cosine, name) for name in names[1:]},
            "rate": rate,
            "log_sparsity": sparsity,
            "rate_source": source,
        }
    )
    return {
        "logit_weights": pa.Table.from_pandas(frame, preserve_index=False),
        "weight_ends": pa.Table.from_pandas(_ends(frame, source), preserve_index=False),
    }


def _ends(frame: pd.DataFrame, source: str) -> pd.DataFrame:
    some = frame[frame["rate"] > 0] if source == "corpus" else frame
    parts = []
    for measure in MEASURES:
        for side, ascending in (("highest", False), ("lowest", True)):
            order = some[measure].round(9).sort_values(ascending=ascending, kind="stable").index
            part = some.loc[order[:ENDS], ["feature", "sae", "index", "log_sparsity"]].assign(
                measure=measure, side=side, rank=range(1, min(ENDS, len(order)) + 1)
            )
            part["value"] = some.loc[order[:ENDS], measure]
            parts.append(part)
    return pd.concat(parts, ignore_index=True)


def token_table(setting: Setting, features: Mapping[str, Sequence[int]]) -> pa.Table:
    """Return the tokens that features promote and suppress most through W_dec . W_U.

    Parameters
    ----------
    setting
        The study.
    features
        SAE's key to indices of features.

    Returns
    -------
    pyarrow.Table
        A row a feature, way, side and rank (from 1). The way is ``raw``, or ``standardised``: a
        token's weight less its mean over all features, over its standard deviation. Raw lists are
        headed by the same few tokens of large norm.
    """
    lab, unembedding = setting.lab, setting.lab.model.unembedding()
    rows: list[dict[str, object]] = []
    for sae, index in features.items():
        if not index:
            continue
        loaded = lab.sae(sae)
        ways = directions(loaded, range(loaded.d_sae)).float().cpu()
        centre, scale = token_scale(ways, unembedding)
        raw = ways[list(index)] @ unembedding
        for way, weights in (("raw", raw), ("standardised", (raw - centre) / scale)):
            for place, k in enumerate(index):
                for side, rank, token, weight in _first(weights[place]):
                    rows.append(
                        {
                            "feature": f"{sae}/{k}", "way": way, "side": side, "rank": rank,
                            "token_id": token, "token": lab.text(token), "weight": weight,
                        }
                    )  # fmt: skip
    return pa.Table.from_pylist(rows)


def _first(weights: torch.Tensor) -> Iterator[tuple[str, int, int, float]]:
    for side, signed in (("promoted", weights), ("suppressed", -weights)):
        value, index = torch.topk(signed, min(TOKENS, len(signed)))
        for rank, (token, size) in enumerate(
            zip(index.tolist(), value.tolist(), strict=True), start=1
        ):
            yield side, rank, token, size if side == "promoted" else -size


def rates(firing: Firing, corpus: CorpusFigures | None) -> tuple[Floats, str]:
    """Return firing rates ``[d_sae]`` and where they are from: a corpus, or else the prompts."""
    if corpus is not None:
        return corpus.rate, "corpus"
    tokens = np.asarray(firing.tokens.sum(axis=0), float).ravel()
    return tokens / max(1, int(firing.counted.sum())), "prompts"


def weight_summary(weights: pa.Table, confirmed: Mapping[str, Sequence[int]]) -> pa.Table:
    """Say how each moment goes with sparsity, and where the confirmed features lie.

    Returns
    -------
    pyarrow.Table
        A row an SAE and moment: Spearman's correlation with the log sparsity over `features` that
        fire, medians of `confirmed` and other features, the share of pairs of one of each in which
        the confirmed one is higher (`auc`), and the Mann-Whitney `p` of that, with `q` by
        Benjamini and Hochberg over the rows.
    """
    from queries.studies.inference import false_discovery

    frame, rows = weights.to_pandas(), []
    for sae, mine in frame.groupby("sae", sort=False):
        alive = mine[mine["rate"] > 0]
        ours = alive["index"].isin(confirmed.get(str(sae), ()))
        for measure in (*MEASURES, *(f"{name}_cosine" for name in MEASURES)):
            values = alive[measure]
            row = {"sae": sae, "measure": measure, "features": len(alive), "p": np.nan,
                   "confirmed": int(ours.sum()), "auc": np.nan,
                   "median_confirmed": float(values[ours].median()),
                   "median_other": float(values[~ours].median()),
                   "spearman": _spearman(values, alive["log_sparsity"])}  # fmt: skip
            if 2 <= ours.sum() < len(alive):
                test = stats.mannwhitneyu(values[ours], values[~ours])
                row["auc"] = float(test.statistic) / (int(ours.sum()) * int((~ours).sum()))
                row["p"] = float(test.pvalue)
            rows.append(row)
    found = pd.DataFrame(rows)
    found["q"] = false_discovery(found["p"].to_numpy(float))
    return pa.Table.from_pandas(found, preserve_index=False)


def _spearman(one: pd.Series[float], other: pd.Series[float]) -> float:
    if len(one) < 3 or one.nunique() < 2 or other.nunique() < 2:
        return float("nan")
    return float(stats.spearmanr(one, other).statistic)
