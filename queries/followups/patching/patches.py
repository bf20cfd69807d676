"""Parts of a stream that become those of another prompt: plain values, checked when made.

At an SAE's hook the stream is ``x = decode(a) + e``. In a base prompt, some activations of ``a``,
all of them, the error ``e``, or the stream as a whole become those of a source prompt of as many
tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from atlas.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]

What = Literal["features", "error", "stream"]
Where = Literal["all", "first", "last", "chosen"]


@dataclass(frozen=True)
class Part:
    """What becomes another prompt's at one hook.

    Attributes
    ----------
    sae
        Key of the SAE at the hook.
    what
        ``features``: activations, the error stays. ``error``: what the SAE does not reconstruct.
        ``stream``: everything.
    index
        Latent indices of the features; None is all of them.
    """

    sae: str
    what: What
    index: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.what not in get_args(What):
            raise UsageError(f"There is no part {self.what!r}.", hint=f"One of {get_args(What)}.")
        if self.index is not None and (self.what != "features" or not self.index):
            raise UsageError("Only a patch of features lists them, and then one at least.")


@dataclass(frozen=True)
class Patch:
    """Parts that become another prompt's at once, at the same positions.

    Attributes
    ----------
    parts
        At one hook or several. A deeper hook reads the stream as already patched before.
    positions
        ``all`` tokens after BOS, the ``first``, the ``last``, or those ``chosen``.
    chosen
        Places: 0 is the first token after BOS, -1 the last.
    """

    parts: tuple[Part, ...]
    positions: Where = "all"
    chosen: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.positions not in get_args(Where):
            raise UsageError(
                f"There are no positions {self.positions!r}.", hint=f"One of {get_args(Where)}."
            )
        if bool(self.chosen) != (self.positions == "chosen"):
            raise UsageError(
                "Positions are listed exactly where `positions` is 'chosen'.",
                hint="Give chosen=(0, 3) with positions='chosen'.",
            )
        if not self.parts or len({(p.sae, p.what) for p in self.parts}) < len(self.parts):
            raise UsageError("A patch names each SAE's features, error and stream once at most.")


@dataclass(frozen=True)
class PatchJob:
    """A patch of one prompt.

    Attributes
    ----------
    base
        Number of the prompt that is patched.
    source
        Number of the prompt whose values it gets, as long as the base; None sets them to 0.
    patch
        What is patched.
    """

    base: int
    source: int | None
    patch: Patch


def places(length: int, width: int, *, positions: Where, chosen: Sequence[int] = ()) -> Bools:
    """Return the positions meant, bool ``[width]``, of a prompt of `length` tokens with BOS.

    Raises
    ------
    UsageError
        The prompt has no such position.
    """
    found = np.zeros(width, bool)
    if positions == "all":
        found[1:length] = True
        return found
    for place in {"first": (0,), "last": (-1,)}.get(positions, chosen):
        if not 1 - length <= place < length - 1:
            raise UsageError(
                f"A prompt has {length - 1} tokens after BOS; it has no position {place}.",
                hint="0 is the first token after BOS, -1 the last.",
            )
        found[place + (1 if place >= 0 else length)] = True
    return found
