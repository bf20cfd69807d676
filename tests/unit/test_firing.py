"""Scanners over shards against brute force on dense arrays, however the documents are split."""

from __future__ import annotations

import pickle
from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas.artifacts import CodeShard
from atlas.errors import ArtifactError, UsageError
from ingest.firing import FeatureScanner, FiringOptions, PairScanner, WindowActivations
from ingest.firing.kernels import priority

D_SAE = 7
DOMAINS = ("law", None, "music", "medicine", "law", "music", None, "law", "medicine", "music")


class Codes:
    """Random codes of ten documents, dense; few different values, so that there are ties."""

    def __init__(self, seed: int, documents: int = len(DOMAINS)) -> None:
        rng = np.random.default_rng(seed)
        length = rng.integers(0, 9, documents)
        length[0] = 0  # a document without an unmasked position
        self.document = np.repeat(np.arange(documents), length)
        gaps = [np.sort(rng.choice(14, size, replace=False)) for size in length]
        self.position = np.concatenate(gaps).astype(int)
        self.token = rng.integers(0, 5, len(self.document))
        values = rng.integers(1, 5, (len(self.document), D_SAE)) / 4
        rate = np.array([0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0])  # the last never fires
        on = rng.random(values.shape) < rate
        self.dense = (values * on).astype(np.float32)

    def shard(self, documents: list[int]) -> CodeShard:
        """Return the codes of some documents."""
        mine = np.isin(self.document, documents)
        dense = self.dense[mine]
        row, feature = np.nonzero(dense)
        return CodeShard(
            indptr=np.searchsorted(row, np.arange(len(dense) + 1)).astype(np.int64),
            index=feature.astype(np.int32),
            value=dense[row, feature],
            document=self.document[mine].astype(np.int32),
            position=self.position[mine].astype(np.int32),
            token=self.token[mine].astype(np.int32),
        )

    def firings(self, f: int) -> list[tuple[float, int, int]]:
        """Value, document and position of every firing of a feature."""
        rows = np.flatnonzero(self.dense[:, f])
        return [(float(self.dense[r, f]), *self.place(r)) for r in rows]

    def place(self, row: int) -> tuple[int, int]:
        return int(self.document[row]), int(self.position[row])


EVERYTHING = list(range(len(DOMAINS)))
BINNED = FiringOptions(contexts=3, tokens=3, bins=3, per_bin=2, sample=8, seed=5)


def scan(codes, shards=(EVERYTHING,), options=BINNED, domains=DOMAINS):
    scanner = FeatureScanner(D_SAE, domains=domains, options=options)
    for documents in shards:
        scanner.add(codes.shard(documents))
    return scanner


def strongest(firings, top):
    """Find the best firing of each document, then the best documents."""
    best = {}
    for value, document, position in sorted(firings, key=lambda x: (-x[0], x[1], x[2])):
        best.setdefault(document, (value, document, position))
    return list(best.values())[:top]


def listed(firings, f):
    """Rows of a feature: value, document, position, bin, checked to be ranked from 1."""
    mine = firings.feature == f
    assert firings.rank[mine].tolist() == list(range(1, mine.sum() + 1))
    columns = (firings.value, firings.document, firings.position, firings.bin)
    return list(zip(*(column[mine].tolist() for column in columns), strict=True))


def test_counts_and_moments_equal_numpy():
    codes = Codes(0)
    found = scan(codes, [[5, 6, 7], [0, 1, 2, 3, 4], [8, 9]]).result()
    assert found.positions == len(codes.dense)
    assert found.documents == len(set(codes.document.tolist()))
    for f in range(D_SAE):
        on = codes.dense[:, f] > 0
        assert found.n[f] == on.sum()
        assert found.d[f] == len(set(codes.document[on].tolist()))
        if not on.any():
            moments = found.moments
            assert np.isnan([moments.mean[f], moments.std[f], moments.max[f]]).all()
            continue
        values = codes.dense[on, f].astype(float)
        assert found.moments.mean[f] == pytest.approx(values.mean(), rel=1e-12)
        assert found.moments.std[f] == pytest.approx(values.std(), rel=1e-12, abs=1e-12)
        assert found.moments.max[f] == values.max()
    assert (found.n == 0).tolist() == [False] * (D_SAE - 1) + [True]


