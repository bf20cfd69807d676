"""Embeds labels, and what is compared with them, without a network."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from functools import cache
from importlib import util
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

LABEL_DIMENSIONS = 256
"""Dimensions of the vectors of `embed_texts`; the index of the database has as many."""

_loading = Lock()


def can_embed() -> bool:
    """Whether the package that embeds labels is installed."""
    return util.find_spec("wordllama") is not None


def embed_texts(texts: Sequence[str]) -> NDArray[np.float32]:
    """Embed texts for comparison by cosine, without a network.

    The mean of static token embeddings (wordllama's ``l2_supercat``, which its wheel carries). The
    model is loaded by the first call of a process; calls from several threads share it.

    Parameters
    ----------
    texts
        Any texts, in any number.

    Returns
    -------
    float32 ``[texts, 256]``, of length 1; NaN for a text without a token.

    Raises
    ------
    UsageError
        wordllama is not installed, or lacks its weights.
    """
    # A cache alone would let two threads that come first both load the model.
    with _loading:
        model = _model()
    found = np.asarray(model.embed([text or " " for text in texts]), np.float32)
    found = found.reshape(len(texts), LABEL_DIMENSIONS)
    length = np.linalg.norm(found, axis=1, keepdims=True)
    known = np.array([bool(text.strip()) for text in texts], np.bool_)[:, None] & (length > 0)
    unit = np.full_like(found, np.nan)
    np.divide(found, length, out=unit, where=known)
    return unit


@cache
def _model() -> Any:
    hint = "Install the extra: pip install 'sae-feature-atlas[embed]'."
    try:
        with _log_as_before():
            import wordllama
    except ImportError:
        raise UsageError("Embedding text needs the package wordllama.", hint=hint) from None
    try:
        # The wheel has its tokenizer where wordllama looks for downloaded ones (version 0.4.0).
        return wordllama.WordLlama.load(
            dim=LABEL_DIMENSIONS, cache_dir=Path(wordllama.__file__).parent, disable_download=True
        )
    except FileNotFoundError as error:
        raise UsageError(f"wordllama cannot be loaded: {error}", hint=hint) from error


@contextmanager
def _log_as_before() -> Iterator[None]:
    """Undo what an import does to the root logger: wordllama has it print every INFO line."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
