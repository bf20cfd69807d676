"""A small build folder with known contents, written as the ingest pipeline writes it."""

from __future__ import annotations

import hashlib
import json
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from atlas.schemas import FORMAT, file_name, schema, tables

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MODEL = "toy"
SAE = "toy/blocks.1.hook_resid_pre/planted"
CORPUS = "letters"
THEMES = ("heart", "goal", "river")
SIZE = 8
ISOLATED, DEAD = 24, 25
BRIDGES = {(7, 8): 0.11, (15, 16): 0.12}
WEAK = (0, 23)
"""An edge that is beyond the top ten of both of its ends and so not in the backbone."""

Tables = dict[str, list[dict[str, Any]]]


def key(index: int) -> str:
    """Return the key of a feature of the synthetic SAE."""
    return f"{SAE}/{index}"


def planted_edges() -> dict[tuple[int, int], float]:
    """Return the backbone: three dense communities and two bridges, with distinct weights phi.

    A pair of a community whose distance modulo eight is four is left out, so that degrees and
    path lengths differ.
    """
    edges = dict(BRIDGES)
    for number in range(len(THEMES)):
        for a, b in combinations(range(SIZE), 2):
            if (b - a) % SIZE != 4 and (a + 2 * b + number) % 5:
                edges[number * SIZE + a, number * SIZE + b] = 0.3 + ((7 * a + 3 * b) % 31) / 64
    return edges


def planted(run_id: str = "synthetic") -> tuple[dict[str, Any], Tables]:
    """Return run.json (without files) and the rows of every table."""
    edges = [_edge(a, b, phi) for (a, b), phi in sorted(planted_edges().items())]
    edges.append(_edge(*WEAK, 0.02) | {"rank_source": 40, "rank_target": 3, "mutual": False})
    rows: Tables = {
        "features": [_feature(index) for index in range(DEAD + 1)],
        "edges": edges,
        "tokens": _tokens(),
        "feature_tokens": _feature_tokens(),
        "documents": _documents(),
        "contexts": [_context(number, place) for number in range(3) for place in range(4)],
        "firings": _firings(),
        "implies": [_implies(0, 1), _implies(9, 8)],
        "similar": [_similar(0, 1), _similar(2, 9)],
        "feeds": [],
        "vectors": [_vectors(index) for index in range(DEAD + 1)],
        "concepts": [_concept(word) for word in THEMES],
        "about": [_about(index) for index in range(SIZE * len(THEMES))],
    }
    run = {
        "format": FORMAT,
        "run_id": run_id,
        "name": "synthetic",
        "created": "2025-01-01T00:00:00+00:00",
        "recipe_sha256": "0" * 64,
        "atlas_version": "0.1.0",
        "model": {
            "key": MODEL,
            "d_model": 8,
            "n_layers": 2,
            "weights_sha256": None,
            "source": "made by a test",
        },
        "saes": [
            {
                "key": SAE,
                "name": "planted",
                "hook": "blocks.1.hook_resid_pre",
                "architecture": "topk",
                "d_sae": DEAD + 1,
                "weights_sha256": "1" * 64,
                "neuronpedia_id": None,
            }
        ],
        "corpus": {"name": CORPUS, "documents": 3, "positions": 600, "sha256": "2" * 64},
        "parameters": {"min_expected": 5.0, "top": 64},
        "versions": {"torch": "none"},
        "counts": {"features": DEAD + 1, "edges": len(edges)},
    }
    return run, rows


