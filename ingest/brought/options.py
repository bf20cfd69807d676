"""What a reader of brought codes may be told, and the names it uses."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from atlas.errors import UsageError

ALL = "all"
"""Every position of every document counts."""

ONLY_FIRING = "only those with a firing"
"""Positions where nothing fires are not known and do not count."""

UNKNOWN_TOKEN = -1
"""Token id of a position whose token was not brought."""

_NOT_IN_IDENTITY = ("memory_mb", "batch_rows")


@dataclass(frozen=True, kw_only=True)
class BroughtOptions:
    """How brought codes are read.

    Attributes
    ----------
    d_sae
        Number of latents. Needed for Parquet and safetensors; a split delphi cache says it.
    shard_documents
        Documents a shard.
    positions
        `ALL`, or `ONLY_FIRING` where the number of positions is not known. The second changes
        N and every rate, and is recorded as a flag.
    skip_positions
        First positions of each document that do not count.
    mask_tokens
        Tokens (ids, or texts where tokens are brought as texts) whose positions do not count,
        such as BOS, end of text and padding.
    memory_mb
        Most memory that the rows of one shard may take, in MiB.
    batch_rows
        Rows read at a time.

    Raises
    ------
    UsageError
        A value is out of range.
    """

    d_sae: int | None = None
    shard_documents: int = 500
    positions: str = ALL
    skip_positions: int = 0
    mask_tokens: tuple[int | str, ...] = ()
    memory_mb: int = 4096
    batch_rows: int = 1 << 18

    def __post_init__(self) -> None:
        for name, least in (
            ("d_sae", 1),
            ("shard_documents", 1),
            ("skip_positions", 0),
            ("memory_mb", 1),
            ("batch_rows", 1),
        ):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"{name} is {value}.", hint=f"Give {least} or more.")
        if self.positions not in (ALL, ONLY_FIRING):
            raise UsageError(
                f"positions is {self.positions!r}.", hint=f"Known: {ALL!r}, {ONLY_FIRING!r}."
            )

    @property
    def sha256(self) -> str:
        """Hash of the values that the result depends on, as hex."""
        values = {k: v for k, v in asdict(self).items() if k not in _NOT_IN_IDENTITY}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
