"""What the graph knows of a feature that a label can be made from, and measured on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from atlas.graph.reader import Reader, Row

#: Features that are read at a time.
BATCH = 250

KEYS = """
MATCH (:Run {key: $run})<-[:FROM_RUN]-(f:Feature)
WHERE NOT f.dead
RETURN f.key AS key, f.run AS owner, f.label_run AS label_run, f.label_source AS label_source
ORDER BY key
"""
_EVIDENCE = """
UNWIND $keys AS key
MATCH (f:Feature {key: key})
RETURN key, f.label AS label, f.top_words AS words, f.promoted AS promoted,
  COLLECT {
    MATCH (f)-[t:FIRES_ON {run: $run}]->(k:Token)
    RETURN {text: k.text, share: toFloat(t.n) / f.n} ORDER BY t.rank, k.key
  } AS tokens,
  COLLECT {
    MATCH (f)-[x:FIRES_IN {run: $run}]->(c:Context)
    RETURN {text: c.text, tokens: c.tokens, activations: x.activations, bin: x.bin}
    ORDER BY x.rank, x.bin, c.key
  } AS contexts,
  COLLECT {
    MATCH (e:Explanation)-[:EXPLAINS {run: $run}]->(f) WHERE e.text <> ''
    RETURN e.text ORDER BY e.score IS NULL, e.score DESC, e.key LIMIT 1
  } AS explanations
ORDER BY key
"""


@dataclass(frozen=True)
class Shown:
    """A window of text around a firing.

    Attributes
    ----------
    text
        The text.
    tokens
        Its tokens.
    activations
        The feature's activation at each of them, 0 where it does not fire.
    """

    text: str
    tokens: tuple[str, ...]
    activations: tuple[float, ...]

    @property
    def mass(self) -> float:
        """Sum of the activations."""
        return sum(self.activations)


@dataclass(frozen=True)
class Evidence:
    """What a label of a feature is made from.

    Attributes
    ----------
    key
        Key of the feature.
    tokens, shares
        Tokens that it fires on, the most typical first, and the share of its firings on each.
    words
        Distinctive words of its strongest contexts.
    promoted
        Tokens that it makes more likely.
    contexts
        Its strongest contexts, the strongest first.
    explanation
        The best explanation of it in the graph: the one with the highest score, else any.
    label
        The label that it has.
    """

    key: str
    tokens: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()
    words: tuple[str, ...] = ()
    promoted: tuple[str, ...] = ()
    contexts: tuple[Shown, ...] = ()
    explanation: str | None = None
    label: str | None = None


def read_evidence(
    reader: Reader, run: str, keys: Sequence[str]
) -> Iterator[tuple[Evidence, tuple[Shown, ...]]]:
    """Yield the evidence of features, and the contexts that were held out from it.

    Held out are firings drawn from the quantile bins of the feature's activations. Its words were
    found in the strongest contexts alone. A build without bins has no held-out contexts.

    Parameters
    ----------
    reader
        Reads the graph.
    run
        Key of the run.
    keys
        Keys of its features.
    """
    for start in range(0, len(keys), BATCH):
        some = list(keys[start : start + BATCH])
        for row in reader.read(_EVIDENCE, {"run": run, "keys": some}, what="reading contexts"):
            yield _evidence(row), tuple(map(_shown, _of(row, held_out=True)))


def _evidence(row: Row) -> Evidence:
    return Evidence(
        key=row["key"],
        tokens=tuple(token["text"] for token in row["tokens"]),
        shares=tuple(token["share"] for token in row["tokens"]),
        words=tuple(row["words"] or ()),
        promoted=tuple(row["promoted"] or ()),
        contexts=tuple(map(_shown, _of(row, held_out=False))),
        explanation=next(iter(row["explanations"]), None),
        label=row["label"],
    )


def _of(row: Row, *, held_out: bool) -> list[dict[str, Any]]:
    return [one for one in row["contexts"] if (one["bin"] is not None) == held_out]


def _shown(context: dict[str, Any]) -> Shown:
    return Shown(
        text=context["text"],
        tokens=tuple(context["tokens"] or ()),
        activations=tuple(context["activations"] or ()),
    )