def test_deviations_keep_their_digits_where_the_mean_is_large():
    rng = np.random.default_rng(0)
    codes = Codes(0)
    codes.dense[:, 0] = 4096 + rng.random(len(codes.dense)) / 64
    found = scan(codes, [[d] for d in EVERYTHING]).result()
    assert found.moments.std[0] == pytest.approx(codes.dense[:, 0].astype(float).std(), rel=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_marking_tokens_equal_brute_force(seed):
    codes = Codes(seed)
    marks = scan(codes).result().tokens
    for f in range(D_SAE):
        on = codes.dense[:, f] > 0
        scores = {}
        for token in range(5):
            n = int((on & (codes.token == token)).sum())
            if n >= min(2, on.sum()) and n:
                share = n / on.sum()
                score = share * np.log2(share / (codes.token == token).mean())
                if score > 0:
                    scores[token] = (score, n, share)
        best = sorted(scores, key=lambda t: (-scores[t][0], t))[:3]
        mine = marks.feature == f
        assert marks.item[mine].tolist() == best
        assert marks.rank[mine].tolist() == list(range(1, len(best) + 1))
        np.testing.assert_allclose(marks.score[mine], [scores[t][0] for t in best])
        assert marks.n[mine].tolist() == [scores[t][1] for t in best]
        assert marks.share[mine].tolist() == [scores[t][2] for t in best]


def test_marks_do_not_depend_on_how_many_features_are_scored_at_a_time(monkeypatch):
    whole = scan(Codes(1)).result().tokens
    monkeypatch.setattr("ingest.firing.counts._BLOCK", 3)
    cut = scan(Codes(1)).result().tokens
    for name in whole.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(cut, name), getattr(whole, name))


@pytest.mark.parametrize("seed", range(4))
def test_strongest_firings_are_of_different_documents(seed):
    codes = Codes(seed)
    found = scan(codes, options=FiringOptions(contexts=3)).result().firings
    for f in range(D_SAE):
        assert listed(found, f) == [(*x, -1) for x in strongest(codes.firings(f), 3)]


@pytest.mark.parametrize("seed", range(4))
def test_bins_equal_brute_force(seed):
    codes = Codes(seed)
    found = scan(codes, [[7, 8, 9], [0, 1, 2, 3], [4, 5, 6]]).result().firings
    for f in range(D_SAE):
        top = strongest(codes.firings(f), 3)
        drawn = sorted(codes.firings(f), key=lambda x: -priority(5, f, x[1], x[2]))[:8]
        taken: dict[int, list[tuple[float, int, int, int]]] = {0: [], 1: [], 2: []}
        for value, document, position in drawn:
            number = sum(other[0] < value for other in drawn) * 3 // len(drawn)
            if (value, document, position) not in top and len(taken[number]) < 2:
                taken[number].append((value, document, position, number))
        binned = sorted(chain(*taken.values()), key=lambda x: (-x[0], x[1], x[2]))
        assert listed(found, f) == [(*x, -1) for x in top] + binned
    assert (found.bin >= 0).any()


def test_bins_leave_the_strongest_firings_as_they_are():
    plain = scan(Codes(2), options=FiringOptions(contexts=3)).result().firings
    binned = scan(Codes(2)).result().firings
    for name in plain.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(binned, name)[binned.bin < 0], getattr(plain, name))


def test_priorities_are_uniform_and_change_with_every_argument():
    drawn = np.array([priority(1, 2, d, p) for d in range(200) for p in range(100)])
    assert drawn.min() >= 0
    assert drawn.max() < 1
    counts = np.histogram(drawn, bins=20, range=(0, 1))[0]
    assert ((counts - 1000) ** 2 / 1000).sum() < 45  # chi-square of 19 degrees, p = 0.0007
    places = [(1, 2, 3, 4), (9, 2, 3, 4), (1, 9, 3, 4), (1, 2, 9, 4), (1, 2, 3, 9), (1, 2, 4, 3)]
    assert len({priority(*place) for place in places}) == len(places)


