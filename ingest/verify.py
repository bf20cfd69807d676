"""Holds the database against the files of a build, and compares graphs with each other."""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from atlas.errors import DatabaseError
from atlas.graph.reader import DriverReader, Reader, plain
from atlas.graph.sessions import open_session
from atlas.progress import Reporter, SilentReporter
from ingest.build_folder import without_nan
from ingest.compare import changed_rows
from ingest.graph_map import EdgeTable, Element, PropertyTable, elements_of, load_order
from ingest.graph_rows import graph_rows
from ingest.row_queries import is_number, stored_fields, sums
from ingest.schema_checks import schema_problems

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import neo4j
    import pyarrow as pa

    from ingest.build_folder import BuildFolder


class MismatchError(DatabaseError):
    """The database does not hold what a build does."""


SAMPLE = 100
"""Rows of an element whose properties are compared one by one after a load."""

_PIECE = 20_000
# Sums of the same doubles in another order differ by less than this, against the sum of sizes.
_TOLERANCE = 1e-9

# Times differ between two loads of the same build and say nothing about the graph.
_TIMES = frozenset({"applied", "created", "loaded", "milliseconds"})
_IDENTITY = ("key", "name")


@dataclass
class Totals:
    """What is counted and summed of an element, in files or in the database.

    Attributes
    ----------
    rows
        Number of rows.
    values
        Property to the number of rows that have it.
    sums
        Property to the sum of its numbers.
    sizes
        Property to the sum of their absolute values.
    """

    rows: int = 0
    values: Counter[str] = field(default_factory=Counter)
    sums: dict[str, float] = field(default_factory=dict)
    sizes: dict[str, float] = field(default_factory=dict)


def verify_load(
    driver: neo4j.Driver,
    database: str | None,
    build: BuildFolder,
    *,
    reporter: Reporter | None = None,
) -> None:
    """Raise unless the database holds what a build does.

    Looked at are the constraints and indexes (waiting until they are online), the number of rows
    of each table, how many rows have each property, the sums of all numbers, and all properties
    of `SAMPLE` rows of each kind, which depend on the build alone.

    Raises
    ------
    MismatchError
        Something differs; the message says what.
    """
    told = reporter or SilentReporter()
    problems = schema_problems(driver, database)
    with told.step("verifying", len(build.tables)) as advance:
        if not problems:
            problems = _load_problems(driver, database, build, advance)
    if problems:
        more = f" {len(problems) - 1} more differences." if len(problems) > 1 else ""
        raise MismatchError(
            f"After loading {build.run_id} {problems[0]}.{more}",
            hint=f"Run `atlas verify {build.run_id} --repair`.",
        )


def _load_problems(
    driver: neo4j.Driver,
    database: str | None,
    build: BuildFolder,
    advance: Callable[[float], None],
) -> list[str]:
    reader = DriverReader(driver, database)
    problems: list[str] = []
    for number, table in enumerate(load_order(build.tables), start=1):
        wanted, samples = read_totals(build, table, sample=SAMPLE)
        found = {e: stored_totals(reader, build, e) for e in elements_of(table)}
        rows = sum(one.rows for one in found.values())
        if rows != build.rows(table):
            problems.append(f"the database has {rows} of the {build.rows(table)} rows of {table}")
        else:
            for element, totals in found.items():
                problems += differences(element, wanted[element], totals)
        for element, some in samples.items():
            if changed_rows(reader, element, some, run=build.run_id):
                problems.append(f"rows of {table} have other values than in the files")
                break
        advance(number)
    return problems


def read_totals(
    build: BuildFolder, table: str, *, sample: int = 0
) -> tuple[dict[Element, Totals], dict[Element, pa.Table]]:
    """Count and sum the rows of a table for each of its elements, and draw some rows."""
    import pyarrow as pa

    elements = elements_of(table)
    totals = {element: Totals() for element in elements}
    drawn: dict[Element, list[pa.Table]] = {element: [] for element in elements}
    rows, start = build.rows(table), 0
    draws = random.Random(f"{build.digest} {table}")  # noqa: S311
    chosen = sorted(draws.sample(range(rows), min(sample * len(elements), rows)))
    for piece in build.pieces(table, _PIECE):
        finite = without_nan(piece)
        inside = [p - start for p in chosen if start <= p < start + piece.num_rows]
        for element in elements:
            _add(totals[element], element, graph_rows(element, finite, run=build.run_id))
            if inside:
                some = graph_rows(element, finite.take(inside), run=build.run_id)
                drawn[element].append(some)
        start += piece.num_rows
    samples = {element: pa.concat_tables(parts) for element, parts in drawn.items() if parts}
    return totals, samples


