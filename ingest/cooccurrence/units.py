"""Units of observation: a token, a window of tokens, or a document; and two SAEs side by side."""

from __future__ import annotations

import numpy as np

from atlas.artifacts import CodeShard
from atlas.errors import ArtifactError, UsageError


def parse_unit(unit: str) -> tuple[str, int]:
    """Read ``token``, ``window:W`` or ``document`` as (kind, W); raises `UsageError`."""
    kind, _, width = unit.partition(":")
    if kind in ("token", "document") and not width:
        return kind, 1
    if kind == "window" and width.isdigit() and int(width) > 0:
        return kind, int(width)
    raise UsageError(
        f"{unit!r} is not a unit of observation.", hint="Use token, window:W or document."
    )


def to_units(codes: CodeShard, unit: str) -> CodeShard:
    """Return codes whose rows are units: a feature is on where it fires anywhere in the unit.

    The activation is the largest in the unit; position and token are those of the unit's first
    unmasked position. Windows tile a document from its start: ``window:4`` has positions 0 to 3,
    4 to 7 and so on, and one without an unmasked position does not count.
    """
    kind, width = parse_unit(unit)
    if kind == "token" or codes.rows == 0:
        return codes
    window = codes.position // width if kind == "window" else np.zeros_like(codes.position)
    new = np.ones(codes.rows, bool)
    new[1:] = (np.diff(codes.document) != 0) | (np.diff(window) != 0)
    unit_of = np.cumsum(new) - 1
    row = unit_of[np.repeat(np.arange(codes.rows), np.diff(codes.indptr))]
    order = np.lexsort((-codes.value, codes.index, row))
    row, index = row[order], codes.index[order]
    best = np.ones(len(order), bool)
    best[1:] = (np.diff(row) != 0) | (np.diff(index) != 0)
    return CodeShard(
        indptr=np.searchsorted(row[best], np.arange(new.sum() + 1)).astype(np.int64),
        index=index[best],
        value=codes.value[order][best],
        document=codes.document[new],
        position=codes.position[new],
        token=codes.token[new],
    )


def side_by_side(first: CodeShard, second: CodeShard, *, d_sae: int) -> CodeShard:
    """Join the codes of two SAEs on the same positions.

    Parameters
    ----------
    first, second
        Shards of the same documents and positions.
    d_sae
        Latents of the first SAE; the second's indices begin there.

    Raises
    ------
    ArtifactError
        The two do not hold the same positions.
    """
    if not (
        np.array_equal(first.document, second.document)
        and np.array_equal(first.position, second.position)
    ):
        raise ArtifactError(
            "Two SAEs of one build have codes at different positions.",
            hint="Delete the build's folder `codes` and build again.",
        )
    indptr = first.indptr + second.indptr
    index = np.empty(indptr[-1], np.int32)
    value = np.empty(indptr[-1], np.float32)
    for codes, other, shift in ((first, second.indptr[:-1], 0), (second, first.indptr[1:], d_sae)):
        place = np.arange(len(codes.index)) + np.repeat(other, np.diff(codes.indptr))
        index[place] = codes.index + shift
        value[place] = codes.value
    return CodeShard(indptr, index, value, first.document, first.position, first.token)
