"""Windows of text, and the tables made of them, from shards split in any way."""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc
import pytest

from atlas.schemas import schema
from ingest.contexts import ContextWindows, join_contexts
from ingest.corpus import Document
from ingest.decoder import LogitWeights
from ingest.feature_tables import FeatureInputs, feature_tables
from ingest.firing import FeatureScanner, FiringOptions, PairScanner, WindowActivations
from ingest.labels import WordBackground
from tests.unit.test_firing import D_SAE, DOMAINS, EVERYTHING, Codes

WORDS = tuple(f"{a}{b}ll " for a in "bdfghjklm" for b in "aeiou")


class Text:
    """Tokens of documents; counts how often each is tokenised."""

    def __init__(self) -> None:
        rng = np.random.default_rng(3)
        self.ids = [rng.choice(rng.integers(0, len(WORDS), 6), 15).tolist() for _ in DOMAINS]
        self.asked: list[int] = []

    def tokens(self, document: int) -> np.ndarray:
        self.asked.append(document)
        return np.array(self.ids[document], np.int32)

    def windows(self, width: int = 6) -> ContextWindows:
        documents = [Document(id=f"d{n}", text="") for n in range(len(DOMAINS))]
        return ContextWindows(
            documents, tokens_of=self.tokens, text_of=WORDS.__getitem__, corpus="c", width=width
        )


def test_a_window_has_two_thirds_of_its_tokens_before_the_position():
    text = Text()
    found = text.windows().around(np.array([2, 2, 2]), np.array([7, 1, 14]))
    assert (found.start.tolist(), found.stop.tolist()) == ([3, 0, 10], [9, 6, 15])
    row = found.table.to_pylist()[0]
    tokens = [WORDS[t] for t in text.ids[2][3:9]]
    assert row == {
        "key": "c/d2/7",
        "document": "c/d2",
        "position": 7,
        "token": WORDS[text.ids[2][7]],
        "text": "".join(tokens),
        "tokens": tokens,
    }


def test_each_place_has_one_row_in_the_order_named_and_a_document_is_read_once(monkeypatch):
    monkeypatch.setattr("ingest.contexts._BATCH", 2)
    text = Text()
    document, position = np.array([5, 1, 5, 1, 5, 0]), np.array([3, 9, 3, 2, 1, 0])
    found = text.windows().around(document, position)
    assert found.table["key"].to_pylist() == ["c/d5/3", "c/d1/9", "c/d1/2", "c/d5/1", "c/d0/0"]
    assert found.row.tolist() == [0, 1, 0, 2, 3, 4]
    assert found.keys.to_pylist() == [
        f"c/d{d}/{p}" for d, p in zip(document, position, strict=True)
    ]
    assert text.asked == [0, 1, 5]
    assert found.table.schema == schema("contexts")


def test_no_places_give_an_empty_table():
    found = Text().windows().around(np.zeros(0, np.int64), np.zeros(0, np.int64))
    assert found.table.num_rows == len(found.keys) == 0
    assert join_contexts([]).schema == join_contexts([found.table]).schema == schema("contexts")


def test_joined_contexts_keep_the_first_row_of_a_key():
    windows = Text().windows()
    a = windows.around(np.array([1, 2]), np.array([3, 4])).table
    b = windows.around(np.array([2, 0, 1]), np.array([4, 4, 3])).table
    assert join_contexts([a, b])["key"].to_pylist() == ["c/d1/3", "c/d2/4", "c/d0/4"]
    assert join_contexts([a, b]).slice(0, 2) == a


def test_a_sample_of_windows_is_even_and_bounded():
    text = Text()
    assert len(text.windows().sample()) == 3 * len(DOMAINS)
    some = text.windows().sample(limit=7)
    assert len(some) <= 7
    assert some[0] == "".join(WORDS[t] for t in text.ids[0][:6])


def _logits() -> LogitWeights:
    moments = np.linspace(0, 1, D_SAE)
    tokens = np.arange(2 * D_SAE).reshape(D_SAE, 2) % len(WORDS)
    scores = tokens.astype(float)
    return LogitWeights(
        moments, moments, moments, moments, tokens, tokens[:, ::-1], scores, -scores
    )


