"""Near decoder vectors of a finished build, as far as its tables tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ingest.cooccurrence.kinds import NO_NEAR, NearPairs

if TYPE_CHECKING:
    from atlas.recipe import EdgesSection
    from ingest.build_folder import BuildFolder


def near_of(
    build: BuildFolder, sae_key: str, *, options: EdgesSection
) -> tuple[NearPairs, list[str]]:
    """Return the pairs of an SAE with a decoder cosine from ``options.min_cosine`` on.

    The table `similar` holds each feature's nearest ``options.similar_k``, so that pairs are
    missing where all of a feature's are nearer than that.

    Returns
    -------
    near
        Pairs.
    notes
        What is missing, one line each.
    """
    if "similar" not in build.tables:
        return NO_NEAR, ["The build has no decoder cosines: exclusion is looked for by topic."]
    table = build.column("similar", "source", "target", "cosine")
    close = np.flatnonzero(table.column("cosine").to_numpy() >= options.min_cosine)
    prefix = f"{sae_key}/"
    pairs = [
        (int(one.removeprefix(prefix)), int(two.removeprefix(prefix)))
        for one, two in zip(
            table.column("source").take(close).to_pylist(),
            table.column("target").take(close).to_pylist(),
            strict=True,
        )
        if one.startswith(prefix) and two.startswith(prefix)
    ]
    ends = np.unique(np.sort(np.array(pairs, np.int32).reshape(-1, 2), axis=1), axis=0)
    i, j = (np.ascontiguousarray(column) for column in ends.T)
    full = int((np.bincount(ends.ravel(), minlength=1) >= options.similar_k).sum())
    note = (
        f"{full} features have {options.similar_k} or more others at a decoder cosine of "
        f"{options.min_cosine} or more; the build's table may not hold all of them."
    )
    return NearPairs(i, j), [note] if full else []
