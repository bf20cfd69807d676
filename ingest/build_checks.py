"""Checks the contents of a build's tables: no empty cells, unique keys, known references."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from atlas.errors import ArtifactError
from atlas.schemas import PAIRS, RELATIONS, REQUIRED, file_name, schema
from ingest.build_folder import REBUILD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ingest.build_folder import BuildFolder

# What identifies a row of each table.
KEYS: Mapping[str, tuple[str, ...]] = {
    "features": ("key",),
    "edges": ("source", "target", "kind"),
    "implies": ("source", "target", "absorption"),
    "similar": ("source", "target"),
    "feeds": ("source", "target"),
    "tokens": ("key",),
    "feature_tokens": ("feature", "token", "relation"),
    "documents": ("key",),
    "contexts": ("key",),
    "firings": ("feature", "context"),
}

# Columns that must name a row of another table.
_REFERENCES = (
    *((table, end, "features") for table in PAIRS for end in ("source", "target")),
    ("feature_tokens", "feature", "features"),
    ("feature_tokens", "token", "tokens"),
    ("contexts", "document", "documents"),
    ("firings", "feature", "features"),
    ("firings", "context", "contexts"),
)


def check_contents(build: BuildFolder) -> None:
    """Check the tables of a build whose files and columns are in order.

    Raises
    ------
    ArtifactError
        A table that every build has is empty, a cell that must not be empty is, a key is
        doubled, a row refers to one that is not there, or an edge does not go from a lower to a
        higher index of one SAE.
    """
    for table in REQUIRED:
        if not build.rows(table):
            raise ArtifactError(
                f"{build.path / file_name(table)} has no rows: no graph can be made.",
                hint="Build from more text, or with lower thresholds.",
            )
    for table in build.tables:
        _check_nulls(build, table)
        _check_unique(build, table)
    for table, column, other in _REFERENCES:
        if table in build.tables:
            _check_reference(build, table, column, other=other)
    _check_features(build)
    _check_edges(build)
    if "feature_tokens" in build.tables:
        _refuse_unless_in(build, "feature_tokens", "relation", allowed=RELATIONS)


def _check_nulls(build: BuildFolder, table: str) -> None:
    required = [field.name for field in schema(table) if not field.nullable]
    for name in required:
        nulls = build.column(table, name).column(name).null_count
        if nulls:
            raise ArtifactError(
                f"{build.path / file_name(table)}: the column {name} has {nulls} empty values.",
                hint=REBUILD,
            )


def _check_unique(build: BuildFolder, table: str) -> None:
    columns = KEYS[table]
    keys = build.column(table, *columns)
    counts = keys.group_by(list(columns)).aggregate([([], "count_all")])
    if counts.num_rows == keys.num_rows:
        return
    import pyarrow.compute as pc

    doubled = counts.filter(pc.greater(counts["count_all"], 1)).slice(0, 1).to_pylist()[0]
    doubled.pop("count_all")
    raise ArtifactError(
        f"{build.path / file_name(table)} has the row {doubled} more than once.", hint=REBUILD
    )


def _check_reference(build: BuildFolder, table: str, column: str, *, other: str) -> None:
    import pyarrow.compute as pc

    values = build.column(table, column).column(column)
    known = build.column(other, "key").column("key")
    strangers = values.filter(pc.invert(pc.is_in(values, value_set=known.combine_chunks())))
    if len(strangers):
        raise ArtifactError(
            f"{build.path / file_name(table)}: {len(strangers)} rows name a {column} that"
            f" {file_name(other)} does not have, the first {strangers[0].as_py()!r}.",
            hint=REBUILD,
        )


def _check_features(build: BuildFolder) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    _refuse_unless_in(build, "features", "sae", allowed=[sae["key"] for sae in build.run["saes"]])
    rows = build.column("features", "key", "sae", "index")
    made = pc.binary_join_element_wise(rows["sae"], rows["index"].cast(pa.string()), "/")
    wrong = rows["key"].filter(pc.not_equal(rows["key"], made))
    if len(wrong):
        raise ArtifactError(
            f"{build.path / 'features.parquet'}: the key {wrong[0].as_py()!r} is not"
            " its SAE's key and its index.",
            hint=REBUILD,
        )


def _check_edges(build: BuildFolder) -> None:
    features = build.column("features", "key", "sae", "index").to_pylist()
    place = {row["key"]: (row["sae"], row["index"]) for row in features}
    edges = build.column("edges", "source", "target")
    for source, target in zip(
        edges["source"].to_pylist(), edges["target"].to_pylist(), strict=True
    ):
        (sae, low), (other, high) = place[source], place[target]
        if sae != other or low >= high:
            raise ArtifactError(
                f"{build.path / 'edges.parquet'}: the edge {source} to {target} does not go from"
                " a lower to a higher index of one SAE.",
                hint=REBUILD,
            )


def _refuse_unless_in(build: BuildFolder, table: str, column: str, *, allowed: Any) -> None:
    found = set(build.column(table, column).column(column).unique().to_pylist())
    strange = sorted(found - set(allowed))
    if strange:
        raise ArtifactError(
            f"{build.path / file_name(table)}: the column {column} has {strange[0]!r}; known are"
            f" {', '.join(allowed)}.",
            hint=REBUILD,
        )
