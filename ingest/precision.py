"""Precision of float32 matrix products on CUDA devices, whatever the process has set."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def tf32(*, allowed: bool) -> Iterator[None]:
    """Allow or forbid TF32 in float32 products inside a ``with`` block, then restore the setting.

    TF32 keeps 10 bits of each factor and sums in float32: eight times faster than float32 on
    current devices, exact where the factors are 0 and 1, and wrong by up to 1e-3 elsewhere.
    """
    matmul: Any = torch.backends.cuda.matmul
    # The older switch cannot be read once the newer one was used, so never mix them.
    new = hasattr(matmul, "fp32_precision")
    name = "fp32_precision" if new else "allow_tf32"
    value = ("tf32" if allowed else "ieee") if new else allowed
    before = getattr(matmul, name)
    setattr(matmul, name, value)
    try:
        yield
    finally:
        setattr(matmul, name, before)
