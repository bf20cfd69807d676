"""Embeddings of texts: their length, what is alike, one model for all threads, no network."""

from __future__ import annotations

import builtins
import logging
import socket
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from atlas.analysis import embedding
from atlas.analysis.embedding import LABEL_DIMENSIONS, embed_texts
from atlas.errors import UsageError
from queries.embedding import embed_label


@pytest.fixture
def unloaded():
    embedding._model.cache_clear()
    yield
    embedding._model.cache_clear()


def test_embeddings_are_of_length_one_and_know_what_is_alike():
    found = embed_texts(["heart disease", "cardiac illness", "football match", " "])
    assert found.dtype == np.float32
    assert found.shape == (4, LABEL_DIMENSIONS)
    assert np.linalg.norm(found[:3], axis=1) == pytest.approx(1.0, abs=1e-5)
    assert np.isnan(found[3]).all()
    assert found[0] @ found[1] > found[0] @ found[2] + 0.1
    assert embed_texts([]).shape == (0, LABEL_DIMENSIONS)
    many = embed_texts([f"word {n}" for n in range(200)])
    assert np.allclose(many[150], embed_texts(["word 150"])[0], atol=1e-6)


def test_loading_needs_no_network_and_leaves_the_logger_alone(monkeypatch, tmp_path, unloaded):
    def refuse(*args, **kwargs):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("HOME", str(tmp_path))
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    assert np.isfinite(embed_texts(["heart"])).all()
    assert (list(root.handlers), root.level) == before


def test_threads_that_come_first_share_one_model_and_agree(unloaded):
    words = [f"word {n}" for n in range(64)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(embed_label, words))
    assert embedding._model.cache_info().misses == 1
    assert np.allclose(found, embed_texts(words), atol=1e-6)


def test_a_label_is_embedded_as_the_stage_embeds_it():
    vector = embed_label("heart disease")
    assert vector == embed_texts(["heart disease"])[0].tolist()
    assert len(vector) == LABEL_DIMENSIONS
    assert all(type(x) is float for x in vector)


@pytest.mark.parametrize("text", ["", "  ", "\n"])
def test_a_blank_text_has_no_meaning(text):
    with pytest.raises(UsageError, match="no meaning"):
        embed_label(text)


def test_without_the_extra_its_name_is_said(monkeypatch, unloaded):
    def refuse(name, *args, **kwargs):
        if name.startswith("wordllama"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    real = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(UsageError, match=r"sae-feature-atlas\[embed\]"):
        embed_label("heart")
