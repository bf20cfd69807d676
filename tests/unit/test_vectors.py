"""Vectors of features: what is written, and what is null."""

from __future__ import annotations

import builtins

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from atlas.analysis import embedding
from atlas.analysis.embedding import embed_texts
from atlas.errors import UsageError
from atlas.progress import SilentReporter
from atlas.schemas import schema
from ingest.mapped import MappedSae
from ingest.vectors import LABEL_DIMENSIONS, make_vectors

D_SAE, WIDTH = 20_000, 3


class Listener(SilentReporter):
    def __init__(self):
        self.notes = []

    def note(self, line):
        self.notes.append(line)


def sae_of(w_dec, d_sae=D_SAE):
    return MappedSae(
        name="s", key="m/h/s", hook="h", depth=0, d_sae=d_sae, paths=(), identity={}, block=0,
        w_dec=w_dec, w_enc=None,
    )  # fmt: skip


@pytest.fixture
def without_wordllama(monkeypatch):
    def refuse(name, *args, **kwargs):
        if name.startswith("wordllama"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    real = builtins.__import__
    embedding._model.cache_clear()
    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.setattr(embedding.util, "find_spec", lambda name: None)
    yield
    embedding._model.cache_clear()


def test_every_row_is_the_saes_own_and_embeddings_are_those_of_the_labels(tmp_path):
    w_dec = torch.randn(D_SAE, WIDTH, generator=torch.Generator().manual_seed(0)) * 5
    labels = [None if f % 3 == 0 else f"heart {f}" for f in range(D_SAE)]
    labels[1] = ""
    about = make_vectors(tmp_path, sae_of(w_dec), labels=labels, reporter=SilentReporter())
    table = pq.read_table(tmp_path / "vectors.parquet")
    assert table.schema.equals(schema("vectors"))
    rows = table.to_pylist()
    assert [row["feature"] for row in rows] == [f"m/h/s/{f}" for f in range(D_SAE)]
    assert np.array_equal([row["decoder"] for row in rows], w_dec.numpy())
    some = [1, 2, 3, 8191, 8192, 8193, D_SAE - 1]
    for f in some:
        if not labels[f]:
            assert rows[f]["label_embedding"] is None
        else:
            wanted = embed_texts([labels[f]])[0]
            assert rows[f]["label_embedding"] == pytest.approx(wanted.tolist(), abs=1e-6)
    has = sum(row["label_embedding"] is not None for row in rows)
    assert about == {"decoder": D_SAE, "label_embedding": has}
    assert has == sum(1 for label in labels if label)


def test_without_weights_only_labelled_features_have_a_row(tmp_path):
    labels = ["heart", None, "goal", " "]
    make_vectors(tmp_path, sae_of(None, 4), labels=labels, reporter=SilentReporter())
    rows = pq.read_table(tmp_path / "vectors.parquet").to_pylist()
    assert [row["feature"] for row in rows] == ["m/h/s/0", "m/h/s/2"]
    assert all(row["decoder"] is None for row in rows)
    assert all(len(row["label_embedding"]) == LABEL_DIMENSIONS for row in rows)


def test_without_the_extra_the_column_is_null_and_said_so(tmp_path, without_wordllama):
    listener = Listener()
    about = make_vectors(
        tmp_path, sae_of(torch.ones(2, WIDTH), 2), labels=["a", "b"], reporter=listener
    )
    assert about == {"decoder": 2, "label_embedding": 0}
    rows = pq.read_table(tmp_path / "vectors.parquet").to_pylist()
    assert [row["label_embedding"] for row in rows] == [None, None]
    assert any("extra `embed`" in line for line in listener.notes)
    with pytest.raises(UsageError, match=r"sae-feature-atlas\[embed\]"):
        embed_texts(["a"])


def test_nothing_known_is_no_table(tmp_path):
    about = make_vectors(tmp_path, sae_of(None, 2), labels=[None, ""], reporter=SilentReporter())
    assert about == {"decoder": 0, "label_embedding": 0}
    assert not (tmp_path / "vectors.parquet").exists()


def test_labels_have_to_be_those_of_the_features(tmp_path):
    with pytest.raises(ValueError, match="1 labels"):
        make_vectors(tmp_path, sae_of(None, 2), labels=["a"], reporter=SilentReporter())
