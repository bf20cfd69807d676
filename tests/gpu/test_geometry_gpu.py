"""Decoder geometry on a CUDA device against the CPU."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from ingest.geometry import feeds_weights, near_among, pair_cosines, similar_features  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]


def test_neighbours_and_weights_are_those_of_the_cpu():
    generator = torch.Generator().manual_seed(0)
    w = torch.randn(3_000, 64, generator=generator)
    w[[5, 2_999]] = 0.0
    w[100] = w[7]
    there = w.cuda()
    here, found = similar_features(w, k=9), similar_features(there, k=9, block=700)
    np.testing.assert_array_equal(found.j, here.j)
    np.testing.assert_allclose(found.cosine, here.cosine, rtol=1e-12)
    near = near_among(similar_features(there, k=65, block=700), min_cosine=0.4)
    expected = near_among(similar_features(w, k=65), min_cosine=0.4)
    np.testing.assert_array_equal(near.j, expected.j)
    assert len(near.i) > 100
    i, j = near.i, near.j
    np.testing.assert_allclose(pair_cosines(there, i, j), pair_cosines(w, i, j), rtol=1e-12)
    for one, two in zip(
        feeds_weights(there, there.T, i, j), feeds_weights(w, w.T, i, j), strict=True
    ):
        np.testing.assert_allclose(one, two, rtol=1e-9)
