"""Labels the live features of a run in the graph, and says how well each label does."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from atlas.analysis.embedding import can_embed, embed_texts
from atlas.analysis.writing import RECORD
from atlas.errors import NotFoundError, UsageError
from atlas.graph.connection import user_agent
from atlas.graph.failures import database_errors
from atlas.graph.reader import DriverReader
from atlas.graph.sessions import open_session
from atlas.progress import Reporter, SilentReporter
from ingest.graph_map import LABEL_RECORD, LABEL_SOURCE
from ingest.incremental import run_state
from ingest.labelling.evidence import BATCH, KEYS, read_evidence
from ingest.labelling.options import Labelling, LabelOptions
from ingest.labelling.score import Background, Score, score_label
from ingest.labels import SEPARATOR, label_parts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import neo4j

    from atlas.graph.reader import Row
    from ingest.labelling.evidence import Evidence, Shown

#: Features whose held-out contexts say what is there by chance.
_BACKGROUND = 512

_WRITE = """
UNWIND $rows AS row
MATCH (f:Feature {key: row.key})
SET f.label = row.label, f.label_source = row.source, f.label_score = row.score,
    f.label_contexts = row.contexts, f.label_run = $label_run
WITH f, row WHERE row.changed
CALL (f, row) {
  WITH * WHERE row.embedding IS NULL
  REMOVE f.label_embedding
}
CALL (f, row) {
  WITH * WHERE row.embedding IS NOT NULL
  CALL db.create.setNodeVectorProperty(f, 'label_embedding', row.embedding)
}
"""

_LABELLED = """
MATCH (:Run {key: $run})<-[:FROM_RUN]-(f:Feature WHERE f.label_run = $label_run)
RETURN f.label_source AS source, count(*) AS features, count(f.label_score) AS scored,
       sum(f.label_score) AS score
