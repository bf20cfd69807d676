"""SAEs of a run, by what other tools call them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from atlas.errors import NotFoundError, UsageError
from atlas.graph.reader import DriverReader

if TYPE_CHECKING:
    from collections.abc import Sequence

    import neo4j

_SAES = """
MATCH (f:Feature)-[:FROM_RUN]->(:Run {key: $run})
MATCH (f)-[:IN]->(s:Sae)
WITH DISTINCT s
RETURN s.key AS key, s.neuronpedia_id AS neuronpedia_id, s.hook AS hook
ORDER BY key
"""
_KNOWN = """
UNWIND $keys AS key
MATCH (f:Feature {key: key})-[:FROM_RUN]->(:Run {key: $run})
RETURN f.key AS key
"""
_BATCH = 10_000


@dataclass(frozen=True)
class RunSae:
    """An SAE of a run.

    Attributes
    ----------
    key
        Its key.
    neuronpedia_id
        ``MODEL/SOURCE``, if it has one.
    hook
        What it reads, such as ``blocks.18.hook_resid_pre``.
    """

    key: str
    neuronpedia_id: str | None
    hook: str | None

    @property
    def layer(self) -> int | None:
        """Index of the block of its hook."""
        parts = (self.hook or "").split(".")
        return int(parts[1]) if len(parts) > 1 and parts[1].isdecimal() else None


def run_saes(driver: neo4j.Driver, run: str, *, database: str | None = None) -> list[RunSae]:
    """Return the SAEs that a run's features are of.

    Raises
    ------
    NotFoundError
        There is no such run, or it has no features.
    """
    rows = DriverReader(driver, database).read(_SAES, {"run": run}, what="reading the SAEs")
    if not rows:
        raise NotFoundError(
            f"The database has no features of a run {run!r}.", hint="Load it with `atlas load`."
        )
    return [RunSae(row["key"], row["neuronpedia_id"], row["hook"]) for row in rows]


def find_sae(saes: Sequence[RunSae], name: str) -> RunSae:
    """Return the SAE of a key, or of the end of one.

    Raises
    ------
    NotFoundError
        There is none.
    UsageError
        Several fit.
    """
    fitting = [sae for sae in saes if sae.key == name or sae.key.endswith(f"/{name}")]
    if len(fitting) > 1:
        raise UsageError(f"The SAE {name!r} is ambiguous.", hint="Name its whole key.")
    if not fitting:
        raise NotFoundError(
            f"The run has no SAE {name!r}.", hint=f"It has: {', '.join(sae.key for sae in saes)}."
        )
    return fitting[0]


def known_features(
    driver: neo4j.Driver, run: str, keys: Sequence[str], *, database: str | None = None
) -> set[str]:
    """Return those of some keys that are features of a run."""
    reader = DriverReader(driver, database)
    found: set[str] = set()
    for start in range(0, len(keys), _BATCH):
        batch = {"keys": list(keys[start : start + _BATCH]), "run": run}
        found.update(row["key"] for row in reader.read(_KNOWN, batch, what="finding features"))
    return found


def write_once(
    driver: neo4j.Driver,
    steps: Sequence[tuple[str, Sequence[dict[str, object]]]],
    *,
    database: str | None = None,
    **parameters: object,
) -> None:
    """Run statements over rows in a single transaction: all of it is stored, or nothing.

    Parameters
    ----------
    driver, database
        Where to.
    steps
        Statements with the parameter ``$rows``, and their rows; a statement without rows is left
        out.
    **parameters
        Parameters of all statements.

    Raises
    ------
    DatabaseError
        The database fails.
    """
    from atlas.graph.failures import database_errors
    from atlas.graph.sessions import open_session

    def work(tx: neo4j.ManagedTransaction) -> None:
        for statement, rows in steps:
            for start in range(0, len(rows), _BATCH):
                values = {**parameters, "rows": list(rows[start : start + _BATCH])}
                tx.run(statement, values).consume()

    with database_errors("Importing"), open_session(driver, database) as session:
        session.execute_write(work)
