"""The nearest of each row: the walk on a CPU keeps what torch's sorting keeps on any device."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from ingest.nearest import _Best, _BestHere


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(2, 300), st.booleans())
def test_both_keep_the_same_candidates_also_of_equal_cosines(seed, k, features, coarse):
    rng = np.random.default_rng(seed)
    cosines = rng.uniform(-1, 1, (features, features)).astype(np.float32)
    if coarse:  # many equal ones
        cosines = np.round(cosines * 4) / 4
    cosines = np.maximum(cosines, cosines.T)
    cosines[rng.random(features) < 0.1] = -2.0  # without a direction: near to none
    np.fill_diagonal(cosines, -2.0)
    cuts = [0, *sorted(rng.integers(0, features, 2).tolist()), features]
    found = []
    for kind in (_Best, _BestHere):
        best = kind(features, k, device=torch.device("cpu"))
        for low, end in pairwise(cuts):
            for high, stop in pairwise(cuts):
                if low < end and high < stop:
                    best.add(low, high, torch.from_numpy(cosines[low:end, high:stop]))
        i, j = best.pairs()
        found.append(sorted(zip(i.tolist(), j.tolist(), strict=True)))
    assert found[0] == found[1]
