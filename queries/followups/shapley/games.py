"""Games: what coalitions of players are worth, and what their values must be."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from atlas.errors import ModelError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    #: bool ``[coalitions, players]``, True where a player is present, to float64 ``[coalitions]``.
    Game: TypeAlias = Callable[[NDArray[np.bool_]], Floats]

#: How far the sum of values may be from the whole, times the whole where that is above 1.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Values:
    """What each player contributes.

    Attributes
    ----------
    values
        float64 ``[players]``.
    errors
        Standard errors of sampled values, float64 ``[players]``; None where nothing was sampled,
        or once only.
    base, full
        What no player and what all players are worth.
    method
        For example ``shapley-exact``.
    evaluations
        Different coalitions that were evaluated.
    coarse
        Whether the budget ended before all groups were opened, so that players of a closed group
        share its value equally.
    """

    values: Floats
    errors: Floats | None
    base: float
    full: float
    method: str
    evaluations: int
    coarse: bool = False


class Remembered:
    """A game that evaluates each coalition once."""

    def __init__(self, game: Game) -> None:
        self.game = game
        self.known: dict[bytes, float] = {}

    def __call__(self, coalitions: NDArray[Any]) -> Floats:
        """Return the worth of coalitions; raises `ModelError` where one is not finite."""
        masks = np.asarray(coalitions) > 0.5
        keys = [row.tobytes() for row in np.packbits(masks, axis=1)]
        new = {key: row for row, key in enumerate(keys) if key not in self.known}
        if new:
            worth = self.game(masks[list(new.values())])
            if not np.isfinite(worth).all():
                raise ModelError("Without some players the outcome is not finite.")
            self.known.update(zip(new, worth.tolist(), strict=True))
        return np.array([self.known[key] for key in keys])


def shap_library() -> Any:
    """Return the library shap; raises `UsageError` where it is not installed."""
    try:
        import shap
    except ImportError as error:
        raise UsageError(
            "SHAP values need the library shap.", hint="pip install 'sae-feature-atlas[lm]'"
        ) from error
    return shap


def check_efficiency(values: Floats, base: float, full: float) -> None:
    """Raise `ModelError` where values do not add up to the whole."""
    whole, total = full - base, float(values.sum())
    if not abs(total - whole) <= TOLERANCE * max(1.0, abs(whole)):
        raise ModelError(
            f"The values add up to {total:.6g}, not to {whole:.6g}.",
            hint="Raise max_evals, or choose another explainer.",
        )


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed numpy's global state, which shap draws from, and put it back afterwards."""
    before = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002
