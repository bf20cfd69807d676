"""Whether a statement that somebody else wrote only reads.

Sessions of a reader are opened in read mode, in which the server refuses to write data and schema.
That leaves procedures which do something else than write: they make graphs in memory, empty
caches, end transactions; and reading of files and addresses. The server is asked for the
statement's plan, which names all that it would do, also within subqueries.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from atlas.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_READS = "r"
_FORBIDDEN = {
    "LoadCSV": "reads files or addresses (LOAD CSV)",
    "TerminateTransactions": "ends transactions of others",
}
_NESTED_CALL = re.compile(r"ResolvedCall\(\s*([\w.`]+)")
_NESTED_LOAD = re.compile(r"\bLOAD CSV\b", re.IGNORECASE)
_PROJECTS = re.compile(r"\bgds\.(alpha\.|beta\.)?graph\.project\b", re.IGNORECASE)
_ALLOWED = re.compile(
    r"db\.(labels|relationshipTypes|propertyKeys|info|ping|schema\.\w+)"
    r"|db\.index\.(fulltext\.(query\w+|listAvailableAnalyzers)|vector\.query\w+)"
    r"|dbms\.components"
    r"|gds\.(version|list|graph\.list|graph\.exists|debug\.arrow)"
    r"|gds\.[\w.]+\.(stream|stats|estimate)"
    r"|gds\.graph\.(nodeProperty|nodeProperties|relationships|relationshipProperty"
    r"|relationshipProperties|nodeLabels)\.stream"
)


def check_plan(query_type: str | None, plan: Mapping[str, Any] | None, what: str) -> None:
    """Raise `UsageError` where a statement does more than read.

    Parameters
    ----------
    query_type, plan
        Of the summary of ``EXPLAIN statement``, as the driver gives them.
    what
        Name of the work, for the message.
    """
    if query_type != _READS:
        raise _refused(what, "writes, or changes the server")
    for operator, details in _operators(plan or {}):
        name = operator.partition("@")[0]
        # A subquery within an expression has no operator; the plan shows it as text.
        if name in _FORBIDDEN:
            raise _refused(what, _FORBIDDEN[name])
        if _NESTED_LOAD.search(details):
            raise _refused(what, _FORBIDDEN["LoadCSV"])
        if _PROJECTS.search(details):
            raise _refused(what, "makes a graph in the server's memory")
        called = _NESTED_CALL.findall(details)
        if name.endswith("ProcedureCall"):
            called.append(details.partition("(")[0].strip())
        for procedure in called:
            if not _ALLOWED.fullmatch(procedure.replace("`", "")):
                raise _refused(what, f"calls {procedure}, which is not known to only read")


def _refused(what: str, reason: str) -> UsageError:
    return UsageError(
        f"{what}: this connection only reads, and the statement {reason}.",
        hint="`atlas db shell` runs any statement.",
    )


def _operators(plan: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if plan:
        yield str(plan["operatorType"]), str(plan.get("args", {}).get("Details", ""))
    for child in plan.get("children", []):
        yield from _operators(child)