def _add(totals: Totals, element: Element, rows: pa.Table) -> None:
    import pyarrow.compute as pc

    totals.rows += rows.num_rows
    for column in stored_fields(element):
        values = rows[column.name]
        totals.values[column.name] += len(values) - values.null_count
        if is_number(column):
            for sums_, part in (
                (totals.sums, pc.sum(values)),
                (totals.sizes, pc.sum(pc.abs(values))),
            ):
                sums_[column.name] = sums_.get(column.name, 0) + (part.as_py() or 0)


def stored_totals(reader: Reader, build: BuildFolder, element: Element) -> Totals:
    """Count and sum what the database has of an element."""
    total, text = Totals(), sums(element)
    fields = stored_fields(element)
    for parameters in _portions(build, element):
        row = reader.read(text, {"run": build.run_id, **parameters})[0]
        total.rows += row["rows"]
        for place, column in enumerate(fields):
            total.values[column.name] += row[f"c{place}"]
            if is_number(column):
                total.sums[column.name] = total.sums.get(column.name, 0) + row[f"s{place}"]
    return total


def _portions(build: BuildFolder, element: Element) -> Iterator[dict[str, list[str]]]:
    """Yield the parameters of `ingest.row_queries.sums`: nodes are looked up by their keys."""
    if isinstance(element, EdgeTable):
        yield {}
        return
    column = element.identity[0]
    keys = build.column(element.table, column)[column].to_pylist()
    for start in range(0, len(keys), _PIECE):
        yield {"keys": keys[start : start + _PIECE]}


def differences(element: Element, wanted: Totals, found: Totals) -> list[str]:
    """Return how the totals of the database differ from those of the files, a line each."""
    name = element.type if isinstance(element, EdgeTable) else element.table
    keep = element.keep if isinstance(element, PropertyTable) else ()
    lines = []
    for prop, count in wanted.values.items():
        if prop in keep and found.values[prop] > count:
            continue  # another run's, which a null left as they were
        if found.values[prop] != count:
            lines.append(f"{found.values[prop]} instead of {count} rows of {name} have {prop}")
        elif prop in wanted.sums and not math.isclose(
            found.sums[prop],
            wanted.sums[prop],
            rel_tol=0.0,
            abs_tol=_TOLERANCE * wanted.sizes[prop],
        ):
            lines.append(
                f"the sum of {prop} over {name} is {found.sums[prop]!r} instead of"
                f" {wanted.sums[prop]!r}"
            )
    return lines


def graph_checksum(driver: neo4j.Driver, database: str | None = None) -> str:
    """Return a digest of all nodes, relationships and properties of a database.

    Two databases with the same graph have the same digest, whatever the order in which it was
    made: entities are named by their `key` (or `name`), never by internal ids. Times (when
    something was created, loaded or applied, how long it took) are left out.

    Returns
    -------
    str
        SHA-256, hexadecimal.
    """
    total = 0
    for line in _lines(driver, database):
        total += int.from_bytes(hashlib.sha256(line.encode()).digest(), "big")
    return hashlib.sha256(str(total).encode()).hexdigest()


def _lines(driver: neo4j.Driver, database: str | None) -> Iterator[str]:
    with open_session(driver, database) as session:
        nodes = session.run("MATCH (n) RETURN labels(n) AS labels, properties(n) AS properties")
        for row in nodes:
            yield _line("node", sorted(row["labels"]), row["properties"])
        relationships = session.run(
            "MATCH (a)-[r]->(b) RETURN type(r) AS type, properties(r) AS properties,"
            " labels(a) AS source_labels, labels(b) AS target_labels,"
            " a {.key, .name} AS source, b {.key, .name} AS target"
        )
        for row in relationships:
            ends = [
                *sorted(row["source_labels"]),
                _identity(row["source"]),
                *sorted(row["target_labels"]),
                _identity(row["target"]),
            ]
            yield _line(row["type"], ends, row["properties"])


def _line(kind: str, ends: list[str], properties: Mapping[str, Any]) -> str:
    kept = {name: plain(value) for name, value in properties.items() if name not in _TIMES}
    return json.dumps([kind, ends, kept], sort_keys=True, ensure_ascii=False)


def _identity(values: Mapping[str, Any]) -> str:
    return str(next((values[name] for name in _IDENTITY if values.get(name) is not None), ""))
