"""Brought codes to shards, whatever their format, in memory that one shard bounds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from atlas.artifacts import file_sha256, write_shard
from atlas.errors import ArtifactError, UsageError
from atlas.progress import Reporter, SilentReporter
from ingest.brought.batches import REQUIRED, check
from ingest.brought.buckets import RECORD, Buckets
from ingest.brought.budget import check_memory
from ingest.brought.document_table import TableDocuments
from ingest.brought.documents import MergedDocuments, SeenDocuments
from ingest.brought.index import Index
from ingest.brought.locate import repeated, two_tokens
from ingest.brought.options import ALL, ONLY_FIRING
from ingest.brought.output import (
    Brought,
    DocumentsWriter,
    finished,
    shard_path,
    side_path,
    write_report,
    write_vocabulary,
)
from ingest.brought.shards import (
    RepeatedError,
    Sums,
    TokenConflictError,
    all_tokens,
    make_shard,
)
from ingest.brought.source import FiringSource, open_source
from ingest.brought.tokens import Tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ingest.brought.batches import Firings, RawBatch
    from ingest.brought.documents import DocumentBlock, DocumentSource
    from ingest.brought.options import BroughtOptions
    from ingest.brought.shards import Made


def bring(
    source: FiringSource | str | Path,
    folder: str | Path,
    *,
    options: BroughtOptions,
    documents: str | Path | None = None,
    identity: dict[str, str] | None = None,
    reporter: Reporter | None = None,
) -> Brought:
    """Write the shards of brought codes; a finished reading of the same files is kept.

    Parameters
    ----------
    source
        The codes, or where they lie; see `open_source`.
    folder
        Where the shards are written; see `Brought` for what else. A temporary file of 20 bytes
        a firing lies there meanwhile.
    options
        What counts, and how much memory may be used.
    documents
        A documents table; see `TableDocuments`. Its order is the order of the documents;
        without one they are ordered by their ids (a delphi cache's by sequence).
    identity
        Recorded in the shards beside the hashes of the source files, for example model and hook.
    reporter
        Told of each step.

    Returns
    -------
    Brought

    Raises
    ------
    ArtifactError
        A file is broken, or a row is impossible; the message names file and row. Also where the
        folder holds shards made from something else.
    UsageError
        An option is missing: the number of latents, or what to do without documents.
    """
    codes = source if isinstance(source, FiringSource) else open_source(source)
    table = None if documents is None else Path(documents).expanduser()
    return _Reading(codes, Path(folder), options, table, reporter or SilentReporter()).run(
        identity or {}
    )


class _Reading:
    """One reading of brought codes into a folder."""

    def __init__(
        self,
        source: FiringSource,
        folder: Path,
        options: BroughtOptions,
        table: Path | None,
        reporter: Reporter,
    ) -> None:
        self.source = source
        self.folder = folder
        self.options = options
        self.table = table
        self.reporter = reporter
        self.d_sae = _latents(source, options)
        self.counts: dict[str, int] = {}

    def run(self, given: dict[str, str]) -> Brought:
        """Read everything and write everything."""
        self._need_positions()
        self.identity = given | self.source.identity | {"options": self.options.sha256}
        if self.table is not None:
            if not self.table.is_file():
                raise ArtifactError(f"There is no documents table at {self.table}.")
            self.identity["documents"] = file_sha256(self.table)
        done = finished(self.folder, self.identity)
        if done is not None:
            return done
        self.documents = self._open_documents()
        self.index = Index(self.documents.ids)
        self.tokens = Tokens(self.source, self.documents, rows=self.options.batch_rows)
        self.mask = self.tokens.mask(self.options)
        with Buckets(
            side_path(self.folder, "buckets"),
            documents=len(self.index),
            shard_documents=self.options.shard_documents,
        ) as buckets:
            self._fill(buckets)
            return self._write(buckets)

    def _need_positions(self) -> None:
        if self.options.positions == ALL and self.table is None and not self.source.documents():
            raise UsageError(
                f"How many positions the documents of {self.source.root} have is not known: a "
                "table of codes does not say where nothing fires.",
                hint="Give a documents table with n_positions (for a delphi cache, one saved "
                f"with its tokens), or set positions to {ONLY_FIRING!r}.",
            )

    def _open_documents(self) -> DocumentSource:
        own = self.source.documents()
        if self.table is None:
            return own or SeenDocuments(self.source, rows=self.options.batch_rows)
        table = TableDocuments(self.table, self.source.document_type)
        return table if own is None else MergedDocuments(table, own)

    def _fill(self, buckets: Buckets) -> None:
        """Check every row and put it into the bucket of its shard."""
        rows = zeros = 0
        with self.reporter.step("reading codes (rows)") as advance:
            for batch in self.source.batches((*REQUIRED, "token"), rows=self.options.batch_rows):
                found = check(batch, self.d_sae)
                number = self._numbers(batch, found)
                fires = found.value > 0
                records = np.empty(len(number), RECORD)
                records["document"], records["position"] = number, found.position
                records["feature"], records["value"] = found.feature, found.value
                records["token"] = self.tokens.of(found.token, len(number))
                buckets.add(records[fires])
                rows, zeros = rows + len(fires), zeros + int((~fires).sum())
                advance(rows)
        self.counts["zeros_dropped"] = zeros
        if not buckets.firings.any():
            raise ArtifactError(f"All {rows:,} values at {self.source.root} are zero.")

    def _numbers(self, batch: RawBatch, found: Firings) -> NDArray[np.int64]:
        """Numbers of the rows' documents; refuses unknown ones and positions beyond their end."""
        number = self.index.of(found.document)
        if (number < 0).any():
            at = int((number < 0).argmax())
            batch.fail_at(
                at,
                f"document {found.document[at].as_py()!r} is not among the documents",
                hint="The documents table has to list every document of the codes.",
            )
        lengths = self.documents.n_positions
        if lengths is not None and (found.position >= lengths[number]).any():
            at = int((found.position >= lengths[number]).argmax())
            batch.fail_at(
                at,
                f"position {found.position[at]} is not one of document "
                f"{found.document[at].as_py()!r}, which has {lengths[number[at]]}",
                hint="Positions are counted from 0, over all tokens of the document.",
            )
        return number

    def _write(self, buckets: Buckets) -> Brought:
        """Write the shards, the documents, the vocabulary and the report."""
        size, lengths = self.options.shard_documents, self.documents.n_positions
        lengths = buckets.last + 1 if lengths is None else lengths
        check_memory(self.documents.ids, buckets.firings, lengths, options=self.options)
        sums = Sums(self.d_sae)
        with (
            self.reporter.step("writing codes (documents)", len(lengths)) as advance,
            DocumentsWriter(self.folder) as writer,
        ):
            shards = 0
            for given in self.documents.blocks(size, vocabulary=self.tokens.index):
                block = replace(given, n_positions=lengths[given.first : given.first + size])
                made = self._make(shards, buckets, block)
                write_shard(shard_path(self.folder, shards), made.shard, identity=self.identity)
                writer.add(block, all_tokens(made.shard, block) if self.tokens.known else None)
                sums.add(made, block)
                shards += 1
                advance(block.first + len(block.ids))
            if not sums.counts["firings"]:
                raise ArtifactError(
                    f"No firing at {self.source.root} is left after masking.",
                    hint="Look at skip_positions, mask_tokens and the documents' positions.",
                )
        write_vocabulary(self.folder, self.tokens.texts)
        return self._report(shards, sums)

    def _report(self, shards: int, sums: Sums) -> Brought:
        silent = {"silent_features": int((~sums.fired).sum())}
        flags = dict(self.source.flags)
        if self.options.positions == ONLY_FIRING:
            flags["positions"] = ONLY_FIRING
        if not self.tokens.known:
            flags["tokens"] = "not known"
        elif not self.tokens.everywhere:
            flags["tokens"] = "known only where something fires"
        brought = Brought(
            folder=self.folder,
            identity=self.identity,
            shards=shards,
            d_sae=self.d_sae,
            counts=sums.counts | silent | self.counts,
            flags=flags,
            about=self.source.about,
            rows_sha256=sums.digest.hexdigest(),
        )
        write_report(brought)
        return brought

    def _make(self, number: int, buckets: Buckets, block: DocumentBlock) -> Made:
        """Make a shard; where firings contradict each other, find their rows and say so."""
        try:
            return make_shard(
                buckets.read(number),
                block,
                options=self.options,
                mask=self.mask,
                d_sae=self.d_sae,
            )
        except RepeatedError as error:
            raise repeated(error, self.source, self.documents.ids) from error
        except TokenConflictError as error:
            raise two_tokens(error, self.source, self.documents.ids, tokens=self.tokens) from error


def _latents(source: FiringSource, options: BroughtOptions) -> int:
    """Return the number of latents that the options and the format agree on."""
    known = {n for n in (source.d_sae, options.d_sae) if n is not None}
    if not known:
        raise UsageError(
            f"The number of latents of {source.root} is not known.", hint="Give d_sae."
        )
    if len(known) > 1:
        raise UsageError(
            f"d_sae is {options.d_sae:,}, the files at {source.root} have {source.d_sae:,}.",
            hint="Leave d_sae out, or bring the codes of this SAE.",
        )
    return known.pop()