ORDER BY source
"""


def label_features(
    driver: neo4j.Driver,
    run: str,
    *,
    features: Sequence[str] | None = None,
    options: LabelOptions | None = None,
    database: str | None = None,
    reporter: Reporter | None = None,
) -> Labelling:
    """Give every live feature of a run a label, with its source and a score.

    In this order: the best explanation of it in the graph; what the labeller says; the tokens it
    fires on, the words of its contexts, or the tokens it promotes, by the rule of a build
    (`ingest.labels.feature_label`). A label of the last three is measured on held-out contexts
    (`ingest.labelling.score.score_label`); others have no score, for a text in free words cannot be
    held against tokens. An explanation has its own score on its node.

    Written on a feature are ``label``, ``label_source`` (``neuronpedia``, the labeller's name,
    ``tokens``, ``contexts``, ``promoted`` or ``none``), ``label_score``, ``label_contexts`` (how
    many held-out contexts), ``label_run`` (``{run}/label``), and, where the label changed,
    ``label_embedding`` (removed where wordllama is not installed). An `AlgorithmRun` records it.
    Batches are written one by one, so that nothing that was asked for is lost by a stop.

    Parameters
    ----------
    driver
        An open driver with the right to write.
    run
        Key of a loaded run.
    features
        Keys of the features to label; by default all.
    options
        What labels are made from; by default explanations, tokens and words.
    database
        Name of the database; None is the server's default.
    reporter
        Told of the progress.

    Returns
    -------
    Labelling
        What was done.

    Raises
    ------
    NotFoundError
        There is no such run, or none of its features is among `features`.
    UsageError
        The run is not loaded to its end, or its features hold the numbers of another run.
    DatabaseError
        The database fails; batches that were written stay.
    """
    with database_errors(f"Labelling {run}"):
        reader = DriverReader(driver, database)
        chosen = options or LabelOptions()
        live = _live(reader, run)
        _check_state(driver, database, run)
        wanted = _chosen(live, features, run)
        keys = [row["key"] for row in wanted if not _is_done(row, run, chosen.done_by)]
        told = reporter or SilentReporter()
        told.note(f"reading contexts of {min(len(live), _BACKGROUND)} features")
        background = _background(reader, run, [row["key"] for row in live])
        work = _Work(driver, database, run, chosen, background)
        return work.label(reader, keys, kept=len(wanted) - len(keys), reporter=told)


def _check_state(driver: neo4j.Driver, database: str | None, run: str) -> None:
    if run_state(driver, database, run)["state"] != "loaded":
        raise UsageError(
            f"The run {run} is not loaded to its end.", hint="Load it again with `atlas load`."
        )


def _live(reader: DriverReader, run: str) -> list[Row]:
    """Return the live features of a run, whose numbers must be its own."""
    rows = reader.read(KEYS, {"run": run})
    if not rows:
        raise NotFoundError(
            f"The database has no live features of a run {run!r}.",
            hint="`atlas runs list` lists the runs.",
        )
    other = next((row["owner"] for row in rows if row["owner"] != run), None)
    if other is not None:
        raise UsageError(
            f"Features of {run} hold the numbers of the run {other}, which was loaded later.",
            hint=f"Label {other}, or load {run} again with --force.",
        )
    return rows


def _chosen(live: list[Row], features: Sequence[str] | None, run: str) -> list[Row]:
    wanted = None if features is None else set(features)
    chosen = [row for row in live if wanted is None or row["key"] in wanted]
    if not chosen:
        raise NotFoundError(
            f"None of the features named is a live feature of {run}.",
            hint="Give keys such as `atlas query search` shows.",
        )
    return chosen


def _is_done(row: Row, run: str, labelled_by: str | None) -> bool:
    """Whether an earlier call has labelled a feature with the labeller."""
    return bool(row["label_run"] == _record_key(run) and row["label_source"] == labelled_by)


def _record_key(run: str) -> str:
    return f"{run}{LABEL_RECORD}"


@dataclass(frozen=True)
class _Label:
    text: str | None
    source: str
    score: Score | None = None


@dataclass(frozen=True)
class _Work:
    """Labels features of one run."""

    driver: neo4j.Driver
    database: str | None
    run: str
    options: LabelOptions
    background: Background

    def label(
        self, reader: DriverReader, keys: list[str], *, kept: int, reporter: Reporter
    ) -> Labelling:
        """Label features in batches, and record it."""
        began, sources, scores, changed = time.monotonic(), Counter[str](), list[float](), 0
        with reporter.step("labelling features", len(keys)) as advance:
            for start in range(0, len(keys), BATCH):
                rows = list(self._rows(reader, keys[start : start + BATCH]))
                changed += sum(row["changed"] for row in rows)
                sources.update(row["source"] for row in rows)
                scores += [row["score"] for row in rows if row["score"] is not None]
                self._write(_embedded(rows))
                advance(start + len(rows))
        done = Labelling(
            run=self.run,
            algorithm_run=_record_key(self.run),
            features=len(keys),
            kept=kept,
            sources=dict(sorted(sources.items())),
            changed=changed,
            scored=len(scores),
            mean_score=sum(scores) / len(scores) if scores else None,
        )
        self._record(reader, seconds=time.monotonic() - began)
        return done

    def _rows(self, reader: DriverReader, keys: Sequence[str]) -> Iterator[Row]:
        for evidence, held_out in read_evidence(reader, self.run, keys):
            made = self._choose(evidence, held_out)
            yield {
                "key": evidence.key,
                "label": made.text,
                "source": made.source,
                "score": made.score.score if made.score else None,
                "contexts": made.score.contexts if made.score else None,
                "changed": made.text != evidence.label,
                "embedding": None,
            }

    def _choose(self, evidence: Evidence, held_out: Sequence[Shown]) -> _Label:
        options = self.options
        if options.explanations and evidence.explanation:
            return _Label(evidence.explanation, LABEL_SOURCE)
        if options.labeller is not None and (said := options.labeller(evidence)):
            return _Label(said, options.labeller_name)
        parts, source = label_parts(
            evidence.tokens, evidence.shares, evidence.words, evidence.promoted
        )
        score = score_label(parts, source, held_out, background=self.background)
        return _Label(SEPARATOR.join(parts) or None, source, score)

    def _write(self, rows: list[Row]) -> None:
        def work(tx: neo4j.ManagedTransaction) -> None:
            tx.run(_WRITE, rows=rows, label_run=_record_key(self.run)).consume()

        with open_session(self.driver, self.database) as session:
            session.execute_write(work)

    def _record(self, reader: DriverReader, *, seconds: float) -> None:
        """Record the labels that the run has now, of earlier calls too."""
        key = _record_key(self.run)
        found = reader.read(_LABELLED, {"run": self.run, "label_run": key})
        scored = sum(row["scored"] for row in found)
        parameters: dict[str, Any] = {
            "explanations": self.options.explanations,
            "labeller": self.options.labeller_name if self.options.labeller else None,
            "background_windows": self.background.windows,
        }
        row = {
            "key": key,
            "algorithm": "labels",
            "property": "label",
            "engine": user_agent().partition(" ")[0],
            "parameters": json.dumps(parameters, sort_keys=True),
            "features": sum(row["features"] for row in found),
            "sources": json.dumps({row["source"]: row["features"] for row in found}),
            "mean_score": sum(row["score"] for row in found) / scored if scored else None,
            "milliseconds": round(1000 * seconds),
        }

        def work(tx: neo4j.ManagedTransaction) -> None:
            tx.run(RECORD, rows=[row], run=self.run).consume()

        with open_session(self.driver, self.database) as session:
            session.execute_write(work)


def _background(reader: DriverReader, run: str, keys: Sequence[str]) -> Background:
    """Read held-out contexts of features that are evenly spread over `keys`."""
    some = keys[:: max(1, len(keys) // _BACKGROUND)]
    return Background(
        shown for _, held_out in read_evidence(reader, run, some) for shown in held_out
    )


def _embedded(rows: list[Row]) -> list[Row]:
    """Add the vectors of labels that changed, where wordllama is installed."""
    new = [row for row in rows if row["changed"] and row["label"]]
    if new and can_embed():
        for row, vector in zip(new, embed_texts([row["label"] for row in new]), strict=True):
            finite = all(value == value for value in vector.tolist())  # noqa: PLR0124
            row["embedding"] = vector.tolist() if finite else None
    return rows
