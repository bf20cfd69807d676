"""Tokens that are not known, tokens of several SAEs, and the order of hooks, on small inputs."""

from __future__ import annotations

import numpy as np
import pytest

from atlas.errors import ArtifactError
from ingest.brought import BroughtOptions, bring
from ingest.brought_inputs import hook_depths
from ingest.brought_texts import UNKNOWN_TEXT, BroughtTexts
from ingest.firing import FeatureScanner, FiringOptions
from tests.unit.brought_files import write_documents, write_parquet
from tests.unit.test_firing import D_SAE, DOMAINS, EVERYTHING, Codes


def scan(codes: Codes, *parts: list[int]):
    scanners = []
    for part in parts:
        scanner = FeatureScanner(D_SAE, domains=DOMAINS, options=FiringOptions(tokens=3))
        scanner.add(codes.shard(part))
        scanners.append(scanner)
    for other in scanners[1:]:
        scanners[0].merge(other)
    return scanners[0].result()


@pytest.mark.parametrize("seed", range(4))
def test_tokens_that_are_not_known_mark_nothing_and_still_count_as_positions(seed):
    codes = Codes(seed)
    codes.token[np.random.default_rng(seed).random(len(codes.token)) < 0.4] = -1
    found, known = scan(codes, EVERYTHING), codes.token >= 0
    assert found.positions == len(codes.token)
    marks = found.tokens
    for f in range(D_SAE):
        on = codes.dense[:, f] > 0
        scores = {}
        for token in range(5):
            n = int((on & (codes.token == token)).sum())
            share = n / max(int((on & known).sum()), 1)
            base = (codes.token == token).sum() / known.sum()
            if n >= min(2, int((on & known).sum())) and n and share > base:
                scores[token] = (share * np.log2(share / base), n, share)
        best = sorted(scores, key=lambda t: (-scores[t][0], t))[:3]
        mine = marks.feature == f
        assert marks.item[mine].tolist() == best
        wanted = np.array([scores[t] for t in best]).reshape(-1, 3)
        columns = np.stack([marks.score[mine], marks.n[mine], marks.share[mine]], axis=1)
        np.testing.assert_allclose(columns, wanted)


def test_without_any_token_the_rest_is_the_same_and_parts_merge():
    codes, blind = Codes(3), Codes(3)
    blind.token[:] = -1
    found, wanted = scan(blind, EVERYTHING[:4], EVERYTHING[4:]), scan(codes, EVERYTHING)
    assert found.positions == wanted.positions
    assert len(found.tokens.item) == 0
    assert found.n.tolist() == wanted.n.tolist()
    assert found.domain == wanted.domain
    np.testing.assert_array_equal(found.firings.position, wanted.firings.position)


def test_hooks_are_ordered_by_block_or_as_they_are_named():
    residual = ["blocks.5.hook_resid_pre", "blocks.4.hook_resid_post", "blocks.11.hook_mlp_out"]
    assert hook_depths(residual) == [5, 5, 11]
    assert hook_depths(["layers.9", "blocks.2.x", "layers.9", "layers.1"]) == [0, 1, 0, 2]


def reading(folder, token, *, token_texts=None):
    """Bring two firings in documents of four positions, with tokens at the firings alone."""
    rows = {"document": ["p", "q"], "position": [1, 3], "feature": [0, 1], "value": [1.0, 2.0]}
    write_parquet(folder / "codes", rows | ({"token": token} if token is not None else {}))
    columns = {"document": ["p", "q"], "n_positions": [4, 4]}
    if token_texts is not None:
        columns["token_texts"] = token_texts
    documents = write_documents(folder / "documents.parquet", columns)
    options = BroughtOptions(d_sae=2)
    return bring(folder / "codes", folder / "out", options=options, documents=documents)


def test_what_one_sae_does_not_say_of_a_token_another_may(tmp_path):
    first = reading(tmp_path / "a", [7, 8])
    moved = tmp_path / "b"
    rows = {"document": ["p"], "position": [2], "feature": [0], "value": [1.0], "token": [9]}
    write_parquet(moved / "codes", rows)
    second = bring(
        moved / "codes",
        moved / "out",
        options=BroughtOptions(d_sae=2),
        documents=tmp_path / "a" / "documents.parquet",
    )
    texts = BroughtTexts([first, second, reading(tmp_path / "c", None)], None)
    assert texts.known
    assert texts.tokens(0).tolist() == [-1, 7, 9, -1]
    assert texts.tokens(1).tolist() == [-1, -1, -1, 8]
    assert (texts.of(7), texts.of(-1), texts.n_tokens(1)) == ("#7", UNKNOWN_TEXT, 4)
    assert not BroughtTexts([reading(tmp_path / "d", None)], None).known


def test_tokens_that_contradict_each_other_are_refused(tmp_path):
    first = reading(tmp_path / "a", [7, 8])
    texts = BroughtTexts([first, reading(tmp_path / "b", [7, 6])], None)
    assert texts.tokens(0).tolist() == [-1, 7, -1, -1]
    with pytest.raises(ArtifactError, match=r"position 3 of document 'q'.*tokens, 8 and 6"):
        texts.tokens(1)


def test_texts_that_are_numbered_in_two_ways_are_refused(tmp_path):
    first = reading(tmp_path / "a", ["x", "y"])
    assert BroughtTexts([first], None).of(1) == "y"
    assert BroughtTexts([first, first], None).tokens(1).tolist() == [-1, -1, -1, 1]
    with pytest.raises(ArtifactError, match="Token 1 is 'y' in the codes of one SAE and 'z'"):
        BroughtTexts([first, reading(tmp_path / "b", ["x", "z"])], None)
    whole = [list("abcd"), list("efgx")]
    every = reading(tmp_path / "c", ["b", "x"], token_texts=whole)
    texts = BroughtTexts([every], None)
    assert [[texts.of(t) for t in texts.tokens(d)] for d in range(2)] == whole
