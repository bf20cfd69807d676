"""Which features are about which concepts: documents are the unit, code shards are streamed."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from scipy import sparse

from atlas.artifacts import write_table
from atlas.schemas import schema
from ingest.concepts import LABEL_KINDS, MIN_DOCUMENTS
from ingest.rank_test import length_strata, rank_tests, upper_p
from ingest.significance import benjamini_hochberg

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from atlas.progress import Reporter
    from ingest.concepts import Concepts
    from ingest.mapped import MappedSae

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

#: A block of features has at most about this many (feature, document) counts, and this many
#: (feature, concept) tests: 16 and some 100 bytes each.
_COUNTS, _TESTS = 16_000_000, 2_000_000


@dataclass(frozen=True)
class AboutOptions:
    """What is tested, and what of it becomes an `ABOUT`.

    Attributes
    ----------
    min_documents
        Fewest documents that have a concept, and that do not.
    min_fired
        Fewest compared documents in which a tested feature fires.
    min_auc
        Floor of the AUC.
    fdr
        False-discovery rate over all tested pairs of a feature of an SAE and a concept of a family.
    per_feature, per_concept
        Kept are pairs among the strongest concepts of their feature in a family, or the strongest
        features of their concept.
    """

    min_documents: int = MIN_DOCUMENTS
    min_fired: int = 5
    min_auc: float = 0.6
    fdr: float = 0.05
    per_feature: int = 8
    per_concept: int = 64


@dataclass(frozen=True)
class _Pairs:
    """Pairs of a feature and a concept, one entry each; `kind` is a place among the kinds."""

    feature: Integers
    kind: Integers
    concept: Integers
    auc: Floats
    p: Floats
    documents: Integers
    share: Floats

    def take(self, which: NDArray[Any]) -> _Pairs:
        """Return some of the pairs."""
        return _Pairs(**{part.name: getattr(self, part.name)[which] for part in fields(self)})


def make_concepts(
    folder: Path,
    sae: MappedSae,
    *,
    concepts: Sequence[Concepts],
    documents: int,
    reporter: Reporter,
    options: AboutOptions | None = None,
) -> dict[str, Any]:
    """Write ``about``: the concepts that an SAE's features tell from other documents.

    A feature's score of a document is the share of its unmasked positions where the feature
    fires. It is tested by ranks among documents of like length (see `ingest.rank_test`).
    Pairs below the floor of the AUC count as tests with p = 1, which keeps the false-discovery
    rate valid. The labels of documents (domain, topic, term) are one family, every ontology whose
    terms are found in text is another: rate and limits hold within each, so that an ontology
    more changes nothing of what the others gave.

    Shards are read once for the documents' lengths and once for each block of features: 16 million
    counts of (feature, document) are in memory at a time.

    Parameters
    ----------
    folder
        Folder of the stage.
    sae
        The SAE.
    concepts
        Of `ingest.concepts.find_concepts`.
    documents
        Number of documents of the corpus.
    reporter
        Told of the progress.
    options
        By default `AboutOptions()`.

    Returns
    -------
    dict
        ``concept_tests``, and ``about``: the rows written.
    """
    chosen = options or AboutOptions()
    family = _families(concepts)
    parts, tested = [_empty()], np.zeros(1 + len(concepts), np.int64)
    length, fired = _marginals(sae, documents)
    compared = [_counted(found, length) for found in concepts]
    widest = max((found.member.shape[1] for found in compared), default=1)
    blocks = list(_blocks(fired, widest=widest)) if compared else []
    with reporter.step(f"concepts of {sae.name}", sae.d_sae) as advance:
        for first, stop in blocks:
            counts = _document_counts(sae, first, stop, documents=documents)
            for kind, found in enumerate(compared):
                pairs, tests = _test(counts, found, kind, length=length, options=chosen)
                pairs.feature[:] += first
                parts.append(pairs)
                tested[family[kind]] += tests
            advance(stop)
    pairs = _Pairs(
        **{
            part.name: np.concatenate([getattr(one, part.name) for one in parts])
            for part in fields(_Pairs)
        }
    )
    table = _table(pairs, concepts, sae.key, tested=tested, options=chosen)
    write_table(folder / "about.parquet", table)
    return {"concept_tests": int(tested.sum()), "about": table.num_rows}


def _families(concepts: Sequence[Concepts]) -> Integers:
    """Return the family of each kind: 0 for labels of documents, a number for each ontology."""
    own = [found.kind in LABEL_KINDS for found in concepts]
    return np.array([0 if mine else 1 + number for number, mine in enumerate(own)], np.int64)


def _marginals(sae: MappedSae, documents: int) -> tuple[Integers, Integers]:
    """Count each document's positions, and each feature's documents."""
    length, fired = np.zeros(documents, np.int64), np.zeros(sae.d_sae, np.int64)
    for shard in sae.read():
        length += np.bincount(shard.document, minlength=documents)
        rows = np.repeat(shard.document.astype(np.int64), np.diff(shard.indptr))
        once, _ = _distinct(rows * sae.d_sae + shard.index)
        fired += np.bincount(once % sae.d_sae, minlength=sae.d_sae)
    return length, fired


def _distinct(keys: Integers) -> tuple[Integers, Integers]:
    """Return the distinct keys, ascending, and how often each is there; `keys` is sorted.

    `numpy.unique` hashes from version 2.3 on, which takes several times as long here.
    """
    keys.sort()
    begin = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])[: len(keys)])
    return keys[begin], np.diff(np.append(begin, len(keys)))


def _counted(found: Concepts, length: Integers) -> Concepts:
    """Leave out documents that have no unmasked position."""
    here = length[found.documents] > 0
    return type(found)(
        kind=found.kind,
        keys=found.keys,
        names=found.names,
        source=found.source,
        documents=found.documents[here],
        member=found.member[here],
    )


def _blocks(fired: Integers, *, widest: int) -> Iterator[tuple[int, int]]:
    """Cut the features into runs that fit into memory; one feature at least."""
    reach, first = np.append(0, np.cumsum(fired)), 0
    while first < len(fired):
        stop = int(np.searchsorted(reach, reach[first] + _COUNTS, side="right")) - 1
        stop = min(max(stop, first + 1), first + max(_TESTS // widest, 1), len(fired))
        yield first, stop
        first = stop


def _document_counts(sae: MappedSae, first: int, stop: int, *, documents: int) -> sparse.csr_matrix:
    """Count positions where the features of a block fire: int64 ``[features, documents]``."""
    keys, counts = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for shard in sae.read():
        mine = np.flatnonzero((shard.index >= first) & (shard.index < stop))
        rows = np.searchsorted(shard.indptr, mine, side="right") - 1
        key = (shard.index[mine].astype(np.int64) - first) * documents + shard.document[rows]
        key, count = _distinct(key)  # a document is in one shard
        keys.append(key)
        counts.append(count)
    key = np.concatenate(keys)
    where = (key // documents, key % documents)
    shape = (stop - first, documents)
    return sparse.csr_matrix((np.concatenate(counts), where), shape=shape)


def _test(
    counts: sparse.csr_matrix,
    found: Concepts,
    kind: int,
    *,
    length: Integers,
    options: AboutOptions,
) -> tuple[_Pairs, int]:
    """Test a block of features against the concepts of one kind.

    Returns
    -------
    pairs
        Those from the floor on; features are numbered in the block.
    tests
        Tests made.
    """
    sizes = found.sizes
    enough = np.minimum(sizes, len(found.documents) - sizes) >= options.min_documents
    here = counts[:, found.documents]
    fires = np.flatnonzero(np.diff(here.indptr) >= options.min_fired)
    if not len(fires) or not enough.any():
        return _empty(), 0
    here, own = here[fires], length[found.documents]
    scores = sparse.csr_matrix(
        (here.data / own[here.indices], here.indices, here.indptr), shape=here.shape
    )
    tests = rank_tests(scores, found.member, stratum=length_strata(own))
    usable = enough & np.isfinite(tests.auc)
    row, concept = np.nonzero(usable & (tests.auc >= options.min_auc))
    joint = np.asarray((scores.sign() @ found.member)[row, concept]).ravel().astype(np.int64)
    pairs = _Pairs(
        feature=fires[row],
        kind=np.full(len(row), kind),
        concept=concept,
        auc=tests.auc[row, concept],
        p=upper_p(tests.z[row, concept], tests.skewness[row, concept]),
        documents=joint,
        share=joint / sizes[concept],
    )
    return pairs, int(usable.sum())


def _table(
    pairs: _Pairs,
    concepts: Sequence[Concepts],
    sae: str,
    *,
    tested: Integers,
    options: AboutOptions,
) -> pa.Table:
    """Adjust, choose and write down; rows by feature, then the strongest concept first."""
    family = _families(concepts)[pairs.kind] if concepts else pairs.kind
    q = np.ones(len(pairs.p))
    for number in np.unique(family):
        mine = family == number
        q[mine] = benjamini_hochberg(pairs.p[mine], int(tested[number]))
    good = np.flatnonzero(q <= options.fdr)
    pairs, q, family = pairs.take(good), q[good], family[good]
    begin = np.append(0, np.cumsum([len(found.keys) for found in concepts]))
    concept = begin[pairs.kind] + pairs.concept
    own = pairs.feature * len(tested) + family
    keep = _among(own, concept, pairs.auc, options.per_feature)
    keep |= _among(concept, pairs.feature, pairs.auc, options.per_concept)
    kept = np.flatnonzero(keep)
    kept = kept[np.lexsort((concept[kept], -pairs.auc[kept], pairs.feature[kept]))]
    keys = [key for found in concepts for key in found.keys]
    pairs = pairs.take(kept)
    return pa.table(
        {
            "feature": [f"{sae}/{f}" for f in pairs.feature],
            "concept": [keys[c] for c in concept[kept]],
            "auc": pairs.auc,
            "effect": 2 * pairs.auc - 1,
            "p": pairs.p,
            "q": q[kept],
            "documents": pairs.documents,
            "share": pairs.share,
        },
        schema=schema("about"),
    )


def _among(group: Integers, other: Integers, strength: Floats, top: int) -> NDArray[np.bool_]:
    """Whether an entry is among the `top` strongest of its group; ties by the other's number."""
    order = np.lexsort((other, -strength, group))
    sorted_group = group[order]
    rank = np.arange(len(order)) - np.searchsorted(sorted_group, sorted_group)
    among = np.zeros(len(order), np.bool_)
    among[order] = rank < top
    return among


def _empty() -> _Pairs:
    whole, part = np.zeros(0, np.int64), np.zeros(0)
    return _Pairs(whole, whole, whole, part, part, whole, part)
