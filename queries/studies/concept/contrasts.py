"""Features that fire more for the concept: found on the training half, held to the other half."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from atlas.errors import UsageError
from queries.studies.concept.activations import Firing
from queries.studies.inference import confirm, contrast

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from queries.studies.concept.request import ConceptRequest, Order
    from queries.studies.concept.setting import Setting
    from queries.studies.inference import Confirmation, Contrast

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]

#: Fewest prompts, or pairs, of a set in a half for a contrast.
FEWEST = 4

HELD = (
    "mean_concept", "mean_control", "difference", "fires_concept", "fires_control",
    "g", "g_low", "g_high", "auc", "auc_low", "auc_high",
)  # fmt: skip
"""Columns of the held-out half that are kept, each with ``_held`` behind its name."""


def contrast_tables(setting: Setting, tables: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """Contrast the two sets, on all prompts and on those that the filter keeps.

    Parameters
    ----------
    setting
        The study.
    tables
        ``activations``, ``positions`` and ``prompt_rows``.

    Returns
    -------
    dict
        ``contrast``: a row a selection of prompts and tested feature, what the training half says
        (columns of `queries.studies.inference.Contrast`), `HELD` of the other, `p_held` and
        `q_held` of the features found (q over these), `replicated`, and `rank_order`, 1 for the
        first by the request's order. ``confirmation``: a row a selection. ``top_features``: the
        first rows of the request's selection. ``notes``: what outlier rules would do.
    """
    firing = {key: Firing.of(tables, key, width=setting.lab.sae(key).d_sae)
              for key in setting.request.saes}  # fmt: skip
    tested = often_enough(setting, firing)
    values = np.concatenate(
        [firing[key].of_features(tested[key], setting.request.statistic) for key in tested], axis=1
    )
    names = pd.DataFrame(
        [(key, int(k)) for key, index in tested.items() for k in index], columns=["sae", "index"]
    )
    inside = np.array(tables["prompt_rows"]["in_filtered"].to_pylist(), bool)
    selections = {"all": setting.used}
    if inside.any():
        selections["filtered"] = inside
    frames, rows, notes = [], [], []
    for selection, prompts in selections.items():
        found = halves_of(setting, values, prompts)
        if found is None:
            notes.append(f"too few prompts are left of the selection {selection} for a contrast")
            continue
        train, held = found
        sure = confirm(train, held, level=setting.request.fdr)
        frames.append(contrast_frame(names, train, held, sure, setting.request, selection))
        rows.append(_confirmation(frames[-1], train, held, sure))
        notes += _outliers(frames[-1], setting.request.top)
    if not frames:
        raise UsageError(
            f"A half has fewer than {FEWEST} prompts of a set: there is nothing to contrast.",
            hint="Give more prompts, or selection='all'.",
        )
    frame = pd.concat(frames, ignore_index=True)
    return {
        "contrast": pa.Table.from_pandas(frame, preserve_index=False),
        "confirmation": pa.Table.from_pylist(rows),
        "top_features": pa.Table.from_pandas(_top(frame, setting.request), preserve_index=False),
        "notes": pa.table({"note": pa.array(notes, pa.string())}),
    }


def often_enough(setting: Setting, firing: Mapping[str, Firing]) -> dict[str, NDArray[np.int64]]:
    """Return the features of each SAE that fire in enough training prompts.

    The sets are not looked at: which features are tested must not depend on what is tested.
    """
    some = np.flatnonzero(setting.train & setting.used)
    least = setting.request.min_prompts
    return {
        key: np.flatnonzero(np.asarray(one.fires.tocsr()[some].sum(axis=0)).ravel() >= least)
        for key, one in firing.items()
    }


def halves_of(setting: Setting, values: Floats, prompts: Bools) -> tuple[Contrast, Contrast] | None:
    """Contrast the sets in each half; None where one has fewer than `FEWEST` prompts of a set.

    Parameters
    ----------
    setting
        The study.
    values
        float64 ``[prompts, features]``.
    prompts
        bool ``[prompts]``, those that count; of a pair both or none.
    """
    request, found = setting.request, []
    for half in (setting.train, ~setting.train):
        if len(setting.pairs):
            pairs = setting.pairs[(half & prompts)[setting.pairs[:, 0]]]
            concept, control = pairs.T
        else:
            concept = np.flatnonzero(half & prompts & setting.concept)
            control = np.flatnonzero(half & prompts & ~setting.concept)
        if min(len(concept), len(control)) < FEWEST:
            return None
        found.append(
            contrast(
                values[concept], values[control], pairs=bool(len(setting.pairs)),
                permutations=request.permutations, resamples=request.resamples, seed=request.seed,
            )
        )  # fmt: skip
    return found[0], found[1]


def contrast_frame(
    names: pd.DataFrame,
    train: Contrast,
    held: Contrast,
    sure: Confirmation,
    request: ConceptRequest,
    selection: str,
) -> pd.DataFrame:
    """Join what both halves say of each tested feature; see `contrast_tables`."""
    first: pd.DataFrame = train.table().to_pandas().drop(columns="feature")
    second = held.table().to_pandas()[list(HELD)].add_suffix("_held")
    found: pd.DataFrame = pd.concat([names, first, second], axis=1)
    keys = [f"{sae}/{index}" for sae, index in zip(found["sae"], found["index"], strict=True)]
    found.insert(0, "feature", keys)
    found.insert(0, "selection", selection)
    table = sure.table.to_pandas().set_index("feature")
    for column in ("p_held", "q_held"):
        found[column] = table[column].reindex(found.index)
    found["found"] = found.index.isin(table.index)
    found["replicated"] = table["replicated"].reindex(found.index, fill_value=False).astype(bool)
    found["confirmed"] = found["replicated"] & (found["difference"] > 0)
    found["rank_order"] = ranks(found, request.order)
    return found


def ranks(frame: pd.DataFrame, order: Order) -> pd.Series[int]:
    """Rank features from 1 by what they are ordered by; near ties go by place."""
    # Without any spread in the sets there is no g, and the difference is as clear as can be.
    sure = np.sign(frame["difference"]) * np.inf
    values = frame[order].fillna(sure.where(frame["difference"] != 0, 0.0))
    # The order must not depend on the last digit.
    return (-values).round(9).rank(method="first").astype("int64")


def confirmed(
    table: pa.Table, *, selection: str, sae: str | None = None, most: int | None = None
) -> list[tuple[str, int]]:
    """Return confirmed features of a contrast, SAE's key and index, the first of the ranking first.

    Parameters
    ----------
    table
        Table ``contrast``.
    selection
        Of which prompts.
    sae
        Features of one SAE alone.
    most
        How many at most.
    """
    frame = table.select(["selection", "sae", "index", "confirmed", "rank_order"]).to_pandas()
    some = frame[(frame["selection"] == selection) & frame["confirmed"]].sort_values("rank_order")
    if sae is not None:
        some = some[some["sae"] == sae]
    pairs: Iterable[tuple[str, int]] = zip(some["sae"], some["index"], strict=True)
    return [(str(key), int(index)) for key, index in pairs][:most]


def _outliers(frame: pd.DataFrame, top: int) -> list[str]:
    """Say what the published rules for outliers would have thrown away."""
    first = frame[frame["rank"] <= top]
    lost = first[first["beyond_2sd"]].sort_values("rank")
    moved = int((first["rank_without"] > top).sum())
    notes = []
    if len(lost):
        notes.append(
            f"{frame['selection'].iloc[0]} prompts: dropping features beyond 2 standard deviations "
            f"would have thrown away {len(lost)} of the {len(first)} largest differences, "
            f"{lost['feature'].iloc[0]} (rank {lost['rank'].iloc[0]}) first; nothing is dropped"
        )
    if moved:
        notes.append(
            f"{frame['selection'].iloc[0]} prompts: dropping prompts beyond 2 standard deviations "
            f"of their set would change {moved} of the {len(first)} largest differences; none is "
            "dropped"
        )
    return notes


def primary(table: pa.Table, request: ConceptRequest) -> str:
    """Return the selection that later parts rest on: the request's, or ``all`` without it."""
    return request.selection if request.selection in set(table["selection"].to_pylist()) else "all"


