"""The vector of a text that is compared with the vectors of labels."""

from __future__ import annotations

import numpy as np

from atlas.analysis.embedding import embed_texts
from atlas.errors import UsageError


def embed_label(text: str) -> list[float]:
    """Return the vector of a text, as `Feature.label_embedding` has that of a label.

    Parameters
    ----------
    text
        Any text, best a few words.

    Returns
    -------
    list of float
        256 numbers, a unit vector.

    Raises
    ------
    UsageError
        The text is blank or has no token that the embedder knows, or the extra ``embed`` is not
        installed.
    """
    vector = embed_texts([text])[0]
    if not np.isfinite(vector).all():
        raise UsageError(f"The text {text!r} has no meaning to look for.", hint="Give some words.")
    return [float(x) for x in vector]
