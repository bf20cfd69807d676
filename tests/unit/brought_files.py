"""Random codes, and writers of the formats in which codes are brought."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.numpy import save_file

from atlas.artifacts import CodeShard

NAMES = ("document", "position", "feature", "value", "token")


@dataclass
class Codes:
    """Dense codes of documents: `dense[d]` is [positions, d_sae], `tokens[d]` is [positions]."""

    dense: list[np.ndarray]
    tokens: list[np.ndarray]
    d_sae: int

    @property
    def lengths(self) -> list[int]:
        return [len(codes) for codes in self.dense]

    def rows(self, *, zeros: bool = False) -> dict[str, np.ndarray]:
        """Firings as columns, document by document."""
        found = [
            (d, p, f, codes[p, f], self.tokens[d][p])
            for d, codes in enumerate(self.dense)
            for p in range(len(codes))
            for f in range(self.d_sae)
            if codes[p, f] > 0 or zeros
        ]
        columns = list(zip(*found, strict=True)) if found else [()] * 5
        kinds = (np.int64, np.int64, np.int64, np.float32, np.int64)
        return {n: np.array(c, k) for n, c, k in zip(NAMES, columns, kinds, strict=True)}


def random_codes(
    seed: int, *, documents: int = 7, length: int = 9, d_sae: int = 6, share: float = 0.2
) -> Codes:
    """Codes exact in float16; some documents are empty or silent, the first fires."""
    rng = np.random.default_rng(seed)
    dense, tokens = [], []
    for d in range(documents):
        n = length if d == 0 else int(rng.integers(0, length + 1))
        fires = rng.random((n, d_sae)) < (share if rng.random() < 0.8 else 0)
        if d == 0:
            fires[n // 2, d_sae - 1] = True
        values = rng.integers(1, 2**10, (n, d_sae)) / 64
        dense.append(np.where(fires, values, 0).astype(np.float32))
        tokens.append(rng.integers(0, 50, n).astype(np.int32))
    return Codes(dense, tokens, d_sae)


def expected(
    codes: Codes,
    shard_documents: int,
    *,
    counts=lambda document, position, token: True,
    only_firing: bool = False,
    with_tokens: bool = True,
    numbers: list[int] | None = None,
) -> list[CodeShard]:
    """Shards by brute force, position by position; `numbers` are the documents in order."""
    order = list(range(len(codes.dense))) if numbers is None else numbers
    shards = []
    for first in range(0, len(order), shard_documents):
        indptr, index, value, document, position, token = [0], [], [], [], [], []
        for number in range(first, min(first + shard_documents, len(order))):
            d = order[number]
            for p, row in enumerate(codes.dense[d]):
                firing = np.flatnonzero(row)
                if not counts(d, p, codes.tokens[d][p]) or (only_firing and not len(firing)):
                    continue
                index += firing.tolist()
                value += row[firing].tolist()
                indptr.append(len(index))
                document.append(number)
                position.append(p)
                token.append(codes.tokens[d][p] if with_tokens else -1)
        shards.append(
            CodeShard(
                indptr=np.array(indptr, np.int64),
                index=np.array(index, np.int32),
                value=np.array(value, np.float32),
                document=np.array(document, np.int32),
                position=np.array(position, np.int32),
                token=np.array(token, np.int32),
            )
        )
    return shards


def assert_same(found: list[CodeShard], wanted: list[CodeShard]) -> None:
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        for name in CodeShard.__dataclass_fields__:
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
            assert getattr(one, name).dtype == getattr(other, name).dtype, name


def cut(rng: np.random.Generator, length: int, parts: int) -> list[slice]:
    """Cut a length into slices at random; some may be empty."""
    bounds = [0, *sorted(rng.integers(0, length + 1, parts - 1).tolist()), length]
    return [slice(a, b) for a, b in pairwise(bounds)]


def write_parquet(folder: Path, rows: dict, *, parts: int = 1, group: int = 7, seed: int = 0):
    """Spread rows over files whose names are not in the rows' order."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in zip(
        rng.permutation(parts), cut(rng, len(rows["document"]), parts), strict=True
    ):
        table = pa.table({k: v[part] for k, v in rows.items()})
        pq.write_table(table, folder / f"part-{name}.parquet", row_group_size=group)
    return folder


