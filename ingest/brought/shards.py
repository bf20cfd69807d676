"""One shard: firings in any order to a compressed sparse row matrix."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from atlas.artifacts import CodeShard
from ingest.brought.options import ONLY_FIRING, UNKNOWN_TOKEN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ingest.brought.documents import DocumentBlock
    from ingest.brought.options import BroughtOptions

FIRING_BYTES = 96
"""Most memory that `make_shard` takes for a firing, in bytes."""

POSITION_BYTES = 72
"""Most memory that `make_shard` takes for a position, in bytes."""


class RepeatedError(Exception):
    """A firing is there twice; carries document number, position and feature."""

    def __init__(self, document: int, position: int, feature: int) -> None:
        super().__init__(document, position, feature)
        self.document = document
        self.position = position
        self.feature = feature


class TokenConflictError(Exception):
    """A position has two tokens; carries document number, position and the two tokens."""

    def __init__(self, document: int, position: int, tokens: tuple[int, int]) -> None:
        super().__init__(document, position, tokens)
        self.document = document
        self.position = position
        self.tokens = tokens


@dataclass(frozen=True)
class Made:
    """A shard and what was left out of it.

    Attributes
    ----------
    shard
        The codes.
    masked_firings
        Firings at positions that do not count.
    masked_positions
        Positions that do not count; only known ones.
    """

    shard: CodeShard
    masked_firings: int
    masked_positions: int


class Sums:
    """Counts over the shards, and the hash of the rows."""

    def __init__(self, d_sae: int) -> None:
        names = ("rows", "firings", "documents", "documents_without_firing")
        self.counts = dict.fromkeys((*names, "masked_firings", "masked_positions"), 0)
        self.fired = np.zeros(d_sae, bool)
        self.digest = hashlib.sha256()

    def add(self, made: Made, block: DocumentBlock) -> None:
        """Take a shard."""
        shard = made.shard
        firing = np.unique(shard.document[np.diff(shard.indptr) > 0])
        added = {
            "rows": shard.rows,
            "firings": len(shard.index),
            "documents": len(block.ids),
            "documents_without_firing": len(block.ids) - len(firing),
            "masked_firings": made.masked_firings,
            "masked_positions": made.masked_positions,
        }
        for name, number in added.items():
            self.counts[name] += number
        self.fired[shard.index] = True
        for part in (repr(block.ids).encode(), shard.document.tobytes(), shard.position.tobytes()):
            self.digest.update(part)


def make_shard(
    records: NDArray[np.void],
    block: DocumentBlock,
    *,
    options: BroughtOptions,
    mask: NDArray[np.int32],
    d_sae: int,
) -> Made:
    """Sort firings into rows.

    Parameters
    ----------
    records
        Firings of the block's documents in any order, dtype `RECORD`.
    block
        The documents; their `n_positions` are known unless only positions with a firing count.
    options
        Which positions count.
    mask
        Token ids whose positions do not count.
    d_sae
        Number of latents.

    Returns
    -------
    Made

    Raises
    ------
    RepeatedError, TokenConflictError
        The firings contradict each other, or the block's tokens.
    """
    place = records["document"].astype(np.int64) << 32 | records["position"]
    if options.positions == ONLY_FIRING:
        counts = _counts(place, records["token"], block, options=options, mask=mask)
        # One masked firing masks its position, whatever the others' tokens say.
        grid, known = np.setdiff1d(place, place[~counts]), len(np.unique(place))
    else:
        every = _places(block)
        grid = every[_counts(every, _tokens(every, block), block, options=options, mask=mask)]
        known = len(every)
    row, there = _rows_of(place, grid)
    kept, row = records[there], row[there]
    order = _order(row * d_sae + kept["feature"])
    kept, row = kept[order], row[order]
    _refuse_repeated(kept, row)
    shard = CodeShard(
        indptr=np.searchsorted(row, np.arange(len(grid) + 1)).astype(np.int64),
        index=kept["feature"].astype(np.int32),
        value=kept["value"].astype(np.float32),
        document=(grid >> 32).astype(np.int32),
        position=(grid & 0xFFFFFFFF).astype(np.int32),
        token=_row_tokens(grid, block, kept, row),
    )
    return Made(shard, len(records) - len(kept), known - len(grid))


def _rows_of(
    place: NDArray[np.int64], grid: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return each place's row among the ascending `grid`, and whether it is there."""
    row = np.searchsorted(grid, place)
    there = np.zeros(len(place), bool)
    inside = row < len(grid)
    there[inside] = grid[row[inside]] == place[inside]
    return row, there


