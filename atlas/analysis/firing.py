"""Which features of a run fire: told by the run itself, whichever run was loaded last."""

from __future__ import annotations

_CONDITION = """CASE WHEN coalesce(NODE.run = $run, false) THEN NOT NODE.dead
      ELSE EXISTS { (NODE)-[:FIRES_ON|FIRES_IN|CO_OCCURS {run: $run}]-() } END"""


def fires(name: str) -> str:
    """Return the Cypher condition that a feature fires in the run ``$run``.

    A feature that several runs have carries the numbers of the run loaded last (``run`` and
    ``dead``). Whether it fires in an earlier one is told by that run's relationships.

    Parameters
    ----------
    name
        Variable of the feature in the statement.
    """
    return _CONDITION.replace("NODE", name)
