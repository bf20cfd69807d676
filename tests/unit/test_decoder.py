from __future__ import annotations

import numpy as np
import torch
from scipy import stats

from ingest.decoder import logit_weights


def test_moments_and_tokens_equal_the_full_product():
    torch.manual_seed(0)
    w_dec, w_u = torch.randn(50, 16), torch.randn(16, 300)
    full = (w_dec @ w_u).double().numpy()
    found = logit_weights(w_dec, w_u, k=4, block=7)
    np.testing.assert_allclose(found.mean, full.mean(axis=1), atol=1e-5)
    np.testing.assert_allclose(found.std, full.std(axis=1), rtol=1e-4)
    np.testing.assert_allclose(found.skew, stats.skew(full, axis=1), atol=1e-4)
    np.testing.assert_allclose(found.kurtosis, stats.kurtosis(full, axis=1), atol=1e-3)
    standard = (full - full.mean(axis=0)) / full.std(axis=0)
    order = np.argsort(-standard, axis=1)
    np.testing.assert_array_equal(found.promoted, order[:, :4])
    np.testing.assert_array_equal(found.suppressed, order[:, ::-1][:, :4])
    picked = np.take_along_axis(standard, found.promoted, axis=1)
    np.testing.assert_allclose(found.promoted_score, picked, atol=1e-4)


def test_fewer_tokens_than_asked_for():
    assert logit_weights(torch.randn(3, 4), torch.randn(4, 2), k=10).promoted.shape == (3, 2)
