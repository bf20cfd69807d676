"""Names communities by what marks their members: tokens, context words, concepts.

A text marks a community where many of its members have it and few other features do. Each kind of
text is counted by members, so a label's parts carry a share and a lift.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LABEL_PARTS = 3
LISTED = 10
SEPARATOR = " · "

KINDS = ("tokens", "words", "concepts", "promoted")
"""What a label can be made from; among equal texts the first wins."""

GENERAL = 0.05
"""A text that more than this share of all features has is general: `the`, `of`, `and`."""

MARKING_LIFT = 2.0
"""A part that names a community is at least so much more common among its members."""

MARKING_SHARE = 0.05
"""A part that names a community belongs to at least this share of its members."""

GENERAL_SHARE, GENERAL_LIFT = 0.5, 4.0
"""A general text names a community of its own all the same: from this share and lift."""

PROMOTED_SHARE = 0.3
"""Promoted tokens are coherent, and may name, where so many members promote one."""


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
    concepts
        Names of domains, topics and terms that it is about, best first.
    """

    tokens: Sequence[tuple[str, float]] = ()
    words: Sequence[str] = ()
    promoted: Sequence[str] = ()
    concepts: Sequence[str] = ()

    def texts(self, kind: str) -> list[str]:
        """Return its texts of one of `KINDS`, best first."""
        return [text for text, _ in self.tokens] if kind == "tokens" else [*getattr(self, kind)]


class Background:
    """How common texts are among all features, to tell what marks a community.

    Parameters
    ----------
    everyone
        All features, or all that are in a community.
    """

    def __init__(self, everyone: Sequence[Member]) -> None:
        self.features = len(everyone)
        self.counts: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
        for member in everyone:
            for kind in KINDS:
                self.counts[kind].update({_folded(text) for text in member.texts(kind)})

    def share(self, kind: str, folded: str) -> float:
        """Return the share of all features that have a text."""
        return self.counts[kind][folded] / max(self.features, 1)

    def lift(self, kind: str, folded: str, share: float) -> float:
        """Return a share of a community over that of all features; 2 where that is not known."""
        everywhere = self.share(kind, folded)
        return share / everywhere if everywhere else MARKING_LIFT

    def surprise(self, kind: str, folded: str, *, members: int, size: int) -> float:
        """Return log2 of a text's share of a community over its share of all; at least 0.01."""
        return max(math.log2(self.lift(kind, folded, members / size)), 0.01)


@dataclass(frozen=True)
class LabelPart:
    """A text with how well it marks the community.

    Attributes
    ----------
    text
        In its most frequent spelling.
    kind
        One of `KINDS`.
    members
        Members that have it.
    share
        Share of the members, in (0, 1].
    lift
        `share` over the share of all features that have it.
    """

    text: str
    kind: str
    members: int
    share: float
    lift: float


@dataclass(frozen=True)
class CommunityLabel:
    """A label and the lists it was made from.

    Attributes
    ----------
    label
        For example ``heart · cardiac · artery``.
    source
        Kinds of its parts, for example ``tokens`` or ``tokens and words``; ``none`` where nothing
        is known.
    top_tokens
        Tokens that the members fire on, best first, at most ten.
    token_shares
        Share of the members that fire on each of `top_tokens`, in [0, 1].
    top_words
        Context words shared by most members.
    promoted
        Tokens promoted by most members.
    top_concepts
        Domains, topics and terms that most members are about.
    parts
        The label's parts with their scores.
    """

    label: str
    source: str
    top_tokens: list[str] = field(default_factory=list)
    token_shares: list[float] = field(default_factory=list)
    top_words: list[str] = field(default_factory=list)
    promoted: list[str] = field(default_factory=list)
    top_concepts: list[str] = field(default_factory=list)
    parts: list[LabelPart] = field(default_factory=list)


