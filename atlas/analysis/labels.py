"""Names communities by what their members fire on."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

LABEL_PARTS = 3
LISTED = 10
SEPARATOR = " · "


@dataclass(frozen=True)
class Member:
    """What is known of one member.

    Attributes
    ----------
    tokens
        Text and lift of the tokens it fires on.
    words
        Distinctive words of its contexts, best first.
    promoted
        Tokens it makes more likely, best first.
    """

    tokens: Sequence[tuple[str, float]] = ()
    words: Sequence[str] = ()
    promoted: Sequence[str] = ()


class Background:
    """How common tokens and words are among all features, to tell what marks a community.

    Parameters
    ----------
    everyone
        All features that are in a community.
    """

    def __init__(self, everyone: Sequence[Member]) -> None:
        self.features = len(everyone)
        self.counts: dict[str, Counter[str]] = {
            "tokens": Counter(),
            "words": Counter(),
            "promoted": Counter(),
        }
        for member in everyone:
            self.counts["tokens"].update({_folded(text) for text, _ in member.tokens})
            self.counts["words"].update({_folded(text) for text in member.words})
            self.counts["promoted"].update({_folded(text) for text in member.promoted})

    def surprise(self, kind: str, folded: str, *, members: int, size: int) -> float:
        """Return log2 of a text's share of a community over its share of all; at least 0.01."""
        everywhere = self.counts[kind][folded] / max(self.features, 1)
        return max(math.log2(members / size / everywhere), 0.01) if everywhere else 1.0


@dataclass(frozen=True)
class CommunityLabel:
    """A label and the lists it was made from.

    Attributes
    ----------
    label
        For example ``heart · cardiac · artery``.
    source
        ``tokens``, ``words``, ``tokens and words``, or ``none`` where nothing is known.
    top_tokens
        Tokens that the members fire on, best first, at most ten.
    token_shares
        Share of the members that fire on each of `top_tokens`, in [0, 1].
    top_words
        Context words shared by most members.
    promoted
        Tokens promoted by most members.
    """

    label: str
    source: str
    top_tokens: list[str] = field(default_factory=list)
    token_shares: list[float] = field(default_factory=list)
    top_words: list[str] = field(default_factory=list)
    promoted: list[str] = field(default_factory=list)


def label_community(
    members: Sequence[Member], *, fallback: str, background: Background | None = None
) -> CommunityLabel:
    """Label a community from its members.

    A token's score is the number of members that fire on it times log2(1 + its mean score among
    them) times its surprise: log2 of its share of the members over its share of all features, so
    that words found everywhere mark nothing. The first logarithm keeps one member's rare token
    from outdoing what all members share.

    The label has up to three parts: first tokens that several members share, then context words
    that several share, then what single members have. Spellings that differ by case or
    surrounding space are one.

    Parameters
    ----------
    members
        The members, in any order; the result does not depend on it.
    fallback
        The label where the members have neither tokens nor words.
    background
        How common texts are among all features; by default among `members`, which leaves the
        surprise out.
    """
    common = background or Background([])
    ranked = _rank_tokens(members, common)
    words = _most_common([member.words for member in members], "words", common)
    shared = [token.text for token in ranked if token.members > 1]
    label, source = _compose(
        ("tokens", shared),
        ("words", [word.text for word in words if word.members > 1]),
        ("tokens", [token.text for token in ranked]),
        ("words", [word.text for word in words]),
    )
    promoted = _most_common([member.promoted for member in members], "promoted", common)
    return CommunityLabel(
        label=label or fallback,
        source=source or "none",
        top_tokens=[token.text for token in ranked[:LISTED]],
        token_shares=[token.members / len(members) for token in ranked[:LISTED]],
        top_words=[word.text for word in words[:LISTED]],
        promoted=[token.text for token in promoted[:LISTED]],
    )


@dataclass(frozen=True)
class _Ranked:
    text: str
    members: int


def _compose(*pools: tuple[str, Sequence[str]]) -> tuple[str, str]:
    """Return a label of the first different texts of the pools, and the names of those used."""
    parts: dict[str, str] = {}
    used: list[str] = []
    for name, texts in pools:
        for text in texts:
            if len(parts) < LABEL_PARTS and text.casefold() not in parts:
                parts[text.casefold()] = text
                used.append(name)
    return SEPARATOR.join(parts.values()), " and ".join(sorted(set(used)))


def visible(token: str) -> str:
    """Return a token's text without surrounding space, or quoted if it is nothing else."""
    return token.strip() or repr(token)


def _folded(text: str) -> str:
    return visible(text).casefold()


def _is_word(text: str) -> bool:
    """Whether a text has two letters: fragments and punctuation name nothing."""
    return sum(map(str.isalpha, text)) >= 2


def _rank_tokens(members: Sequence[Member], background: Background) -> list[_Ranked]:
    """Return all tokens that members fire on, best first."""
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    lifts: dict[str, list[float]] = defaultdict(list)
    for member in members:
        best: dict[str, float] = {}
        for token, lift in member.tokens:
            text = visible(token)
            spellings[text.casefold()][text] += 1
            best[text.casefold()] = max(lift, best.get(text.casefold(), 0.0))
        for folded, lift in best.items():
            lifts[folded].append(lift)

    def rank(folded: str) -> tuple[bool, bool, float, str]:
        found = lifts[folded]
        # fsum: the same sum in whatever order the members come.
        score = len(found) * math.log2(1.0 + math.fsum(found) / len(found))
        score *= background.surprise("tokens", folded, members=len(found), size=len(members))
        return (len(found) == 1, not _is_word(folded), -score, folded)

    return [_Ranked(_first(spellings[t]), len(lifts[t])) for t in sorted(lifts, key=rank)]


def _most_common(
    lists: Sequence[Sequence[str]], kind: str, background: Background
) -> list[_Ranked]:
    """Return the texts of several ranked lists: those of most lists first, then the best placed.

    The number of lists is weighed by the text's surprise.
    """
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    places: dict[str, list[int]] = defaultdict(list)
    for ranked in lists:
        seen = set()
        for place, raw in enumerate(ranked):
            text = visible(raw)
            spellings[text.casefold()][text] += 1
            if text.casefold() not in seen:
                seen.add(text.casefold())
                places[text.casefold()].append(place)

    def rank(folded: str) -> tuple[float, float, str]:
        found = places[folded]
        weight = background.surprise(kind, folded, members=len(found), size=len(lists))
        return (-len(found) * weight, sum(found) / len(found), folded)

    order = sorted(places, key=rank)
    return [_Ranked(_first(spellings[t]), len(places[t])) for t in order]


def _first(spellings: Counter[str]) -> str:
    """Return the most frequent spelling, the alphabetically first among equals."""
    return min(spellings, key=lambda text: (-spellings[text], text))