def _top(frame: pd.DataFrame, request: ConceptRequest) -> pd.DataFrame:
    chosen = primary(pa.table({"selection": frame["selection"].to_list()}), request)
    some = frame[(frame["selection"] == chosen) & (frame["difference"] > 0)]
    return some.sort_values("rank_order").head(request.top).reset_index(drop=True)


def _confirmation(
    frame: pd.DataFrame, train: Contrast, held: Contrast, sure: Confirmation
) -> dict[str, object]:
    more = int((frame["found"] & (frame["difference"] > 0)).sum())
    return {
        "selection": str(frame["selection"].iloc[0]), "paired": train.pairs,
        "features": train.features, "found_more": more, "confirmed": int(frame["confirmed"].sum()),
        "concept_train": train.n_concept, "control_train": train.n_control,
        "concept_held": held.n_concept, "control_held": held.n_control,
        "found": sure.selected, "replicated": sure.replicated, "rate": sure.rate,
        "rate_low": sure.rate_low, "rate_high": sure.rate_high,
        "rank_correlation": sure.rank_correlation, "shrinkage": sure.shrinkage,
        "detectable_g": train.detectable_g,
        "detectable_g_corrected": train.detectable_g_corrected,
        "beyond_2sd": int(train.beyond_2sd.sum()),
        "beyond_robust": int(train.beyond_robust.sum()),
    }  # fmt: skip