def test_the_domain_is_the_distinctive_one():
    codes = Codes(0)
    known = np.array(DOMAINS, dtype=object)[codes.document]
    codes.dense[:] = 0
    codes.dense[known == "medicine", 0] = 1.0
    codes.dense[:, 1] = 1.0
    codes.dense[[d is None for d in known], 2] = 1.0
    found = scan(codes, [[0, 1, 2], [3, 4, 5, 6, 7, 8, 9]]).result()
    assert found.domain[0] == "medicine"
    assert found.domain_share[0] == 1.0
    labelled = {d for d in codes.document.tolist() if DOMAINS[d]}
    of_domain = [DOMAINS[d] for d in labelled].count(found.domain[1])
    assert found.domain_share[1] == pytest.approx(of_domain / len(labelled))
    assert found.domain[2:] == [None] * 5
    assert np.isnan(found.domain_share[2:]).all()
    assert scan(codes, domains=[None] * 10).result().domain == [None] * D_SAE


@pytest.mark.parametrize("seed", range(4))
def test_domains_equal_brute_force(seed):
    codes = Codes(seed)
    found = scan(codes, [[5, 6, 7], [0, 1, 2, 3, 4], [8, 9]]).result()
    seen = [DOMAINS[d] for d in sorted(set(codes.document.tolist())) if DOMAINS[d]]
    for f in range(D_SAE):
        fires = {d for _, d, _ in codes.firings(f)}
        mine = [DOMAINS[d] for d in fires if DOMAINS[d]]
        scores = {}
        for name in sorted(set(mine)):
            share = mine.count(name) / len(mine)
            scores[name] = share * np.log2(share / (seen.count(name) / len(seen)))
        best = max(scores, key=scores.get, default=None)
        assert found.domain[f] == best
        if best:
            assert found.domain_share[f] == mine.count(best) / len(mine)


@st.composite
def splits(draw):
    """Documents cut into shards in any order, each given to one of two scanners."""
    order = draw(st.permutations(EVERYTHING))
    cuts = sorted(draw(st.sets(st.integers(1, len(order) - 1))))
    shards = [sorted(order[a:b]) for a, b in zip([0, *cuts], [*cuts, len(order)], strict=True)]
    return [(shard, draw(st.booleans())) for shard in shards]


@settings(max_examples=40)
@given(st.integers(0, 10_000), splits())
def test_neither_split_nor_order_nor_merging_matters(seed, shards):
    codes = Codes(seed)
    whole = scan(codes).result()
    first = scan(codes, [documents for documents, mine in shards if mine])
    second = scan(codes, [documents for documents, mine in shards if not mine])
    first.merge(pickle.loads(pickle.dumps(second)))
    found = first.result()
    for name in ("n", "d", "domain_share"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))
    assert found.domain == whole.domain
    assert (found.positions, found.documents) == (whole.positions, whole.documents)
    for part in ("tokens", "firings"):
        for name in getattr(whole, part).__dataclass_fields__:
            np.testing.assert_array_equal(
                getattr(getattr(found, part), name), getattr(getattr(whole, part), name)
            )
    np.testing.assert_array_equal(found.moments.max, whole.moments.max)
    np.testing.assert_allclose(found.moments.mean, whole.moments.mean, rtol=1e-12)
    np.testing.assert_allclose(found.moments.std, whole.moments.std, rtol=1e-9, atol=1e-12)


PAIRS = np.array([(0, 1), (1, 0), (2, 4), (0, 5), (3, 1), (0, 6), (2, 3)])


def scan_pairs(codes, shards=(EVERYTHING,), kept=3):
    found = scan(codes).result()
    scanner = PairScanner(PAIRS[:, 0], PAIRS[:, 1], n=found.n, largest=found.moments.max, kept=kept)
    for documents in shards:
        scanner.add(codes.shard(documents))
    return scanner


@pytest.mark.parametrize("seed", range(6))
def test_joint_firings_equal_brute_force(seed):
    codes = Codes(seed)
    found = scan_pairs(codes, [[3, 4, 5], [0, 1, 2], [6, 7, 8, 9]]).result()
    largest = codes.dense.max(axis=0).astype(float)
    for pair, (i, j) in enumerate(PAIRS):
        places = []
        for r in np.flatnonzero((codes.dense[:, i] > 0) & (codes.dense[:, j] > 0)):
            a, b = codes.dense[r, [i, j]].tolist()
            places.append((min(a / largest[i], b / largest[j]), *codes.place(r), a, b))
        best = {}
        for place in sorted(places, key=lambda x: (-x[0], x[1], x[2])):
            best.setdefault(place[1], place[1:])
        mine = found.pair == pair
        columns = (found.document, found.position, found.value_i, found.value_j)
        rows = list(zip(*(c[mine].tolist() for c in columns), strict=True))
        assert rows == list(best.values())[:3]
        assert found.rank[mine].tolist() == list(range(1, mine.sum() + 1))
    assert not (found.pair == 5).any()  # feature 6 never fires
    assert (
        np.diff(found.pair * 10 + found.rank) > 0
    ).all()  # in the order of the pairs, best first


