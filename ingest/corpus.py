"""Text documents."""

from __future__ import annotations

import hashlib


def is_held_out(document_id: str, share: float) -> bool:
    """Whether a document belongs to the held-out share; depends on its id alone."""
    digest = hashlib.sha256(document_id.encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64
