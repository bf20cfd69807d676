"""Stages of a build: each leaves a folder of files with a record, and is not run twice."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from atlas.artifacts import are_whole, known_sha256, write_json, write_table, writing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

RECORD = "record.json"
BATCH = 100_000


@dataclass(frozen=True)
class Stage:
    """A finished stage.

    Attributes
    ----------
    folder
        Where its files lie.
    about
        What it says of itself: counts and figures.
    files
        SHA-256 of each of its files.
    """

    folder: Path
    about: dict[str, Any]
    files: dict[str, str]

    def tables(self, name: str) -> Iterator[pa.Table]:
        """Yield the rows of one of its Parquet files, some at a time; nothing without the file."""
        import pyarrow as pa

        path = self.folder / f"{name}.parquet"
        if path.is_file():
            with pq.ParquetFile(path) as file:
                if file.metadata.num_rows == 0:
                    yield file.schema_arrow.empty_table()
                for batch in file.iter_batches(BATCH):
                    yield pa.Table.from_batches([batch])


def run_stage(folder: Path, name: str, make: Callable[[Path], dict[str, Any]]) -> Stage:
    """Return a stage that is finished, or make it.

    Parameters
    ----------
    folder
        The build's folder; the stage lies in ``parts/NAME`` in it.
    name
        Name of the stage.
    make
        Writes the stage's files into the folder that it is given, and returns what the stage
        says of itself (JSON).
    """
    place = folder / "parts" / name
    record = _finished(place)
    if record is None:
        shutil.rmtree(place, ignore_errors=True)
        partial = place.with_name(place.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        about = json.loads(json.dumps(make(partial)))
        files = {path.name: known_sha256(path) for path in sorted(partial.iterdir())}
        record = {"files": files, "about": about}
        write_json(partial / RECORD, record)
        partial.rename(place)
    return Stage(place, record["about"], record["files"])


def put_together(path: Path, stages: Sequence[Stage]) -> dict[str, Any]:
    """Write the rows of one table of some stages, in order; return the file's record.

    A table of one stage alone is linked, not copied.
    """
    own = [stage for stage in stages if path.name in stage.files]
    if len(own) == 1:
        with writing(path, path.with_name(path.name + ".partial")):
            path.unlink(missing_ok=True)
            try:
                path.hardlink_to(own[0].folder / path.name)
            except OSError:  # a file system without links
                shutil.copyfile(own[0].folder / path.name, path)
        return {"rows": pq.read_metadata(path).num_rows, "sha256": own[0].files[path.name]}
    return write_table(path, chain.from_iterable(stage.tables(path.stem) for stage in own))


def _finished(place: Path) -> dict[str, Any] | None:
    if not (place / RECORD).is_file():
        return None
    kept: dict[str, Any] = json.loads((place / RECORD).read_text())
    return kept if are_whole(place, kept["files"]) else None