def label_community(
    members: Sequence[Member], *, fallback: str, background: Background | None = None
) -> CommunityLabel:
    """Label a community from its members.

    The score of a text is the number of members that have it times its surprise, log2 of its
    share of the members over its share of all features; a token's also times log2(1 + its mean
    score among them), which keeps one member's rare token from outdoing what all members share.

    The label has up to three parts. First come tokens that several members share and that mark
    the community: words that few other features have. A word that many have, like `the` or `of`,
    does so only where most members have it, and far more often than others. Then context words,
    concepts and coherent promoted tokens that mark it, each kind in that order. Then what is
    left: general or single tokens and words. Spellings that differ by case or surrounding space
    are one.

    Parameters
    ----------
    members
        The members, in any order; the result does not depend on it.
    fallback
        The label where the members have none of all this.
    background
        How common texts are among all features; without it no text is general, and the surprise
        is left out.
    """
    common = background or Background([])
    ranked = {kind: _rank(members, kind, common) for kind in KINDS}
    parts = _distinct([*_marking(ranked, common), *_rest(ranked)])[:LABEL_PARTS]
    listed = {kind: [part.text for part in found[:LISTED]] for kind, found in ranked.items()}
    return CommunityLabel(
        label=SEPARATOR.join(part.text for part in parts) or fallback,
        source=" and ".join(sorted({part.kind for part in parts})) or "none",
        top_tokens=listed["tokens"],
        token_shares=[part.share for part in ranked["tokens"][:LISTED]],
        top_words=listed["words"],
        promoted=listed["promoted"],
        top_concepts=listed["concepts"],
        parts=parts,
    )


def visible(token: str) -> str:
    """Return a token's text without surrounding space, or quoted if it is nothing else."""
    return token.strip() or repr(token)


def _marking(ranked: dict[str, list[LabelPart]], background: Background) -> list[LabelPart]:
    """Return the shared texts that mark a community, in the order of `KINDS`."""
    return [part for kind in KINDS for part in ranked[kind] if _marks(part, background)]


def _marks(part: LabelPart, background: Background) -> bool:
    """Whether a text is shared, a word, and far more common here than elsewhere."""
    if part.members < 2 or not _is_word(part.text):
        return False
    # Of few features, all may have a text.
    many = background.features * GENERAL >= LISTED
    if many and background.share(part.kind, _folded(part.text)) > GENERAL:
        return part.share >= GENERAL_SHARE and part.lift >= GENERAL_LIFT
    least = PROMOTED_SHARE if part.kind == "promoted" else MARKING_SHARE
    return part.share >= least and part.lift >= MARKING_LIFT


def _rest(ranked: dict[str, list[LabelPart]]) -> list[LabelPart]:
    """Return tokens and words that mark nothing: those of several members, then of one."""
    found = [part for kind in ("tokens", "words") for part in ranked[kind]]
    return [p for p in found if p.members > 1] + [p for p in found if p.members == 1]


def _distinct(parts: Iterable[LabelPart]) -> list[LabelPart]:
    """Return the parts with different texts, the first of each."""
    found: dict[str, LabelPart] = {}
    for part in parts:
        found.setdefault(part.text.casefold(), part)
    return list(found.values())


def _folded(text: str) -> str:
    return visible(text).casefold()


def _is_word(text: str) -> bool:
    """Whether a text has two letters: fragments and punctuation name nothing."""
    return sum(map(str.isalpha, text)) >= 2


def _rank(members: Sequence[Member], kind: str, background: Background) -> list[LabelPart]:
    """Return all texts of a kind, best first."""
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    scores: dict[str, list[float]] = defaultdict(list)
    places: dict[str, list[int]] = defaultdict(list)
    for member in members:
        best: dict[str, tuple[float, int]] = {}
        for place, (text, score) in enumerate(_scored(member, kind)):
            spellings[_folded(text)][visible(text)] += 1
            known = best.get(_folded(text), (0.0, place))
            best[_folded(text)] = (max(score, known[0]), known[1])
        for folded, (score, place) in best.items():
            scores[folded].append(score)
            places[folded].append(place)

    def rank(folded: str) -> tuple[bool, bool, float, float, str]:
        found = scores[folded]
        # fsum: the same sum in whatever order the members come.
        score = len(found) * math.log2(1.0 + math.fsum(found) / len(found))
        score *= background.surprise(kind, folded, members=len(found), size=len(members))
        # A single member's token, or a fragment, comes after what tells more.
        single, fragment = len(found) == 1, not _is_word(folded)
        tokens = kind == "tokens"
        place = sum(places[folded]) / len(found)
        return (tokens and single, tokens and fragment, -score, place, folded)

    def part(folded: str) -> LabelPart:
        share = len(scores[folded]) / len(members)
        lift = background.lift(kind, folded, share)
        return LabelPart(_first(spellings[folded]), kind, len(scores[folded]), share, lift)

    return [part(folded) for folded in sorted(scores, key=rank)]


def _scored(member: Member, kind: str) -> Sequence[tuple[str, float]]:
    return member.tokens if kind == "tokens" else [(text, 1.0) for text in member.texts(kind)]


def _first(spellings: Counter[str]) -> str:
    """Return the most frequent spelling, the alphabetically first among equals."""
    return min(spellings, key=lambda text: (-spellings[text], text))
