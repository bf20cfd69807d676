"""Parts of a long study that are kept when they are done, so that a killed one goes on."""

from __future__ import annotations

import hashlib
import json
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from atlas.artifacts import are_whole, write_json, write_table
from atlas.progress import Reporter, SilentReporter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import pyarrow as pa

    from queries.followups.evidence import Request
    from queries.followups.lab import Lab

    Tables = Mapping[str, pa.Table]

_DONE = "stage.json"
"""Written last: its presence says that a stage's tables are whole."""


class Stages:
    """The stages of one study, each a folder of tables.

    Parameters
    ----------
    folder
        Folder of all studies' stages.
    request, lab
        What the study is of; another request, or other weights, has other stages.
    reporter
        Told of each stage that is begun or found done.

    Attributes
    ----------
    path
        Folder of this study's stages, ``KIND-HASH``.
    """

    def __init__(
        self, folder: Path, *, request: Request, lab: Lab, reporter: Reporter | None = None
    ) -> None:
        depends = {"request": request.model_dump(mode="json"), "lab": lab.identity()}
        text = json.dumps(depends, sort_keys=True, ensure_ascii=False)
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        self.path = folder / f"{request.kind}-{digest}"
        self.reporter = reporter or SilentReporter()

    def __call__(self, name: str, make: Callable[[], Tables]) -> dict[str, pa.Table]:
        """Return a stage's tables, made now or by an earlier run.

        Tables that are read back are the same as those that were made: what is kept is what is
        returned, also the first time.

        Parameters
        ----------
        name
            Of the stage; letters, digits and dashes.
        make
            Makes the tables by name; called where they are not here, or not whole.
        """
        folder = self.path / name
        names = _done(folder)
        if names is None:
            self.reporter.note(f"{name}")
            names = _keep(folder, make())
        else:
            self.reporter.note(f"{name}: done before")
        return {table: pq.read_table(folder / f"{table}.parquet") for table in names}


@contextmanager
def stages(
    work: str | Path | None, *, request: Request, lab: Lab, reporter: Reporter | None = None
) -> Iterator[Stages]:
    """Yield the stages of a study, in `work` or, where it is None, in a folder that is removed."""
    if work is not None:
        yield Stages(Path(work), request=request, lab=lab, reporter=reporter)
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Stages(Path(folder), request=request, lab=lab, reporter=reporter)


def _keep(folder: Path, tables: Tables) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _DONE).unlink(missing_ok=True)
    sums: dict[str, Any] = {}
    for name, table in tables.items():
        sums[f"{name}.parquet"] = write_table(folder / f"{name}.parquet", table)["sha256"]
    write_json(folder / _DONE, {"tables": list(tables), "sha256": sums})
    return list(tables)


def _done(folder: Path) -> list[str] | None:
    """Names of a finished stage's tables; None where it is not finished, or a file is damaged."""
    try:
        record = json.loads((folder / _DONE).read_text("utf-8"))
        names, sums = list(map(str, record["tables"])), dict(record["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return names if are_whole(folder, sums) else None
