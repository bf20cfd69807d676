"""Random numbers that depend on what they are drawn for, not on the order of drawing.

A document's shuffle is the same in every pass over the codes and with any number of threads, so
each document gets a stream of its own: SplitMix64 (Steele, Lea and Flood 2014) started from a hash
of the seed and the document's number.
"""

from __future__ import annotations

import numba
import numpy as np

#: Step of a stream's state: 2^64 over the golden ratio.
STEP = np.uint64(0x9E3779B97F4A7C15)

_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_30, _27, _31, _32 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(32)


@numba.njit(cache=True)
def scramble(x: np.uint64) -> np.uint64:
    """Return the output of a state: a bijection of 64 bits without visible structure."""
    x = (x ^ (x >> _30)) * _FIRST
    x = (x ^ (x >> _27)) * _SECOND
    return x ^ (x >> _31)


@numba.njit(cache=True)
def stream(seed: int, number: int) -> np.uint64:
    """Return the first state of the stream of `number` (from 0) under `seed`."""
    first: np.uint64 = scramble(scramble(np.uint64(seed) + STEP) + np.uint64(number) * STEP)
    return first


@numba.njit(cache=True)
def below(bits: np.uint64, limit: int) -> np.int64:
    """Map 64 random bits to 0 .. `limit` - 1; `limit` below 2^32, bias below limit / 2^32."""
    return np.int64(((bits >> _32) * np.uint64(limit)) >> _32)
