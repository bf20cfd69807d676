from __future__ import annotations

import numpy as np
import pytest

from ingest.cooccurrence.pairs import index_documents
from ingest.firing import activation_moments, strongest_firings, token_lift, top_domains
from tests.unit.simulate import codes_from_dense


def example(seed=0, d_sae=6):
    rng = np.random.default_rng(seed)
    dense = (rng.random((60, d_sae)) * (rng.random((60, d_sae)) < 0.4)).astype(np.float32)
    dense[:, 5] = 0  # never fires
    document = np.repeat(np.arange(12), 5)
    codes = codes_from_dense(dense, document)
    token = rng.integers(0, 7, 60).astype(np.int32)
    return dense, document, token, type(codes)(**{**codes.__dict__, "token": token})


def test_moments_equal_numpy():
    dense, _, _, codes = example()
    moments = activation_moments(codes, 6)
    for f in range(5):
        on = dense[dense[:, f] > 0, f].astype(float)
        assert moments.mean[f] == pytest.approx(on.mean())
        assert moments.std[f] == pytest.approx(on.std())
        assert moments.max[f] == on.max()
    assert np.isnan([moments.mean[5], moments.std[5], moments.max[5]]).all()


def test_token_lift_equals_brute_force():
    dense, _, token, codes = example()
    lift = token_lift(codes, 6, top=3)
    for f in range(5):
        on = dense[:, f] > 0
        scores = {}
        for t in range(7):
            n = int((on & (token == t)).sum())
            if n >= 2:
                share = n / on.sum()
                score = share * np.log2(share / (token == t).mean())
                if score > 0:
                    scores[t] = (score, n)
        best = sorted(scores, key=lambda t: (-scores[t][0], t))[:3]
        mine = lift.feature == f
        assert lift.token[mine].tolist() == best
        assert lift.rank[mine].tolist() == list(range(1, len(best) + 1))
        np.testing.assert_allclose(lift.score[mine], [scores[t][0] for t in best])
        assert lift.n[mine].tolist() == [scores[t][1] for t in best]


def test_strongest_firings_take_one_position_a_document():
    dense, document, _, codes = example()
    found = strongest_firings(codes, top=4)
    for f in range(6):
        peaks = []
        for d in range(12):
            rows = np.flatnonzero((document == d) & (dense[:, f] > 0))
            if len(rows):
                peaks.append(max((dense[r, f], -r) for r in rows))
        peaks.sort(reverse=True)
        mine = found.feature == f
        assert found.row[mine].tolist() == [-r for _, r in peaks[:4]]
        np.testing.assert_array_equal(found.value[mine], [v for v, _ in peaks[:4]])


def test_top_domain_is_the_distinctive_one():
    dense = np.zeros((40, 2), np.float32)
    document = np.repeat(np.arange(20), 2)
    dense[:10, 0] = 1.0  # feature 0: documents 0-4, all medicine; feature 1 everywhere
    dense[:, 1] = 1.0
    codes = codes_from_dense(dense, document)
    domain = np.array(["medicine"] * 5 + ["law"] * 5 + ["music"] * 10, dtype=object)
    names, shares = top_domains(index_documents(codes, 2), domain, 2)
    assert names[0] == "medicine"
    assert shares[0] == 1.0
    names, shares = top_domains(index_documents(codes, 2), np.array([None] * 20, dtype=object), 2)
    assert names == [None, None]
    assert np.isnan(shares).all()
