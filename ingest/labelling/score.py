"""How much of what a feature does its label explains, beyond chance, on held-out contexts."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingest.labels import plain_token, words_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ingest.labelling.evidence import Shown


class Background:
    """How often tokens and words are there anyway: contexts of many features.

    Parameters
    ----------
    windows
        Contexts; of equal ones, the first counts.
    """

    def __init__(self, windows: Iterable[Shown]) -> None:
        self.windows = self.positions = self.followed = 0
        self._tokens: Counter[str] = Counter()
        self._next: Counter[str] = Counter()
        self._places: dict[str, set[int]] = defaultdict(set)
        for shown in {shown.text: shown for shown in reversed(list(windows))}.values():
            tokens = [plain_token(token) for token in shown.tokens]
            self._tokens.update(tokens)
            self._next.update(tokens[1:])
            for word in words_of(shown.text):
                self._places[word].add(self.windows)
            self.windows += 1
            self.positions += len(tokens)
            self.followed += len(tokens[1:])

    def share(self, parts: Sequence[str], source: str) -> float:
        """Return the share of positions (windows, for ``contexts``) that have one of the parts."""
        if source == "contexts":
            found = set().union(*(self._places.get(part, set()) for part in parts))
            return len(found) / max(self.windows, 1)
        counts, total = (
            (self._next, self.followed) if source == "promoted" else (self._tokens, self.positions)
        )
        return sum(counts[part] for part in set(parts)) / max(total, 1)


@dataclass(frozen=True)
class Score:
    """How well a label does.

    Attributes
    ----------
    score
        `explained` minus `chance`, in [-1, 1].
    explained
        Share of the activation in the held-out contexts that the label explains, in [0, 1].
    chance
        The share that it would explain of activation that is anywhere.
    contexts
        Held-out contexts that this was measured on.
    """

    score: float
    explained: float
    chance: float
    contexts: int


def score_label(
    parts: Sequence[str], source: str, held_out: Sequence[Shown], *, background: Background
) -> Score | None:
    """Measure a label.

    Explained is the activation at a token of the label (source ``tokens``), at a token right
    before one (``promoted``: the feature says what comes next, and it comes), or in a context that
    has a word of the label (``contexts``). The same share of all positions or contexts of the
    background is what a label explains by chance; *the* is every twentieth token.

    Parameters
    ----------
    parts
        Parts of the label, as `ingest.labels.label_parts` returns them.
    source
        ``tokens``, ``contexts`` or ``promoted``.
    held_out
        Contexts that the label was not made from.
    background
        Contexts of many features.

    Returns
    -------
    Score, or None where there are no held-out contexts with an activation, or no parts.
    """
    firing = [shown for shown in held_out if shown.mass > 0]
    if not firing or not parts:
        return None
    wanted = set(parts)
    explained = sum(_explained(shown, wanted, source) for shown in firing)
    share = explained / sum(shown.mass for shown in firing)
    chance = background.share(parts, source)
    return Score(share - chance, share, chance, len(firing))


def _explained(shown: Shown, parts: set[str], source: str) -> float:
    """Return the activation in a context that a label explains."""
    if source == "contexts":
        return shown.mass if parts & words_of(shown.text) else 0.0
    tokens = [plain_token(token) for token in shown.tokens]
    if source == "promoted":
        tokens = tokens[1:]
    return sum(
        value for token, value in zip(tokens, shown.activations, strict=False) if token in parts
    )
