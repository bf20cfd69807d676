"""Where in the source files a firing stands: a second search, made only for an error's message."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from atlas.errors import ArtifactError
from ingest.brought.batches import activations, ids, integers
from ingest.brought.batches import tokens as tokens_in

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from ingest.brought.batches import RawBatch
    from ingest.brought.shards import RepeatedError, TokenConflictError
    from ingest.brought.source import FiringSource
    from ingest.brought.tokens import Tokens


def repeated(error: RepeatedError, source: FiringSource, names: pa.Array) -> ArtifactError:
    """Say which rows hold a firing that is there twice; `names` are the documents' ids."""
    document = names[error.document]
    rows = places_of(source, document, position=error.position, feature=error.feature)
    return ArtifactError(
        f"Feature {error.feature} fires twice at position {error.position} of document "
        f"{document.as_py()!r}: {rows}.",
        hint="Each (document, position, feature) may stand once.",
    )


def two_tokens(
    error: TokenConflictError, source: FiringSource, names: pa.Array, *, tokens: Tokens
) -> ArtifactError:
    """Say which row gives a position another token; `names` are the documents' ids."""
    document = names[error.document]
    token = (tokens, error.tokens[1])
    rows = places_of(source, document, position=error.position, token=token, limit=1)
    first, second = (repr(tokens.texts.get(t, t)) for t in error.tokens)
    return ArtifactError(
        f"{rows}: position {error.position} of document {document.as_py()!r} has token {second} "
        f"here and {first} elsewhere.",
        hint="Positions may be shifted, or the tables are of different texts.",
    )


def places_of(
    source: FiringSource,
    document: pa.Scalar,
    *,
    position: int,
    feature: int | None = None,
    token: tuple[Tokens, int] | None = None,
    rows: int = 1 << 18,
    limit: int = 2,
) -> str:
    """Name the first rows that have a firing, as ``FILE, row N and FILE, row M``.

    Parameters
    ----------
    source
        Where to look.
    document, position
        The id of the document, and the position.
    feature
        Its feature; any where None.
    token
        The tokens and the id of one; any where None.
    rows
        Rows read at a time.
    limit
        Rows named at most.
    """
    found: list[str] = []
    for batch in source.batches(("document", "position", "feature", "value", "token"), rows=rows):
        match = _is(batch, document) & (integers(batch, "position") == position)
        match &= activations(batch) > 0
        if feature is not None:
            match &= integers(batch, "feature") == feature
        if token is not None:
            match &= token[0].of(tokens_in(batch), len(match)) == token[1]
        found += [f"{batch.file}, row {batch.row + at}" for at in np.flatnonzero(match)]
        if len(found) >= limit:
            break
    return " and ".join(found[:limit])


def _is(batch: RawBatch, document: pa.Scalar) -> NDArray[np.bool_]:
    import pyarrow.compute as pc

    same: NDArray[np.bool_] = pc.equal(ids(batch), document).to_numpy(zero_copy_only=False)
    return same