def write_build(
    folder: Path,
    run: Mapping[str, Any] | None = None,
    rows: Tables | None = None,
    *,
    run_id: str = "synthetic",
) -> Path:
    """Write a build folder; by default the planted one. Return the folder."""
    made_run, made_rows = planted(run_id)
    run, rows = run or made_run, rows if rows is not None else made_rows
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for name, table_rows in rows.items():
        path = folder / file_name(name)
        pq.write_table(pa.Table.from_pylist(table_rows, schema=tables()[name]), path)
        files[path.name] = {
            "rows": len(table_rows),
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
    (folder / "run.json").write_text(json.dumps({**run, "files": files}, indent=2))
    return folder


def theme(index: int) -> str | None:
    """Return the word that a feature fires on, if it belongs to a community."""
    return THEMES[index // SIZE] if index < SIZE * len(THEMES) else None


def _feature(index: int) -> dict[str, Any]:
    dead, word = index == DEAD, theme(index)
    return {
        "key": key(index),
        "sae": SAE,
        "index": index,
        "n": 0 if dead else 20 + index,
        "d": 0 if dead else 3,
        "firing_rate": 0.0 if dead else (20 + index) / 600,
        "mean": None if dead else 1.0 + index / 10,
        "max": None if dead else 3.0,
        "std": None if dead else 0.5,
        "dead": dead,
        "dense": False,
        "logit_mean": 0.0,
        "logit_std": 1.0,
        "logit_skew": float("nan") if dead else 0.1,
        "logit_kurtosis": 3.0,
        "label": None if dead else f"{word or 'alone'} {index}",
        "label_source": None if dead else "tokens",
        "top_tokens": [] if dead else [f" {word or 'alone'}", f" own{index}"],
        "top_words": [] if dead else [f"{word or 'alone'}-word"],
        "promoted": [] if dead else [f" {word or 'alone'}s"],
        "suppressed": [],
        "top_domain": None if word is None else f"domain-{word}",
        "top_domain_share": None if word is None else 0.75,
    }


def _edge(a: int, b: int, phi: float) -> dict[str, Any]:
    return {
        "source": key(a),
        "target": key(b),
        "kind": "token",
        "n": 10,
        "d": 3,
        "expected": 5.0,
        "lift": 2.0,
        "pmi": 1.0,
        "npmi": 0.2 + phi / 10,
        "phi": phi,
        "phi_max": 0.9,
        "phi_share": phi / 0.9,
        "jaccard": 0.25,
        "phi_within": phi,
        "r_topic": 0.05,
        "r": phi / 2,
        "r_joint": 0.1,
        "cosine": None,
        "position_share": 0.01,
        "p_target_given_source": 10 / (20 + a),
        "p_source_given_target": 10 / (20 + b),
        "z": 4.0,
        "z_within": 3.0,
        "p": 1e-4,
        "q": 1e-3,
        "rank_source": 1,
        "rank_target": 2,
        "mutual": True,
        "contexts": [],
    }


def _implies(source: int, target: int) -> dict[str, Any]:
    return {
        "source": key(source),
        "target": key(target),
        "n": 10,
        "p_target_given_source": 0.8,
        "p_source_given_target": 0.3,
        "lift": 2.0,
        "cosine": 0.4,
        "absorption": False,
        "p": 1e-4,
        "q": 1e-3,
    }


def _similar(a: int, b: int) -> dict[str, Any]:
    return {
        "source": key(a),
        "target": key(b),
        "cosine": 0.7,
        "rank_source": 1,
        "rank_target": None,
        "mutual": False,
    }


def decoder(index: int) -> list[float]:
    """Return a feature's decoder vector, float32 ``[8]``: those of a theme point the same way."""
    rng = np.random.default_rng(index)
    towards = np.eye(SIZE)[index // SIZE if theme(index) else SIZE - 1]
    return [float(x) for x in np.float32(3 * towards + rng.normal(size=SIZE) / 4)]


def embedding(index: int) -> list[float]:
    """Return a unit vector for a feature's label, float32 ``[256]``."""
    rng = np.random.default_rng(1000 + index)
    vector = rng.normal(size=256)
    return [float(x) for x in np.float32(vector / np.linalg.norm(vector))]


def _vectors(index: int) -> dict[str, Any]:
    return {
        "feature": key(index),
        "decoder": decoder(index),
        "label_embedding": None if index == DEAD else embedding(index),
    }


def concept_key(word: str) -> str:
    """Return the key of a theme's concept."""
    return f"{CORPUS}/domain/domain-{word}"


def _concept(word: str) -> dict[str, Any]:
    return {
        "key": concept_key(word),
        "name": f"domain-{word}",
        "kind": "domain",
        "source": CORPUS,
        "documents": 40,
    }


def _about(index: int) -> dict[str, Any]:
    auc = 0.95 - (index % SIZE) / 32
    return {
        "feature": key(index),
        "concept": concept_key(THEMES[index // SIZE]),
        "auc": auc,
        "effect": 2 * auc - 1,
        "p": 1e-9,
        "q": 1e-7,
        "documents": 30 - index % SIZE,
        "share": (30 - index % SIZE) / 40,
    }


def _words() -> list[str]:
    return [*(f" {word}" for word in THEMES), " alone", *(f" own{i}" for i in range(DEAD)), " ("]


def _tokens() -> list[dict[str, Any]]:
    return [
        {"key": f"{MODEL}/{number}", "token_id": number, "text": text}
        for number, text in enumerate(_words())
    ]


def _feature_tokens() -> list[dict[str, Any]]:
    rows = []
    for index in range(DEAD):
        word = theme(index)
        common = THEMES.index(word) if word else len(THEMES)
        own = len(THEMES) + 1 + index
        for rank, (token, score, n) in enumerate(((common, 8.0, 12), (own, 20.0, 5)), start=1):
            rows.append(_feature_token(index, token, "FIRES_ON", rank=rank, score=score, n=n))
        rows.append(_feature_token(index, common, "PROMOTES", rank=1, score=1.5, n=None))
        rows.append(
            _feature_token(index, len(_words()) - 1, "SUPPRESSES", rank=1, score=-1.0, n=None)
        )
    return rows


def _feature_token(
    index: int, token: int, relation: str, *, rank: int, score: float, n: int | None
) -> dict[str, Any]:
    return {
        "feature": key(index),
        "token": f"{MODEL}/{token}",
        "relation": relation,
        "rank": rank,
        "score": score,
        "n": n,
    }


def _documents() -> list[dict[str, Any]]:
    return [
        {
            "key": f"{CORPUS}/{number}",
            "domain": f"domain-{word}",
            "source": "made by a test",
            "title": None,
            "n_tokens": 200,
        }
        for number, word in enumerate(THEMES)
    ]


def _context(number: int, place: int) -> dict[str, Any]:
    tokens = ["The", f" {THEMES[number]}", " is", f" own{number * SIZE + place}", "."]
    return {
        "key": f"{CORPUS}/{number}/{place}",
        "document": f"{CORPUS}/{number}",
        "position": place,
        "token": tokens[1],
        "text": "".join(tokens),
        "tokens": tokens,
    }


def _firings() -> list[dict[str, Any]]:
    return [
        {
            "feature": key(index),
            "context": f"{CORPUS}/{index // SIZE}/{place}",
            "rank": place + 1,
            "activation": 3.0 - place / 4 - index / 100,
            "activations": [0.0, 3.0 - place / 4, 0.0, 0.5, 0.0],
            "bin": None,
        }
        for index in range(SIZE * len(THEMES))
        for place in range(4)
    ]


def write_attribution(
    folder: Path,
    *,
    rows: Tables | None = None,
    run_id: str = "capitals-attribution-0",
    **record: Any,
) -> Path:
    """Write the folder of an attribution run over features of the planted SAE; return it."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for name, table_rows in (rows or planted_attribution()).items():
        path = folder / file_name(name)
        pq.write_table(pa.Table.from_pylist(table_rows, schema=schema(name)), path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        files[path.name] = {"rows": len(table_rows), "sha256": digest}
    whole = {
        "format": 1,
        "run_id": run_id,
        "created": "2025-01-02T00:00:00+00:00",
        "prompt_set": {"name": "capitals", "sha256": "3" * 64},
        "model": {"key": MODEL, "weights_sha256": None, "dtype": "float32"},
        "saes": [{"key": SAE, "source": "made by a test", "weights_sha256": "1" * 64}],
        "parameters": {"metric": "logit-diff", "aggregation": "sum"},
        "counts": {"prompts": 3, "edges": 2},
        "versions": {"torch": "none"},
        "few_prompts": True,
        "notes": ["made by a test"],
        "files": files,
    }
    (folder / "attribution.json").write_text(json.dumps(whole | record))
    return folder


def planted_attribution() -> Tables:
    """Return the rows of an attribution run: two edges over three prompts."""
    prompts = [
        {
            "key": f"capitals/{number}",
            "prompt_set": "capitals",
            "id": str(number),
            "group": None,
            "prompt": f"The capital of {country} is",
            "answer": f" {city}",
            "foils": [" Oslo"],
            "answer_token": number,
            "n_tokens": 5,
            "score": 1.5 + number,
        }
        for number, (country, city) in enumerate(
            (("Italy", "Rome"), ("France", "Paris"), ("Spain", "Madrid"))
        )
    ]
    edges = [
        {
            "source": key(a),
            "target": key(b),
            "prompt_set": "capitals",
            "metric": "logit-diff",
            "aggregation": "sum",
            "r": r,
            "r_spearman": r,
            "p": 1e-4,
            "q": 1e-3,
            "sign": 1 if r > 0 else -1,
            "prompts": 3,
            "n_both": 3,
            "stability": 0.9,
            "r_low": r - 0.05,
            "r_high": r + 0.05,
        }
        for a, b, r in ((0, 9, 0.8), (3, 20, -0.7))
    ]
    return {
        "prompts": prompts,
        "co_attributed": edges,
        "attributions": [{"feature": key(0), "prompt": "capitals/0", "value": 0.25}],
        "splits": [
            {
                "sae": SAE,
                "prompt": "capitals/0",
                "features": 1.0,
                "bias": 0.0,
                "error": 0.1,
                "total": 1.1,
            }
        ],
    }
