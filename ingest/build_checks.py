"""Checks the contents of a build's tables: no empty cells, unique keys, known references.

Tables are read in pieces, and keys are replaced by their places in the table that they name, so
that ten million edges need little memory.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.errors import ArtifactError
from atlas.schemas import RELATIONS, REQUIRED, file_name, schema
from ingest.build_folder import REBUILD
from ingest.graph_map import NodeTable, elements_of, table_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from ingest.build_folder import BuildFolder

_PIECE = 100_000


def check_contents(build: BuildFolder) -> None:
    """Check the tables of a build whose files and columns are in order.

    Raises
    ------
    ArtifactError
        A table that every build has is empty, a cell that must not be empty is, a number that
        must be finite is not, a key is doubled, a row refers to one that is not there, or an edge
        does not go from a lower to a higher index of one SAE.
    """
    for table in REQUIRED:
        if not build.rows(table):
            raise ArtifactError(
                f"{build.path / file_name(table)} has no rows: no graph can be made.",
                hint="Build from more text, or with lower thresholds.",
            )
    saes = [sae["key"] for sae in build.run["saes"]]
    _refuse_unless_in(build, "features", "sae", allowed=saes)
    if "feature_tokens" in build.tables:
        _refuse_unless_in(build, "feature_tokens", "relation", allowed=RELATIONS)
    _check_features(build)
    known = _Known(build)
    for table in build.tables:
        _Table(build, table, known).check()


class _Known:
    """The keys of a build's nodes."""

    def __init__(self, build: BuildFolder) -> None:
        self.build = build
        self.keys: dict[str, pa.Array] = {}

    def places(self, label: str, values: pa.Array) -> pa.Array:
        """Return the place of each key in the table of its nodes; null where it is not there."""
        import pyarrow.compute as pc

        return pc.index_in(values, value_set=self.of(label))

    def of(self, label: str) -> pa.Array:
        """Return the keys of the build's nodes of a label."""
        import pyarrow as pa

        if label not in self.keys:
            table = table_of(label)
            if table is None:
                values = pa.array([sae["key"] for sae in self.build.run["saes"]], pa.string())
            elif table in self.build.tables:
                values = self.build.column(table, "key").column("key").combine_chunks()
            else:
                values = pa.array([], pa.string())
            self.keys[label] = values
        return self.keys[label]

    @cached_property
    def sae_and_index(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The SAE (its place) and the index of each feature."""
        rows = self.build.column("features", "sae", "index")
        saes = self.places("Sae", rows["sae"].combine_chunks())
        return saes.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64), rows[
            "index"
        ].to_numpy().astype(np.int64)


class _Table:
    """Checks one table, a piece after the other."""

    def __init__(self, build: BuildFolder, table: str, known: _Known) -> None:
        self.build, self.table, self.known = build, table, known
        self.path = build.path / file_name(table)
        self.elements = elements_of(table)
        first = self.elements[0]
        self.ends = {end.column: end.label for end in first.ends}
        self.identity = first.identity
        self.values: dict[str, dict[Any, int]] = {}
        self.codes: list[NDArray[np.int64]] = []

    def check(self) -> None:
        for rows in self.build.pieces(self.table, _PIECE):
            self._check_cells(rows)
            places = {column: self._places(rows, column) for column in self.ends}
            if self.table == "edges":
                self._check_order(rows, places)
            if not isinstance(self.elements[0], NodeTable):
                self.codes.append(self._codes(rows, places))
        self._check_unique()

    def _check_cells(self, rows: pa.Table) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        for field in schema(self.table):
            column = rows[field.name]
            if pa.types.is_list(field.type):
                self._check_lists(field.name, pc.list_flatten(column))
            if field.nullable:
                continue
            if column.null_count:
                raise self._error(f"the column {field.name} has {column.null_count} empty values")
            if pa.types.is_floating(field.type):
                wrong = len(column) - (pc.sum(pc.is_finite(column)).as_py() or 0)
                if wrong:
                    raise self._error(
                        f"the column {field.name} has {wrong} values that are not finite"
                    )

    def _check_lists(self, name: str, values: pa.ChunkedArray) -> None:
        """Refuse lists with values that no property can hold."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if values.null_count:
            raise self._error(f"lists of the column {name} have {values.null_count} empty values")
        if pa.types.is_floating(values.type):
            wrong = len(values) - (pc.sum(pc.is_finite(values)).as_py() or 0)
            if wrong:
                raise self._error(
                    f"lists of the column {name} have {wrong} values that are not finite"
                )

    def _places(self, rows: pa.Table, column: str) -> NDArray[np.int64]:
        import pyarrow.compute as pc

        label = self.ends[column]
        found = self.known.places(label, rows[column].combine_chunks())
        if found.null_count:
            strangers = rows[column].filter(pc.is_null(found))
            table = table_of(label)
            raise self._error(
                f"{len(strangers)} rows name a {column} that "
                f"{file_name(table) if table else 'run.json'} does not have, the first "
                f"{strangers[0].as_py()!r}"
            )
        places: NDArray[np.int64] = found.to_numpy(zero_copy_only=False).astype(np.int64)
        return places

    def _check_order(self, rows: pa.Table, places: Mapping[str, NDArray[np.int64]]) -> None:
        saes, index = self.known.sae_and_index
        source, target = places["source"], places["target"]
        wrong = (saes[source] != saes[target]) | (index[source] >= index[target])
        if wrong.any():
            row = int(np.argmax(wrong))
            raise self._error(
                f"the edge {rows['source'][row].as_py()} to {rows['target'][row].as_py()} does not"
                " go from a lower to a higher index of one SAE"
            )

    def _codes(self, rows: pa.Table, places: Mapping[str, NDArray[np.int64]]) -> NDArray[np.int64]:
        """Return a number for each row that is its identity."""
        codes = np.zeros(rows.num_rows, np.int64)
        for column in self.identity:
            if column in places:
                part, size = places[column], len(self.known.of(self.ends[column]))
            else:
                part, size = self._values(rows, column), 64
            codes = codes * size + part
        return codes

    def _values(self, rows: pa.Table, column: str) -> NDArray[np.int64]:
        """Return a number for each value of a column of few values, such as the kind."""
        known = self.values.setdefault(column, {})
        encoded = rows[column].combine_chunks().dictionary_encode()
        names = [known.setdefault(value, len(known)) for value in encoded.dictionary.to_pylist()]
        if len(known) > 64:
            raise self._error(f"the column {column} has more than 64 different values")
        numbers: NDArray[np.int64] = np.asarray(names, np.int64)[
            encoded.indices.to_numpy(zero_copy_only=False)
        ]
        return numbers

    def _check_unique(self) -> None:
        if not isinstance(self.elements[0], NodeTable):
            repeated = _first_repeated(self.codes)
        else:
            keys = self.build.column(self.table, "key")["key"].combine_chunks().dictionary_encode()
            repeated = _first_repeated([keys.indices.to_numpy(zero_copy_only=False)])
        if repeated is None:
            return
        row = next(
            rows.slice(repeated - start, 1).select(list(self.identity)).to_pylist()[0]
            for start, rows in _starts(self.build.pieces(self.table, _PIECE))
            if start <= repeated < start + rows.num_rows
        )
        raise ArtifactError(f"{self.path} has the row {row} more than once.", hint=REBUILD)

    def _error(self, what: str) -> ArtifactError:
        return ArtifactError(f"{self.path}: {what}.", hint=REBUILD)


def _first_repeated(parts: Sequence[NDArray[np.int64]]) -> int | None:
    """Return the place of a value that was there before, or None."""
    if not parts:
        return None
    codes = np.concatenate(parts)
    ordered = np.sort(codes)
    same = ordered[1:] == ordered[:-1]
    if not same.any():
        return None
    return int(np.flatnonzero(codes == ordered[1:][same][0])[1])


def _starts(pieces: Any) -> Any:
    start = 0
    for rows in pieces:
        yield start, rows
        start += rows.num_rows


def _check_features(build: BuildFolder) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = build.column("features", "key", "sae", "index")
    made = pc.binary_join_element_wise(rows["sae"], rows["index"].cast(pa.string()), "/")
    wrong = rows["key"].filter(pc.not_equal(rows["key"], made))
    if len(wrong):
        raise ArtifactError(
            f"{build.path / 'features.parquet'}: the key {wrong[0].as_py()!r} is not"
            " its SAE's key and its index.",
            hint=REBUILD,
        )


def _refuse_unless_in(build: BuildFolder, table: str, column: str, *, allowed: Any) -> None:
    found = set(build.column(table, column).column(column).unique().to_pylist())
    strange = sorted(str(value) for value in found - set(allowed))
    if strange:
        raise ArtifactError(
            f"{build.path / file_name(table)}: the column {column} has {strange[0]!r}; known are"
            f" {', '.join(allowed)}.",
            hint=REBUILD,
        )