def make(codes, shards, *, bins=0):
    """Scan twice, as a build does, and make the tables."""
    options = FiringOptions(contexts=4, tokens=3, bins=bins, per_bin=2, sample=16)
    scanner = FeatureScanner(D_SAE, domains=DOMAINS, options=options)
    for documents in shards:
        scanner.add(codes.shard(documents))
    found = scanner.result()
    windows = Text().windows()
    contexts = windows.around(found.firings.document, found.firings.position)
    activations = WindowActivations(found.firings, start=contexts.start, stop=contexts.stop)
    pairs = PairScanner(
        np.array([0, 1]), np.array([2, 3]), n=found.n, largest=found.moments.max, kept=2
    )
    for documents in shards:
        activations.add(codes.shard(documents))
        pairs.add(codes.shard(documents))
    inputs = FeatureInputs(
        sae_key="m/h/s",
        statistics=found,
        contexts=contexts,
        activations=activations,
        logits=_logits(),
        background=WordBackground(windows.sample()),
        text_of=WORDS.__getitem__,
        token_key=lambda token: f"m/{token}",
    )
    joint = pairs.result()
    keys = windows.around(joint.document, joint.position).keys.to_pylist()
    edges = [[k for k, p in zip(keys, joint.pair, strict=True) if p == pair] for pair in range(2)]
    return feature_tables(inputs), edges


@pytest.mark.parametrize("seed", range(3))
def test_tables_show_the_codes(seed):
    codes = Codes(seed)
    tables, edges = make(codes, [EVERYTHING], bins=3)
    assert tables.features["n"].to_pylist() == (codes.dense > 0).sum(axis=0).tolist()
    assert tables.features["dead"].to_pylist() == (codes.dense == 0).all(axis=0).tolist()
    row_at = {codes.place(r): r for r in range(len(codes.dense))}
    contexts = {row["key"]: row for row in tables.contexts.to_pylist()}
    text = Text()

    def value(key, feature, position=None):
        _, document, own = key.split("/")
        place = (int(document[1:]), int(own) if position is None else position)
        return codes.dense[row_at[place], int(feature[-1])] if place in row_at else 0.0

    firings = tables.firings.to_pylist()
    for row in firings:
        context = contexts[row["context"]]
        assert row["activation"] == value(row["context"], row["feature"])
        start = max(0, context["position"] - 4)
        assert context["tokens"] == [
            WORDS[t] for t in text.ids[int(context["document"][3:])][start : start + 6]
        ]
        assert row["activations"] == [
            value(row["context"], row["feature"], start + k) for k in range(len(context["tokens"]))
        ]
    keys = [(row["feature"], row["context"]) for row in firings]
    assert len(set(keys)) == len(keys)
    assert {row["bin"] for row in firings} == {None, 0, 1, 2}
    for pair, keys in zip(((0, 2), (1, 3)), edges, strict=True):
        assert all(value(key, f"m/h/s/{feature}") > 0 for key in keys for feature in pair)
    assert any(edges)


@pytest.mark.parametrize(
    "shards", [[[d] for d in reversed(EVERYTHING)], [[4, 5, 6, 9], [0, 1, 2, 3, 7, 8]]]
)
def test_tables_do_not_depend_on_the_split(shards):
    codes = Codes(1)
    (whole, whole_edges), (found, edges) = (
        make(codes, [EVERYTHING], bins=2),
        make(codes, shards, bins=2),
    )
    for name in ("feature_tokens", "contexts", "firings"):
        assert getattr(found, name).equals(getattr(whole, name))
    assert edges == whole_edges
    assert found.token_ids == whole.token_ids
    for name in found.features.column_names:
        mine, theirs = found.features[name], whole.features[name]
        if name in ("mean", "std"):
            np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-12)
        else:
            assert mine.equals(theirs), name


def test_bins_add_rows_and_change_no_label():
    codes = Codes(1)
    (plain, _), (binned, _) = make(codes, [EVERYTHING]), make(codes, [EVERYTHING], bins=2)
    assert sum(map(bool, plain.features["top_words"].to_pylist())) >= 4
    assert plain.features.equals(binned.features)
    assert plain.firings["bin"].null_count == plain.firings.num_rows
    top = binned.firings.filter(pc.is_null(binned.firings["bin"]))
    assert top.equals(plain.firings)
    assert binned.firings.num_rows > plain.firings.num_rows
