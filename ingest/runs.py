"""Removes a run from the graph: all that no other run has, in batches, and its node last.

It can be stopped at any moment and repeated. The node Run stays until everything else is gone,
with the state ``dropping``, and remembers what the rest needs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from atlas.errors import DatabaseError, NotFoundError
from atlas.graph.exclusive import LOAD_LOCK, exclusive
from atlas.graph.failures import database_errors
from atlas.graph.reader import DriverReader
from atlas.graph.sessions import open_session
from atlas.progress import Reporter, SilentReporter
from atlas.schemas import PAIRS, RELATIONS
from ingest.clear import clear_run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import neo4j

_PAGE = 500
_BATCH = 1000
_DROPPING = "dropping"

_RUN = """
MATCH (r:Run {key: $run}) RETURN r.corpus AS corpus, r.model AS model
"""
_OTHERS = """
MATCH (r:Run) WHERE r.key <> $run
RETURN r.key AS key, r.corpus AS corpus, r.model AS model ORDER BY key
"""
_MARK = """
MATCH (r:Run {key: $run})
WITH r, COLLECT {
  MATCH (r)<-[:FROM_RUN]-(:Feature)-[:IN]->(s:Sae) RETURN DISTINCT s.key
} AS saes
SET r.state = $state, r.saes = coalesce(r.saes, saes),
    r.loading_way = 'merge', r.loading_rows = 0
