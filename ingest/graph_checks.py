"""Whether a graph has what is to be joined to it: SAEs of the same weights, and features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from atlas.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from atlas.graph.reader import DriverReader

_KEYS = 20_000
_WEIGHTS = """
UNWIND $rows AS row
OPTIONAL MATCH (s:Sae {key: row.key})
RETURN row.key AS key, s IS NOT NULL AS here, s.weights_sha256 AS found, row.sha256 AS wanted
"""
_FEATURES = "UNWIND $keys AS key MATCH (f:Feature {key: key}) RETURN f.key AS key"
LOAD_FIRST = "Load a build of that SAE first: `atlas load FOLDER`."


def check_weights(
    reader: DriverReader, saes: Sequence[Mapping[str, Any]], *, path: Path, all_here: bool = True
) -> None:
    """Refuse what was made with an SAE of other weights than the graph's.

    Parameters
    ----------
    reader
        Of the database.
    saes
        ``key`` and ``weights_sha256`` of each.
    path
        The folder that is to be loaded, for the error.
    all_here
        Whether the graph must have all of them.

    Raises
    ------
    DatabaseError
        The graph has an SAE with other weights, or lacks one.
    """
    rows = [{"key": sae["key"], "sha256": sae.get("weights_sha256")} for sae in saes]
    for row in reader.read(_WEIGHTS, {"rows": rows}):
        if all_here and not row["here"]:
            raise DatabaseError(
                f"{path} is of the SAE {row['key']}, which the database does not have.",
                hint=LOAD_FIRST,
            )
        if row["found"] and row["wanted"] and row["found"] != row["wanted"]:
            raise DatabaseError(
                f"The database has the SAE {row['key']} with other weights (SHA-256"
                f" {row['found'][:12]}...) than {path} ({row['wanted'][:12]}...).",
                hint="Use the SAE that was mapped, or map this one under another name.",
            )


def missing_saes(reader: DriverReader, saes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the keys of SAEs (``key`` of each) that the graph does not have."""
    rows = [{"key": sae["key"], "sha256": None} for sae in saes]
    return [row["key"] for row in reader.read(_WEIGHTS, {"rows": rows}) if not row["here"]]


def missing_features(reader: DriverReader, keys: Iterable[str]) -> list[str]:
    """Return, in order, the keys of features that the graph does not have."""
    wanted = sorted(set(keys))
    known: set[str] = set()
    for start in range(0, len(wanted), _KEYS):
        part = wanted[start : start + _KEYS]
        known.update(row["key"] for row in reader.read(_FEATURES, {"keys": part}))
    return [key for key in wanted if key not in known]


def refuse_missing(reader: DriverReader, keys: Iterable[str], *, path: Path) -> None:
    """Raise `DatabaseError` where the graph lacks a feature that a folder names."""
    missing = missing_features(reader, keys)
    if missing:
        raise DatabaseError(
            f"{path} names {len(missing)} features that the database does not have, the first"
            f" {missing[0]}.",
            hint=LOAD_FIRST,
        )
