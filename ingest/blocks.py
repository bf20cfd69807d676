"""Documents as blocks of tokens that a model reads, and the mask of positions that count.

A block is BOS and then up to ``context_size - 1`` tokens of *one* document; a longer document
is cut into several blocks, and two documents never share one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class TokenBlock:
    """One block of one document.

    Attributes
    ----------
    document
        Index of the document in the corpus, from 0.
    start
        Position in the document of the first token after BOS.
    tokens
        int32 ``[length]``, BOS first.
    """

    document: int
    start: int
    tokens: NDArray[np.int32]


@dataclass(frozen=True)
class Batch:
    """Blocks padded on the right to one length.

    Attributes
    ----------
    blocks
        The blocks, in the order of the rows.
    tokens
        int64 ``[batch, position]``.
    lengths
        int64 ``[batch]``, unpadded lengths, BOS included.
    """

    blocks: tuple[TokenBlock, ...]
    tokens: torch.Tensor
    lengths: torch.Tensor


def tokenize(
    texts: Iterable[str],
    tokenizer: PreTrainedTokenizerBase,
    *,
    context_size: int,
    bos: int,
    first_document: int = 0,
) -> Iterator[TokenBlock]:
    """Yield the blocks of each text in turn; a text without tokens yields none."""
    for document, text in enumerate(texts, start=first_document):
        ids = np.asarray(
            tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"], dtype=np.int32
        )
        for start in range(0, len(ids), context_size - 1):
            piece = ids[start : start + context_size - 1]
            yield TokenBlock(document, start, np.concatenate([np.array([bos], np.int32), piece]))


def batches(blocks: Sequence[TokenBlock], *, batch_tokens: int, pad: int) -> Iterator[Batch]:
    """Group blocks of like length into batches of at most `batch_tokens` padded tokens.

    The order of the blocks is not kept: they are sorted by length, so that little is padding.
    """
    group: list[TokenBlock] = []
    for block in sorted(blocks, key=lambda b: -len(b.tokens)):
        if group and (len(group) + 1) * len(group[0].tokens) > batch_tokens:
            yield _pad(group, pad)
            group = []
        group.append(block)
    if group:
        yield _pad(group, pad)


def _pad(group: Sequence[TokenBlock], pad: int) -> Batch:
    lengths = torch.tensor([len(block.tokens) for block in group])
    tokens = torch.full((len(group), int(lengths.max())), pad, dtype=torch.int64)
    for row, block in enumerate(group):
        tokens[row, : len(block.tokens)] = torch.from_numpy(block.tokens.astype(np.int64))
    return Batch(tuple(group), tokens, lengths)


def keep_mask(
    stream: torch.Tensor,
    lengths: torch.Tensor,
    *,
    skip_positions: int = 1,
    sink_ratio: float = 3.0,
) -> torch.Tensor:
    """Mark the positions that count.

    Masked are padding, the first `skip_positions` of a block (BOS), and attention sinks:
    positions whose residual norm exceeds `sink_ratio` times the median norm of the batch's
    other positions.

    Parameters
    ----------
    stream
        ``[batch, position, d_model]``.
    lengths
        int64 ``[batch]``.

    Returns
    -------
    torch.Tensor
        bool ``[batch, position]``, on the stream's device.
    """
    position = torch.arange(stream.shape[1], device=stream.device)[None, :]
    real = (position >= skip_positions) & (position < lengths.to(stream.device)[:, None])
    norms = stream.float().norm(dim=-1)
    median = norms[real].median() if bool(real.any()) else norms.new_tensor(0.0)
    # What is not finite is kept, so that it is noticed and not taken for a sink.
    keep: torch.Tensor = real & (~(norms > sink_ratio * median) | ~torch.isfinite(norms))
    return keep