"""
_FEATURES = "MATCH (:Run {key: $run})<-[:FROM_RUN]-(f:Feature) RETURN f.key AS key ORDER BY key"
_STALE = """
MATCH (f:Feature {run: $run})-[:FROM_RUN]->(o:Run) WHERE o.key <> $run
RETURN count(DISTINCT f) AS n
"""
_SIZES = """
CALL () { MATCH (n) RETURN count(n) AS nodes }
CALL () { MATCH ()-[r]->() RETURN count(r) AS relationships }
RETURN nodes, relationships
"""

# Nodes that several runs share, reached from features by relationships that carry a run.
_SHARED: Mapping[str, tuple[str, ...]] = {"Token": RELATIONS}
_CONTEXTS = """
UNWIND $keys AS key
MATCH (f:Feature {key: key})
CALL (f) {
  MATCH (f)-[:FIRES_IN {run: $run}]->(c:Context) RETURN c.key AS context
  UNION
  MATCH (f)-[e:CO_OCCURS {run: $run}]->() UNWIND e.contexts AS context RETURN context
}
RETURN DISTINCT context
"""
_DELETE_CONTEXTS = """
UNWIND $keys AS key
MATCH (c:Context {key: key})
WHERE NOT EXISTS { (c)<-[r:FIRES_IN]-() WHERE r.run <> $run }
DETACH DELETE c
"""

# Repeated until they find nothing; `others` are what other runs are of. A document may belong to
# each corpus whose name its key begins with, and stays while one of them has a run.
_DOCUMENTS = """
MATCH (d:Document)
WHERE d.key STARTS WITH $corpus + '/' AND NONE(o IN $others WHERE d.key STARTS WITH o + '/')
WITH d LIMIT $batch
OPTIONAL MATCH (c:Context)-[:FROM_DOCUMENT]->(d)
DETACH DELETE c, d
"""
# The concepts of a run begin with its corpus, too, and those that no feature is about are its own.
_CONCEPTS = """
MATCH (c:Concept)
WHERE NOT EXISTS { (c)<-[:ABOUT]-() } AND NONE(o IN $others WHERE c.key STARTS WITH o + '/')
WITH c LIMIT $batch
DETACH DELETE c
"""
_PROMPTS = """
MATCH (s:PromptSet) WHERE NOT EXISTS { (s)<-[:USED]-(o:Run) WHERE o.key <> $run }
MATCH (p:Prompt)-[:IN]->(s)
WITH p LIMIT $batch
DETACH DELETE p
"""
_PROMPT_SETS = """
MATCH (s:PromptSet) WHERE NOT EXISTS { (s)<-[:USED]-(o:Run) WHERE o.key <> $run }
WITH s LIMIT $batch
DETACH DELETE s
"""
_TOKENS = """
MATCH (t:Token)
WHERE t.key = $model + '/' + toString(t.token_id) AND NOT $model IN $others
WITH t LIMIT $batch
DETACH DELETE t
"""
_SAES = """
MATCH (r:Run {key: $run}) UNWIND r.saes AS key
MATCH (s:Sae {key: key}) WHERE NOT EXISTS { (s)<-[:IN]-() }
DETACH DELETE s
"""
_MODEL = """
MATCH (m:Model {key: $model})
WHERE NOT $model IN $others AND NOT EXISTS { (m)<-[:OF]-() }
DETACH DELETE m
"""
_NODE = "MATCH (r:Run {key: $run}) DETACH DELETE r"
# What has no property `run`, or is removed by `clear_run`.
_CLEARED = frozenset({*PAIRS.values(), *RELATIONS, "FIRES_IN", "IN", "OF", "FROM_RUN"})


@dataclass(frozen=True)
class DropSummary:
    """What removing a run did.

    Attributes
    ----------
    run
        Key of the run.
    nodes, relationships
        How many fewer the database has.
    stale
        Features that other runs have too and whose numbers (firing rate, label, tokens) are still
        those of this run, since it was loaded last. Verifying another run with ``repair``, or
        loading it again with ``force``, gives them its own.
    seconds
        Wall time.
    """

    run: str
    nodes: int
    relationships: int
    stale: int
    seconds: float


def drop_run(
    driver: neo4j.Driver,
    run: str,
    *,
    database: str | None = None,
    reporter: Reporter | None = None,
) -> DropSummary:
    """Remove a run and what no other run has: features, edges, analysis, tokens, contexts, text.

    Documents, contexts that only documents lead to, and concepts stay as long as another run is of
    a corpus of the same name, and sets of prompts as long as another run used them. Other runs,
    also those with the same features, keep all they have.

    Parameters
    ----------
    driver
        An open driver with the right to write.
    run
        Key of the run, loaded or not to its end.
    database
        Name of the database; None is the server's default.
    reporter
        Is told of each step.

    Returns
    -------
    DropSummary
        What was removed.

    Raises
    ------
    NotFoundError
        There is no such run.
    DatabaseError
        Another client loads a run, whose tokens may have no relationship yet that would keep
        them, or drops one; or the database fails. What was removed until then stays removed:
        call it again.
    """
    began = time.monotonic()
    with (
        database_errors(f"Dropping {run}"),
        exclusive(driver, database, name=LOAD_LOCK, waiting=lambda: _refuse(run)),
    ):
        drop = _find(driver, database, run, reporter or SilentReporter())
        before = drop.read(_SIZES)[0]
        drop.everything()
        after = drop.read(_SIZES)[0]
    return DropSummary(
        run=run,
        nodes=before["nodes"] - after["nodes"],
        relationships=before["relationships"] - after["relationships"],
        stale=drop.read(_STALE)[0]["n"],
        seconds=time.monotonic() - began,
    )


def _refuse(run: str) -> None:
    raise DatabaseError(
        f"{run} cannot be dropped: another client loads a run into this database, or drops one.",
        hint="Wait until that has ended, and try again.",
    )


def _find(driver: neo4j.Driver, database: str | None, run: str, reporter: Reporter) -> _Drop:
    reader = DriverReader(driver, database)
    rows = reader.read(_RUN, {"run": run})
    if not rows:
        raise NotFoundError(
            f"The database has no run {run!r}.", hint="`atlas runs list` lists those it has."
        )
    return _Drop(driver, database, run, rows[0], reader.read(_OTHERS, {"run": run}), reporter)


@dataclass(frozen=True)
class _Drop:
    """Removes one run; each method can be repeated."""

    driver: neo4j.Driver
    database: str | None
    run: str
    about: Mapping[str, Any]
    others: Sequence[Mapping[str, Any]]
    reporter: Reporter

    def everything(self) -> None:
        """Remove all of the run; its features go only after what they lead to is settled."""
        self.change(_MARK, state=_DROPPING)
        self.shared()
        clear_run(self.driver, self.run, database=self.database)
        self.leftovers()
        self.reporter.note(f"removing text, tokens and SAEs of {self.run}")
        for text, values in self.rest():
            self.drain(text, **values)
        self.change(_NODE)

    def read(self, text: str, **parameters: Any) -> list[dict[str, Any]]:
        """Return the rows of a statement that reads."""
        return DriverReader(self.driver, self.database).read(text, {"run": self.run, **parameters})

    def change(self, text: str, **parameters: Any) -> int:
        """Run a statement in a transaction of its own; return how much it deleted."""

        def work(tx: neo4j.ManagedTransaction) -> int:
            done = tx.run(text, {"run": self.run, **parameters}).consume().counters
            return done.nodes_deleted + done.relationships_deleted

        with open_session(self.driver, self.database) as session:
            return session.execute_write(work)

    def drain(self, text: str, **parameters: Any) -> None:
        """Repeat a statement until it deletes nothing."""
        while self.change(text, batch=_BATCH, **parameters):
            pass

    def shared(self) -> None:
        """Remove tokens and contexts that only features of this run lead to."""
        keys = [row["key"] for row in self.read(_FEATURES)]
        keep = self.kept_contexts() if keys else set()
        with self.reporter.step(f"dropping {self.run} (features)", len(keys)) as advance:
            for done, page in _pages(keys):
                for label, relations in _SHARED.items():
                    self.change(_delete_shared(label, relations), keys=page)
                found = {row["context"] for row in self.read(_CONTEXTS, keys=page)}
                self.change(_DELETE_CONTEXTS, keys=sorted(found - keep))
                advance(done)

    def kept_contexts(self) -> set[str]:
        """Return the contexts that other runs of the corpus name: on edges, or as firings."""
        contexts: set[str] = set()
        for other in self.others:
            if other["corpus"] != self.about["corpus"]:
                continue
            keys = [row["key"] for row in self.read(_FEATURES, run=other["key"])]
            for _, page in _pages(keys):
                rows = self.read(_CONTEXTS, keys=page, run=other["key"])
                contexts.update(row["context"] for row in rows)
        return contexts

    def leftovers(self) -> None:
        """Remove relationships and nodes of types that `clear_run` does not know."""
        rows = self.read("CALL db.relationshipTypes() YIELD relationshipType AS name RETURN name")
        for name in sorted({row["name"] for row in rows} - _CLEARED):
            self.drain(
                f"MATCH ()-[r:{_quoted(name)} {{run: $run}}]->() WITH r LIMIT $batch DELETE r"
            )
        rows = self.read("CALL db.labels() YIELD label AS name RETURN name")
        for name in sorted({row["name"] for row in rows} - {"Feature"}):
            self.drain(
                f"MATCH (n:{_quoted(name)} {{run: $run}}) WITH n LIMIT $batch DETACH DELETE n"
            )

    def rest(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield statements that remove what no run of the corpus or the model is left for."""
        corpora = [other["corpus"] for other in self.others if other["corpus"] is not None]
        models = [other["model"] for other in self.others]
        if self.about["corpus"] is not None:
            yield _DOCUMENTS, {"corpus": self.about["corpus"], "others": corpora}
        yield _CONCEPTS, {"others": corpora}
        yield _PROMPTS, {}
        yield _PROMPT_SETS, {}
        yield _TOKENS, {"model": self.about["model"], "others": models}
        yield _SAES, {}
        yield _MODEL, {"model": self.about["model"], "others": models}


def _delete_shared(label: str, relations: Sequence[str]) -> str:
    types = "|".join(relations)
    return f"""
UNWIND $keys AS key
MATCH (:Feature {{key: key}})-[:{types} {{run: $run}}]->(n:{label})
WITH DISTINCT n
WHERE NOT EXISTS {{ (n)<-[r:{types}]-() WHERE r.run <> $run }}
DETACH DELETE n
"""


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _pages(keys: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    """Yield the number done after a page, and the page."""
    for start in range(0, len(keys), _PAGE):
        page = keys[start : start + _PAGE]
        yield start + len(page), page
