"""What a relation between two features means, in plain words, with its figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from atlas.web.loading import chance
from atlas.web.parts import number

if TYPE_CHECKING:
    from collections.abc import Mapping

    Row = Mapping[str, Any]

#: From this share of its excess, an edge is said to be likely an artefact of positions.
ARTEFACT = 0.5

SIZES: Mapping[str, tuple[str, str]] = {
    "n": ("n", "Positions of the text where both fire."),
    "d": ("d", "Documents with such a position."),
    "expected": ("expected", "Positions where both would fire if they fired independently."),
    "lift": ("lift", "n divided by expected: 1 is chance."),
    "npmi": ("NPMI", "How far beyond chance they fire together: 0 is chance, 1 always together."),
    "phi": ("phi", "Correlation of the two firings: 0 none, 1 the same firings."),
    "phi_within": ("phi within", "Its part within documents, which no shared topic explains."),
    "r_topic": ("r topic", "Correlation of how often they fire from document to document."),
    "jaccard": ("Jaccard", "Of the positions where either fires, the share where both do."),
    "p_b_given_a": ("P(B given A)", "Share of the firings of A where B fires."),
    "p_a_given_b": ("P(A given B)", "Share of the firings of B where A fires."),
    "r": ("r", "Pearson correlation of the activations, or of the attributions over prompts."),
    "r_joint": ("r joint", "Correlation of the activations where both fire."),
    "cosine": ("cosine", "Cosine of the decoder vectors: 1 is the same direction."),
    "position_share": (
        "position share",
        "Share of the excess that places in a text alone explain; near 1 it is an artefact.",
    ),
    "rank_a": ("rank for A", "Place of B among all edges of A of this kind, 1 for the strongest."),
    "rank_b": ("rank for B", "Place of A among all edges of B of this kind."),
    "mutual": ("mutual", "Kept among the strongest edges of both."),
}
"""Columns of ``why_joined`` that say how strong an edge is: name and meaning."""

TESTS: Mapping[str, tuple[str, str]] = {
    "z": ("z", "Excess of joint firings in standard errors, with the document as the unit."),
    "z_within": ("z within", "The same within documents, which sharing topics cannot raise."),
    "p": ("p", "Chance of so much or more if there were no relation of this kind."),
    "q": ("q", "False discovery rate among all tested pairs at which the edge passes."),
}
"""Columns of ``why_joined`` that say how certain it is."""

STORED: Mapping[str, tuple[str, str]] = {
    "weight": ("weight", "Decoder of the earlier times encoder of the later: what it is read by."),
    "weight_cosine": ("weight cosine", "That over both norms, -1 to 1."),
    "causal_weight": (
        "causal weight",
        "Effect of ablating the earlier on the later, as predicted from measured ablations.",
    ),
    "prompt_set": ("prompt set", "Prompts over which they contribute."),
    "metric": ("metric", "What was measured."),
    "prompts": ("prompts", "How many prompts."),
    "n_both": ("prompts of both", "Prompts where both contribute."),
    "r_spearman": ("rank correlation", "Spearman's, over the prompts."),
    "r_low": ("r, lower end", "Of its 95 % bootstrap interval."),
    "r_high": ("r, upper end", "Of its 95 % bootstrap interval."),
    "stability": ("stability", "Share of the bootstraps in which the edge is there."),
    "change": ("change", "With the intervention less without."),
    "low": ("lower end", "Of the 95 % interval of the change."),
    "high": ("upper end", "Of the 95 % interval of the change."),
    "score": ("score", "What the algorithm ranked by."),
    "similarity": ("similarity", "What the algorithm ranked by."),
}
"""Stored properties of other relations that the columns lack."""

Sentence = Callable[["Row", str, str], str]


@dataclass(frozen=True)
class Relation:
    """How a relation is told.

    Attributes
    ----------
    title
        What it says, with ``{a}`` and ``{b}`` for the first and the second.
    sentence
        Makes the sentence of its figures.
    test
        What its p and q are of.
    """

    title: str
    sentence: Sentence
    test: str


def _together(row: Row, a: str, b: str) -> str:
    return (
        f"Both fire on {number(row['n'])} positions in {number(row['d'])} documents. By chance it "
        f"would be {number(row['expected'])}: it is {number(row['lift'])} times as many. "
        f"{b} fires on {_share(row['p_b_given_a'])} of the firings of {a}, and {a} on "
        f"{_share(row['p_a_given_b'])} of those of {b}."
    )


def _topic(row: Row, a: str, b: str) -> str:
    return (
        f"Documents in which {a} fires more than elsewhere are those in which {b} does "
        f"(r = {number(row['r_topic'])}). On the same token they fire "
        f"{number(row['n'])} times; by chance it would be {number(row['expected'])}."
    )


def _exclusive(row: Row, a: str, b: str) -> str:
    return (
        f"{a} and {b} both fire on {number(row['n'])} positions, and chance over the whole "
        f"text gives {number(row['expected'])}. Within documents they meet less often than "
        f"independence gives (phi within = {number(row['phi_within'])}), although they share "
        f"topics (r = {number(row['r_topic'])}) or have near decoder vectors "
        f"(cosine {number(row['cosine'])})."
    )


def _implies(row: Row, a: str, b: str) -> str:
    if row["absorption"]:
        return (
            f"The decoder vector of {a} points along that of {b} (cosine "
            f"{number(row['cosine'])}), yet they fire apart: {a} may have absorbed a part of {b}."
        )
    # The columns are of the two as the page names them; the edge has its own direction.
    share = row["evidence"].get("p_target_given_source")
    return (
        f"{b} fires on {_share(share)} of the {a} firings: {a} is the more specific, {b} the "
        "more general."
    )


def _similar(row: Row, a: str, b: str) -> str:
    return (
        f"What {a} and {b} write to the model's stream points the same way (cosine "
        f"{number(row['cosine'])}; 0 is unrelated). This says nothing of what they fire on."
    )


def _feeds(row: Row, a: str, b: str) -> str:
    return (
        f"{b} is of a later layer and fires on the same tokens as {a}: on {number(row['n'])} "
        f"positions, {number(row['lift'])} times as many as by chance (phi {number(row['phi'])})."
    )


def _attributed(row: Row, a: str, b: str) -> str:
    stored = row["evidence"]
    return (
        f"Over {number(stored.get('prompts'))} prompts of {stored.get('prompt_set', 'a set')}, "
        f"what {a} and {b} contribute to the prediction goes together (r = {number(row['r'])})."
    )


def _affects(row: Row, a: str, b: str) -> str:
    stored = row["evidence"]
    return (
        f"An intervention on {a} changed the {stored.get('metric', 'activation')} of {b} by "
        f"{number(stored.get('change'))}."
    )


def _algorithm(row: Row, a: str, b: str) -> str:
    return f"An algorithm joined {a} and {b}: {row['evidence'].get('algorithm_run', '')}."


def _imported(row: Row, a: str, b: str) -> str:
    graph = row["evidence"].get("graph", "a circuit")
    return f"In {graph}, made elsewhere and imported, {a} leads to {b}."


_DOCUMENTS = "The document is the unit, since tokens of a document are not independent."
RELATIONS: Mapping[str, Relation] = {
    "CO_OCCURS token": Relation(
        "{a} and {b} fire on the same tokens",
        _together,
        f"two, and both pass: more often together than chance (z), and more often than "
        f"sharing documents explains (z within). p is the larger of the two. {_DOCUMENTS}",
    ),
    "CO_OCCURS topic": Relation(
        "{a} and {b} fire in the same documents",
        _topic,
        f"r topic over documents, by Fisher's z. {_DOCUMENTS}",
    ),
    "CO_OCCURS exclusive": Relation(
        "{a} and {b} fire instead of each other",
        _exclusive,
        f"the lower tail of z within. {_DOCUMENTS}",
    ),
    "IMPLIES": Relation(
        "{a} brings {b} with it",
        _implies,
        f"that of the edge of co-occurrence behind it. {_DOCUMENTS}",
    ),
    "SIMILAR_TO": Relation(
        "{a} and {b} have near decoder vectors", _similar, "no test, it is a fact of the weights."
    ),
    "FEEDS": Relation(
        "{a} fires where the later {b} fires",
        _feeds,
        "as for edges on the same tokens. Whether the one causes the other is another question, "
        f"which interventions answer. {_DOCUMENTS}",
    ),
    "CO_ATTRIBUTED": Relation(
        "{a} and {b} contribute together to predictions",
        _attributed,
        "r over prompts against none; q is among all tested pairs.",
    ),
    "AFFECTS": Relation(
        "{a} was measured to change {b}",
        _affects,
        "Student's t over prompts or contexts; q is among the changes tested together.",
    ),
    "ATTRIBUTES": Relation(
        "{a} leads to {b} in an imported circuit", _imported, "no test, it is of the circuit."
    ),
}
"""Type, and kind where it has one, to how it is told."""
_OTHER = Relation(
    "{a} and {b} are joined by an algorithm", _algorithm, "no test, it is the algorithm's score."
)


def relation(row: Row) -> Relation:
    """Return how a row of ``why_joined`` is told."""
    name = f"{row['type']} {row['kind']}" if row.get("kind") else str(row["type"])
    return RELATIONS.get(name) or RELATIONS.get(str(row["type"])) or _OTHER


def ends(row: Row) -> tuple[str, str]:
    """Return which of A and B comes first in the relation."""
    return ("B", "A") if row.get("direction") == "b to a" else ("A", "B")


def title(row: Row) -> str:
    """Return what a relation says."""
    a, b = ends(row)
    return relation(row).title.format(a=a, b=b)


def sentence(row: Row) -> str:
    """Return the figures of a relation as a sentence."""
    told = relation(row)
    # Co-occurrence has no direction, and its shares are of A and B as the page names them.
    a, b = ends(row)
    said = told.sentence(row, a, b)
    share = row.get("position_share")
    if share is not None and share >= ARTEFACT:
        said += (
            f" But both prefer the same places after the beginning of a text, which explains "
            f"{_share(min(share, 1.0))} of the excess: it is likely an artefact."
        )
    return said


def sizes(row: Row) -> list[tuple[str, str, str]]:
    """Return the figures that say how strong an edge is: name, value, meaning."""
    stored = {name: row["evidence"].get(name) for name in STORED if name not in SIZES}
    return _figures(row, SIZES) + _figures(stored, STORED)


def tests(row: Row) -> list[tuple[str, str, str]]:
    """Return the figures that say how certain an edge is: name, value, meaning."""
    return _figures(row, TESTS)


def _figures(row: Row, names: Mapping[str, tuple[str, str]]) -> list[tuple[str, str, str]]:
    return [
        (head, _value(name, row[name]), meaning)
        for name, (head, meaning) in names.items()
        if row.get(name) is not None
    ]


def _value(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    return chance(value) if name in ("p", "q") else number(value, 4)


def _share(value: float | None) -> str:
    return "an unknown share" if value is None else f"{number(100 * value)} %"