def all_tokens(shard: CodeShard, block: DocumentBlock) -> NDArray[np.int32]:
    """Return the tokens of all positions of a block: its own, and those that the rows say."""
    flat = np.full(int(block.starts[-1]), UNKNOWN_TOKEN, np.int32)
    if block.tokens is not None:
        flat[:] = block.tokens
    flat[_flat(shard.document.astype(np.int64) << 32 | shard.position, block)] = shard.token
    return flat


def _places(block: DocumentBlock) -> NDArray[np.int64]:
    """Document and position, in one number, of every position of the block."""
    n = np.diff(block.starts)
    document = np.repeat(np.arange(len(n)) + block.first, n)
    position = np.arange(len(document)) - np.repeat(block.starts[:-1], n)
    return document << 32 | position


def _flat(place: NDArray[np.int64], block: DocumentBlock) -> NDArray[np.int64]:
    """Where places stand in the block's flat arrays."""
    at: NDArray[np.int64] = block.starts[(place >> 32) - block.first] + (place & 0xFFFFFFFF)
    return at


def _tokens(place: NDArray[np.int64], block: DocumentBlock) -> NDArray[np.int32]:
    if block.tokens is None:
        return np.full(len(place), UNKNOWN_TOKEN, np.int32)
    return block.tokens[_flat(place, block)]


def _counts(
    place: NDArray[np.int64],
    token: NDArray[np.int32],
    block: DocumentBlock,
    *,
    options: BroughtOptions,
    mask: NDArray[np.int32],
) -> NDArray[np.bool_]:
    """Whether positions count; the block's tokens go before the firings' own."""
    counts = (place & 0xFFFFFFFF) >= options.skip_positions
    if len(mask):
        known = _tokens(place, block)
        counts &= ~np.isin(np.where(known == UNKNOWN_TOKEN, token, known), mask)
    if block.counted is not None:
        counts &= block.counted[_flat(place, block)]
    return counts


def _order(key: NDArray[np.int64]) -> NDArray[np.int64] | slice:
    """Sort, unless the rows came in order."""
    return slice(None) if bool((key[1:] > key[:-1]).all()) else np.argsort(key)


def _refuse_repeated(kept: NDArray[np.void], row: NDArray[np.int64]) -> None:
    same = (row[1:] == row[:-1]) & (kept["feature"][1:] == kept["feature"][:-1])
    if same.any():
        first = kept[int(same.argmax())]
        raise RepeatedError(int(first["document"]), int(first["position"]), int(first["feature"]))


def _row_tokens(
    grid: NDArray[np.int64], block: DocumentBlock, kept: NDArray[np.void], row: NDArray[np.int64]
) -> NDArray[np.int32]:
    """Return the token of each row, which every firing of the row has to agree with."""
    token = _tokens(grid, block)
    said = kept["token"]
    fill = (said != UNKNOWN_TOKEN) & (token[row] == UNKNOWN_TOKEN)
    token[row[fill]] = said[fill]
    wrong = (said != UNKNOWN_TOKEN) & (said != token[row])
    if wrong.any():
        at = int(wrong.argmax())
        raise TokenConflictError(
            int(kept["document"][at]),
            int(kept["position"][at]),
            (int(token[row[at]]), int(said[at])),
        )
    return token
