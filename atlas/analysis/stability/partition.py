"""Consensus communities as the partition that an analysis writes."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from atlas.analysis.outputs import AlgorithmResult, partition

if TYPE_CHECKING:
    from atlas.analysis.stability.result import Consensus

ALGORITHM = "consensus"
"""Name of the AlgorithmRun, and part of the communities' keys."""


def as_result(found: Consensus) -> AlgorithmResult:
    """Return what `atlas.analysis.analyse` writes of consensus communities.

    Features that belong nowhere stably are left out. The details have, beside `modularity` of
    the runs, the chosen resolution and threshold, and the agreement between seeds, bootstraps and
    halves as ``{between}_{measure}`` with its range in halves.
    """
    places = np.flatnonzero(found.community >= 0)
    agreement = {
        f"{between}_{measure}": spread.mean
        for between in ("between_seeds", "between_bootstraps", "between_halves")
        for measure, spread in getattr(found, between).items()
    }
    halves = found.between_halves["ari"]
    return AlgorithmResult(
        algorithm=ALGORITHM,
        engine="igraph",
        keys=[found.keys[place] for place in places.tolist()],
        output=partition("community", found.community[places]),
        parameters=json.loads(json.dumps(asdict(found.settings))),
        projection={"relationship": "CO_OCCURS", "kinds": ["token"], "top_k": found.settings.top_k},
        seed=found.settings.seed,
        exact=False,
        seconds=found.seconds,
        versions=found.versions,
        details={
            "modularity": found.modularity.mean,
            "resolution": found.resolution,
            "threshold": found.threshold,
            "assigned": found.assigned,
            "stable_communities": int(found.stable.sum()),
            "between_halves_ari_low": halves.low,
            "between_halves_ari_high": halves.high,
            "reached": found.reached,
            **agreement,
        },
    )
