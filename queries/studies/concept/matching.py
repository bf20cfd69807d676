"""Random features that are like some features in all but the concept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from queries.followups.codes import directions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from queries.studies.concept.activations import Firing
    from queries.studies.concept.setting import Setting

    Floats = NDArray[np.float64]

#: Least p on the training half of a feature that may be a control.
UNRELATED = 0.05
#: Controls are drawn among this many times as many nearest candidates as sets are wanted.
NEAR = 4

CONTROLS = pa.schema(
    [
        ("sae", pa.string()),
        ("feature", pa.int64()),
        ("draw", pa.int64()),
        ("control", pa.int64()),
        ("fires", pa.float64()),
        ("control_fires", pa.float64()),
        ("activation", pa.float64()),
        ("control_activation", pa.float64()),
        ("added", pa.float64()),
        ("control_added", pa.float64()),
    ]
)
"""A row a feature and drawn set (from 1), by index from 0: share of the concept's training prompts
in which each fires, mean activation over the tokens at which it does, and the activation that a
strength of 1 adds; the control's is such that it adds a vector of the same length."""


@dataclass(frozen=True)
class Figures:
    """How features of an SAE fire in the concept's training prompts.

    Attributes
    ----------
    fires
        float64 ``[d_sae]``: share of prompts in which each fires.
    activation
        float64 ``[d_sae]``: mean over the tokens at which it does; 0 where it never does.
    """

    fires: Floats
    activation: Floats

    @classmethod
    def of(cls, setting: Setting, firing: Firing) -> Figures:
        """Take them from the prompts' activations."""
        some = np.flatnonzero(setting.concept & setting.train & setting.used)
        counted = firing.counted[some].astype(float)
        total = firing.mean.tocsr()[some].T @ counted
        tokens = np.asarray(firing.tokens.tocsr()[some].sum(axis=0), float).ravel()
        fires = np.asarray(firing.fires.tocsr()[some].sum(axis=0)).ravel() / len(some)
        return cls(fires, np.divide(total, tokens, out=np.zeros_like(total), where=tokens > 0))


def control_table(
    setting: Setting,
    features: Mapping[str, Sequence[int]],
    *,
    firing: Mapping[str, Firing],
    contrast: pa.Table,
    selection: str,
) -> pa.Table:
    """Draw controls of features, a row each; see `CONTROLS`.

    Candidates are tested features of the same SAE that do not differ between the sets on the
    training half (p above `UNRELATED`). The nearest by standardised distance in `Figures` (the
    activation's logarithm) are drawn from; a set has none twice. Where candidates run out a set
    has fewer features.
    """
    frame = contrast.select(["selection", "sae", "index", "p"]).to_pandas()
    unrelated = frame[(frame["selection"] == selection) & (frame["p"] > UNRELATED)]
    rows: list[dict[str, object]] = []
    for sae, index in features.items():
        if not index:
            continue
        figures = Figures.of(setting, firing[sae])
        mine = unrelated.loc[unrelated["sae"] == sae, "index"].to_numpy(np.int64)
        free = mine[figures.activation[mine] > 0]
        ways = directions(setting.lab.sae(sae), [*index, *free.tolist()]).float().norm(dim=1)
        lengths = dict(zip([*index, *free.tolist()], ways.tolist(), strict=True))
        taken: list[set[int]] = [set() for _ in range(setting.request.causes.controls)]
        for k in index:
            for draw, control in drawn(setting, figures, free, feature=k, taken=taken):
                added = float(figures.activation[k])
                rows.append(
                    {
                        "sae": sae, "feature": k, "draw": draw, "control": control,
                        "fires": float(figures.fires[k]),
                        "control_fires": float(figures.fires[control]),
                        "activation": added, "added": added,
                        "control_activation": float(figures.activation[control]),
                        "control_added": added * lengths[k] / lengths[control],
                    }
                )  # fmt: skip
    return pa.Table.from_pylist(rows, schema=CONTROLS)


def control_sets(controls: pa.Table, features: Mapping[str, Sequence[int]]) -> dict[str, list[str]]:
    """Return the drawn sets that have a control for every feature: name to keys of features."""
    found: dict[str, list[str]] = {}
    for row in controls.select(["sae", "draw", "control"]).to_pylist():
        name = f"control {row['draw']} of {row['sae']}"
        found.setdefault(name, []).append(f"{row['sae']}/{row['control']}")
    return {
        name: keys
        for name, keys in found.items()
        if len(keys) == len(features[name.partition(" of ")[2]])
    }


def drawn(
    setting: Setting,
    figures: Figures,
    free: NDArray[np.int64],
    *,
    feature: int,
    taken: Sequence[set[int]],
) -> list[tuple[int, int]]:
    """Draw a control for each set, numbered from 1; what a set has already is not drawn again."""
    where = np.stack([figures.fires, np.log(np.maximum(figures.activation, 1e-9))], axis=1)
    spread = np.maximum(where[free].std(axis=0), 1e-9) if len(free) else np.ones(2)
    far = np.abs((where[free] - where[feature]) / spread).sum(axis=1)
    near = free[np.lexsort((free, far.round(9)))][: NEAR * len(taken)]
    rng = np.random.default_rng([setting.request.seed, feature])
    order = rng.permutation(near).tolist()
    found = []
    for number, mine in enumerate(taken, start=1):
        # Sets differ where there are enough candidates: each begins elsewhere in the order.
        turned = order[number - 1 :] + order[: number - 1]
        control = next((int(one) for one in turned if int(one) not in mine), None)
        if control is not None:
            mine.add(control)
            found.append((number, control))
    return found
