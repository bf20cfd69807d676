from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from atlas.errors import CorpusError
from ingest.corpus import Document, read_corpus

if TYPE_CHECKING:
    from pathlib import Path

datasets = pytest.importorskip("datasets", reason="the package datasets is not installed")


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def test_dataset_with_class_labels(tmp_path: Path) -> None:
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["law", "music"])}
    )
    rows = {"text": ["a", "", "c"], "label": [1, 0, None]}
    folder = tmp_path / "set"
    folder.mkdir()
    datasets.Dataset.from_dict(rows, features=features).to_parquet(folder / "train.parquet")
    corpus = read_corpus(f"hf:{folder}", domain_column="label")
    assert list(corpus) == [
        Document(f"{folder}:1", "a", "music", str(folder)),
        Document(f"{folder}:3", "c", None, str(folder)),
    ]
    assert [str(problem) for problem in corpus.problems] == [f"{folder}:2: empty text"]
    with pytest.raises(CorpusError, match="no column 'body'"):
        read_corpus(f"hf:{folder}", text_column="body")


def test_dataset_that_cannot_be_had() -> None:
    with pytest.raises(CorpusError, match=r"hf:nobody/nothing cannot be loaded.*offline"):
        read_corpus("hf:nobody/nothing")
