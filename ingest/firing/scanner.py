"""What the features of an SAE fire on, in one pass over code shards, one in memory at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from atlas.errors import ArtifactError, UsageError
from ingest.firing.arrays import Columns, empty_slots
from ingest.firing.counts import SparseCounts, add_padded, token_marks, top_domains
from ingest.firing.kernels import merge_slots, scan_sample, scan_strongest
from ingest.firing.moments import RunningMoments
from ingest.firing.places import FiringOptions, kept_firings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from atlas.artifacts import CodeShard
    from ingest.firing.counts import Marks
    from ingest.firing.moments import ActivationMoments
    from ingest.firing.places import Firings


@dataclass(frozen=True)
class FeatureStatistics:
    """What the features of one SAE fire on.

    Attributes
    ----------
    n, d
        int64 ``[d_sae]``: positions and documents where each fires.
    positions, documents
        Unmasked positions, and documents that have one.
    moments
        Moments of the activations.
    tokens
        The tokens that mark each feature.
    firings
        Its strongest firings, and some from every bin.
    domain, domain_share
        Each feature's most distinctive domain or None, and float64 ``[d_sae]`` that domain's
        share of the feature's documents or NaN.
    """

    n: NDArray[np.int64]
    d: NDArray[np.int64]
    positions: int
    documents: int
    moments: ActivationMoments
    tokens: Marks
    firings: Firings
    domain: list[str | None]
    domain_share: NDArray[np.float64]


class FeatureScanner:
    """Adds up feature statistics over shards.

    Scanners of different shards merge into what one scanner of all would hold; neither the
    split of the documents into shards nor the order matters (except to the last bits of means
    and standard deviations). Beside the shard at hand, memory is 20 bytes a latent and kept
    place (`contexts`, and `sample` where there are bins) and 12 bytes for every different
    (feature, token) and (feature, domain) seen, twice that while two parts are added.

    Parameters
    ----------
    d_sae
        Number of latents.
    domains
        Domain of every document of the corpus, or None.
    options
        How much to keep.
    """

    def __init__(
        self,
        d_sae: int,
        *,
        domains: Sequence[str | None],
        options: FiringOptions | None = None,
    ) -> None:
        self.d_sae = d_sae
        self.options = options or FiringOptions()
        self.domains = sorted({name for name in domains if name is not None})
        code = {name: number for number, name in enumerate(self.domains)}
        self._domain = np.array([-1 if d is None else code[d] for d in domains], np.int32)
        self._seen = np.zeros(len(domains), np.bool_)
        self._d = np.zeros(d_sae, np.int64)
        self._moments = RunningMoments(d_sae)
        self._tokens, self._token_rows = SparseCounts(d_sae), np.zeros(0, np.int64)
        self._positions = 0
        self._in_domain = SparseCounts(d_sae)
        self._top = empty_slots(d_sae, self.options.contexts)
        self._sample = empty_slots(d_sae, self.options.sample if self.options.bins else 0)

    def add(self, shard: CodeShard) -> None:
        """Add a shard of documents that were not added before; tokens below 0 are unknown.

        Raises
        ------
        ArtifactError
            The shard names a latent or document that does not exist, or one of its documents
            stands in two shards.
        """
        codes = self._by_feature(shard)
        self._see(shard)
        self._moments.add(codes)
        self._tokens.add(codes.ptr, shard.token[codes.row])
        rows = np.bincount(shard.token[shard.token >= 0]).astype(np.int64)
        self._token_rows = add_padded(rows, self._token_rows)
        self._positions += shard.rows
        self._count_documents(codes)
        scan_strongest(self._top, codes)
        if self.options.bins:
            scan_sample(self._sample, codes, self.options.seed)

    def merge(self, other: FeatureScanner) -> None:
        """Add what another scanner found in other shards of the same corpus and SAE.

        Raises
        ------
        UsageError
            The scanners are of another SAE, corpus or options.
        ArtifactError
            Both saw the same document.
        """
        mine, theirs = ((s.d_sae, s.options, s.domains) for s in (self, other))
        if mine != theirs or not np.array_equal(self._domain, other._domain):
            raise UsageError(
                "Two scanners of different latents, documents or options cannot be merged.",
                hint="Make both with the same arguments.",
            )
        self._refuse_again(np.flatnonzero(self._seen & other._seen))
        self._seen |= other._seen
        self._d += other._d
        self._moments.merge(other._moments)
        self._tokens.merge(other._tokens)
        self._positions += other._positions
        self._token_rows = add_padded(self._token_rows, other._token_rows)
        self._in_domain.merge(other._in_domain)
        merge_slots(self._top, other._top)
        merge_slots(self._sample, other._sample)

    def result(self) -> FeatureStatistics:
        """Return the statistics of all that was added; more may be added afterwards."""
        n = self._moments.n
        labelled = self._domain[self._seen & (self._domain >= 0)]
        documents = np.bincount(labelled, minlength=len(self.domains)).astype(np.int64)
        domain, share = top_domains(self._in_domain.total(), documents, names=self.domains)
        tokens = self._tokens.total()
        known = np.asarray(tokens.sum(axis=1)).ravel()
        marks = token_marks(tokens, known, token_rows=self._token_rows, top=self.options.tokens)
        return FeatureStatistics(
            n=n.copy(),
            d=self._d.copy(),
            positions=self._positions,
            documents=int(self._seen.sum()),
            moments=self._moments.result(),
            tokens=marks,
            firings=kept_firings(self._top, self._sample, options=self.options),
            domain=domain,
            domain_share=share,
        )

    def _by_feature(self, shard: CodeShard) -> Columns:
        highest = int(shard.index.max(initial=-1))
        if highest >= self.d_sae:
            raise ArtifactError(
                f"A code shard names latent {highest}; the SAE has {self.d_sae}.",
                hint="Delete the build's folder `codes` and build again.",
            )
        shape = (shard.rows, self.d_sae)
        by_row = sparse.csr_matrix((shard.value, shard.index, shard.indptr), shape=shape)
        by_feature = by_row.tocsc()
        return Columns(
            by_feature.indptr.astype(np.int64),
            by_feature.indices.astype(np.int32, copy=False),
            by_feature.data,
            shard.document,
            shard.position,
        )

    def _see(self, shard: CodeShard) -> None:
        new = np.flatnonzero(np.diff(shard.document, prepend=-1))
        documents = shard.document[new]
        highest = int(documents.max(initial=-1))
        if highest >= len(self._seen):
            raise ArtifactError(
                f"A code shard names document {highest}; the corpus has {len(self._seen)}.",
                hint="Delete the build's folder `codes` and build again.",
            )
        self._refuse_again(documents[self._seen[documents]])
        self._seen[documents] = True

    @staticmethod
    def _refuse_again(documents: NDArray[np.integer]) -> None:
        if len(documents):
            raise ArtifactError(
                f"Document {int(documents[0])} stands in two code shards; one must hold all of it.",
                hint="Add each shard once; if it was, delete the build's folder `codes` and "
                "build again.",
            )

    def _count_documents(self, codes: Columns) -> None:
        """Count the documents of each feature, and those of each domain."""
        document = codes.document[codes.row]
        first = np.ones(len(document), np.bool_)
        first[1:] = document[1:] != document[:-1]
        first[codes.ptr[:-1][np.diff(codes.ptr) > 0]] = True
        before = np.append(0, np.cumsum(first))[codes.ptr]
        self._d += np.diff(before)
        self._in_domain.add(before, self._domain[document[first]])