@settings(max_examples=30)
@given(st.integers(0, 10_000), splits(), st.integers(0, 4))
def test_joint_firings_do_not_depend_on_the_split(seed, shards, kept):
    codes = Codes(seed)
    whole = scan_pairs(codes, kept=kept).result()
    first = scan_pairs(codes, [documents for documents, mine in shards if mine], kept)
    second = scan_pairs(codes, [documents for documents, mine in shards if not mine], kept)
    first.merge(second)
    found = first.result()
    for name in whole.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))


@settings(max_examples=20)
@given(st.integers(0, 10_000), splits())
def test_window_activations_equal_brute_force(seed, shards):
    codes = Codes(seed)
    firings = scan(codes).result().firings
    start = np.maximum(firings.position - 4, 0)
    first = WindowActivations(firings, start=start, stop=start + 6)
    second = WindowActivations(firings, start=start, stop=start + 6)
    for documents, mine in shards:
        (first if mine else second).add(codes.shard(documents))
    first.merge(second)
    row_at = {codes.place(r): r for r in range(len(codes.dense))}
    for w, (f, d) in enumerate(zip(firings.feature, firings.document, strict=True)):
        expected = [
            codes.dense[row_at[d, p], f] if (d, p) in row_at else 0.0
            for p in range(start[w], start[w] + 6)
        ]
        found = first.values[first.offset[w] : first.offset[w + 1]]
        assert found.tolist() == expected
        assert found[firings.position[w] - start[w]] == firings.value[w]


def test_nothing_at_all_gives_empty_results():
    codes = Codes(0)
    found = scan(codes, shards=([0],)).result()
    assert found.n.sum() == found.positions == found.documents == 0
    assert len(found.tokens.feature) == len(found.firings.feature) == 0
    assert found.domain == [None] * D_SAE
    assert len(scan_pairs(codes, shards=[[0]]).result().pair) == 0
    none = FiringOptions(contexts=0, tokens=0)
    assert len(scan(codes, options=none).result().firings.feature) == 0


def test_a_document_is_added_once():
    codes = Codes(0)
    scanner = scan(codes, [[1, 2]])
    with pytest.raises(ArtifactError, match="Document 2 stands in two code shards"):
        scanner.add(codes.shard([2, 3]))
    with pytest.raises(ArtifactError, match="Document 1 stands in two code shards"):
        scanner.merge(scan(codes, [[1, 4]]))


def test_shards_of_another_sae_or_corpus_are_refused():
    codes = Codes(0)
    small = FeatureScanner(4, domains=DOMAINS)
    with pytest.raises(ArtifactError, match=r"names latent 5; the SAE has 4"):
        small.add(codes.shard(EVERYTHING))
    with pytest.raises(ArtifactError, match=r"names document 9; the corpus has 3"):
        scan(codes, domains=DOMAINS[:3])
    with pytest.raises(UsageError, match="cannot be merged"):
        scan(codes, [[1]]).merge(scan(codes, [[2]], options=FiringOptions()))


def test_impossible_options_are_refused():
    with pytest.raises(UsageError, match="negative"):
        FiringOptions(contexts=-1)
    with pytest.raises(UsageError, match="cannot fill 10 bins of 7"):
        FiringOptions(bins=10, per_bin=7)
    some, ends = np.ones(D_SAE, np.int64), np.ones(D_SAE)
    with pytest.raises(UsageError, match="Pair 1 has the features 3 and 3"):
        PairScanner(np.array([0, 3]), np.array([1, 3]), n=some, largest=ends)
    with pytest.raises(UsageError, match="Pair 0 has the features 0 and 7; there are 7"):
        PairScanner(np.array([0]), np.array([7]), n=some, largest=ends)