def write_tensors(folder: Path, rows: dict, *, parts: int = 1, seed: int = 0):
    """Spread rows over safetensors files."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for number, part in enumerate(cut(rng, len(rows["document"]), parts)):
        tensors = {k: np.ascontiguousarray(v[part]) for k, v in rows.items()}
        save_file(tensors, folder / f"part-{number}.safetensors")
    return folder


def write_delphi(
    folder: Path,
    latents: np.ndarray,
    tokens: np.ndarray,
    *,
    splits: int,
    version: str = "delphi",
    save_tokens: bool = True,
) -> Path:
    """Write a latent cache as EleutherAI's delphi does.

    Follows ``LatentCache.save_splits`` and ``save_config`` in ``delphi/latents/cache.py`` of
    EleutherAI/delphi at commit cd43058b9f3c96a25e5c81494f8cebdc78cfc814: boundaries
    ``linspace(0, width, splits + 1)`` cut down to integers, a file ``START_END.safetensors`` for
    each range, END included; locations (sequence, position, latent - START) in the order of
    ``torch.nonzero``, as uint16 where latent and sequence are below 2**16, else uint32; float16
    activations above 1e-5 in magnitude; int64 tokens in every file. Unlike delphi, which stops
    there, an empty range becomes an empty file (some of its forks write those).

    Parameters
    ----------
    folder
        The hook's folder.
    latents
        ``[sequences, context, width]``.
    tokens
        ``[sequences, context]``.
    splits
        Number of files.
    version
        ``delphi``; ``untokenised`` (``sae_auto_interp/features/cache.py`` of
        EleutherAI/sae-auto-interp at b45c4c3a1f6ce57ad3078493f78d6f8bd4668d92: no tokens); or
        ``absolute`` (the same file in jacobcd52/sae-auto-interp at
        596d5f6cd83613cb992d682620f428ac6b789c28: absolute int64 locations, activations as they
        are, no tokens, no config, and the mask ``latent < END``, which loses latent END).
    save_tokens
        As in delphi.
    """
    folder.mkdir(parents=True, exist_ok=True)
    width = latents.shape[2]
    where = np.argwhere(np.abs(latents) > 1e-5)
    values = latents[tuple(where.T)]
    bounds = torch.linspace(0, width, steps=splits + 1).long()
    for start, end in zip(bounds[:-1].tolist(), (bounds[1:] - 1).tolist(), strict=True):
        top = end if version == "absolute" else end + 1
        mask = (where[:, 2] >= start) & (where[:, 2] < top)
        locations, activations = where[mask], values[mask]
        if version != "absolute":
            locations = locations - np.array([0, 0, start])
            small = bool((locations[:, [0, 2]] < 2**16).all())
            locations = locations.astype(np.uint16 if small else np.uint32)
            activations = activations.astype(np.float16)
        data = {"locations": locations, "activations": activations}
        if save_tokens and version == "delphi":
            data["tokens"] = tokens.astype(np.int64)
        save_file(data, folder / f"{start}_{end}.safetensors")
    if version != "absolute":
        length = "cache_ctx_len" if version == "delphi" else "ctx_len"
        config = {
            "dataset_repo": "EleutherAI/SmolLM2-135M-10B",
            "dataset_split": "train[:1%]",
            "dataset_name": "",
            "batch_size": 32,
            length: int(tokens.shape[1]),
            "n_tokens": int(tokens.size),
            "n_splits": splits,
            "model_name": "HuggingFaceTB/SmolLM2-135M",
        }
        (folder / "config.json").write_text(json.dumps(config, indent=4))
    return folder


def write_documents(path: Path, columns: dict) -> Path:
    """Write a documents table by the suffix of its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {k: list(v) for k, v in columns.items()}
    if path.suffix == ".parquet":
        pq.write_table(pa.table(columns), path, row_group_size=2)
        return path
    rows = [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row, default=_plain) + "\n" for row in rows))
        return path
    lines = [",".join(columns)] + [",".join(str(v) for v in row.values()) for row in rows]
    path.write_text("\n".join(lines) + "\n")
    return path


def _plain(value):
    return value.tolist()
