"""What a follow-up found, with everything needed to run it again, as one folder.

Every follow-up is a request (plain values, see `Request`) and a function ``run(lab, request)``
that gives `Evidence`. Stored in a folder it needs no database; `ingest.load_evidence` puts it into
the graph, and `queries.followups.replay` runs it again and compares.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from atlas.artifacts import file_sha256, write_json, write_table
from atlas.errors import ArtifactError, UsageError
from queries.followups.evidence_tables import GRAPH_TABLES, INTERVENTIONS, ON

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from queries.followups.interventions import Arm
    from queries.followups.lab import Lab, PromptText

FORMAT = 1
RECORD = "followup.json"
"""Written last: its presence says that the folder is whole."""
_VERSIONS = ("sae-feature-atlas", "torch", "transformers", "sae-lens", "numpy")


class Request(BaseModel):
    """What is asked of a follow-up: plain values, from which it can be run again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: ClassVar[str]
    """Name of the follow-up; first part of its evidence's id."""


@dataclass(frozen=True)
class Evidence:
    """What a follow-up found.

    Attributes
    ----------
    kind
        Name of the follow-up.
    request
        What was asked, as plain values.
    identity
        Model and SAEs, with hashes of their weights.
    prompts
        The prompts, as written.
    tables
        Those of `GRAPH_TABLES` that it has, and others of its own.
    notes
        What a reader should know, one line each.
    versions
        Of the libraries.
    created
        When, in ISO 8601.
    """

    kind: str
    request: Mapping[str, Any]
    identity: Mapping[str, Any]
    prompts: tuple[Mapping[str, Any], ...]
    tables: Mapping[str, pa.Table]
    notes: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(
        default_factory=lambda: {name: version(name) for name in _VERSIONS}, compare=False
    )
    created: str = field(
        default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"), compare=False
    )

    @property
    def id(self) -> str:
        """Kind and a hash of all that the result depends on: run again, it is the same."""
        saes = sorted((s["key"], s["weights_sha256"]) for s in self.identity["saes"])
        model = {key: self.identity["model"][key] for key in ("key", "weights_sha256")}
        depends = {"request": self.request, "model": model, "saes": saes, "prompts": self.prompts}
        text = json.dumps(depends, sort_keys=True, ensure_ascii=False)
        return f"{self.kind}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def evidence(
    lab: Lab,
    request: Request,
    *,
    prompts: Sequence[PromptText],
    tables: Mapping[str, pa.Table],
    notes: Iterable[str] = (),
) -> Evidence:
    """Put together what a follow-up found; raises `UsageError` where a table is not as it must be.

    A table of the graph may have its columns in any order; they are put in that of the schema.
    """
    made: dict[str, pa.Table] = {}
    for name, table in tables.items():
        wanted = GRAPH_TABLES.get(name)
        if wanted is not None and sorted(table.column_names) != sorted(wanted.names):
            raise UsageError(f"The table {name} of {request.kind} has other columns than it must.")
        made[name] = table if wanted is None else table.select(wanted.names).cast(wanted)
    return Evidence(
        request.kind,
        request.model_dump(mode="json"),
        lab.identity(),
        tuple(prompt.model_dump(mode="json") for prompt in prompts),
        made,
        tuple(notes),
    )


def intervention_tables(arms: Sequence[Arm]) -> dict[str, pa.Table]:
    """Return the tables ``interventions`` and ``on`` of some arms, numbered from 1.

    An arm of interventions of different kinds has the kind ``several``; what they differ in is
    left out, and `parameters` has it all.
    """
    rows, on = [], []
    for number, arm in enumerate(arms, start=1):
        shared = {
            name: value.pop() if len(value := {getattr(one, name) for one in arm}) == 1 else None
            for name in ("kind", "mode", "strength", "unit", "positions", "seed")
        }
        rows.append(
            {
                **shared,
                "number": number,
                "kind": shared["kind"] or "several",
                "features": sum(len(one.features) for one in arm),
                "parameters": json.dumps([one.to_dict() for one in arm], sort_keys=True),
            }
        )
        on += [
            {
                "intervention": number,
                "feature": feature.key,
                "strength": one.strength * feature.weight,
            }
            for one in arm
            for feature in one.features
        ]
    return {
        "interventions": pa.Table.from_pylist(rows, schema=INTERVENTIONS),
        "on": pa.Table.from_pylist(on, schema=ON),
    }


def save_evidence(found: Evidence, root: str | Path) -> Path:
    """Write evidence into the folder ``ROOT/ID``: a Parquet file a table, and ``followup.json``.

    Written again, the folder is the same but for the time.
    """
    folder = Path(root).expanduser() / found.id
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECORD).unlink(missing_ok=True)
    files = {
        f"{name}.parquet": write_table(folder / f"{name}.parquet", table)
        for name, table in found.tables.items()
    }
    record = {
        "format": FORMAT,
        "id": found.id,
        "kind": found.kind,
        "created": found.created,
        "request": found.request,
        **found.identity,
        "prompts": list(found.prompts),
        "notes": list(found.notes),
        "versions": dict(found.versions),
        "files": files,
    }
    write_json(folder / RECORD, record)
    return folder


def is_evidence(path: str | Path) -> bool:
    """Whether a folder is one of a follow-up."""
    return (Path(path).expanduser() / RECORD).is_file()


def read_record(path: str | Path) -> dict[str, Any]:
    """Read ``followup.json`` of a folder; raises `ArtifactError` where it is not in order."""
    file = Path(path).expanduser() / RECORD
    try:
        record = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise ArtifactError(
            f"{file.parent} is no finished follow-up: it has no {RECORD}.",
            hint="Run the follow-up again.",
        ) from None
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{file} cannot be read: {error}.", hint="Run it again.") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise ArtifactError(
            f"{file} is of another format than {FORMAT}, which this atlas reads.",
            hint="Run the follow-up again with this version.",
        )
    return record


def open_evidence(path: str | Path) -> Evidence:
    """Read the folder of a follow-up.

    Raises
    ------
    ArtifactError
        A file is missing, truncated or altered, or a table lacks a column.
    """
    import pyarrow.parquet as pq

    folder, record = Path(path).expanduser(), read_record(path)
    tables = {}
    for name, about in record["files"].items():
        file = folder / name
        if not file.is_file() or file_sha256(file) != about["sha256"]:
            raise ArtifactError(
                f"{file} is missing, truncated or altered: its SHA-256 is not that of {RECORD}.",
                hint="Run the follow-up again, or copy the folder again.",
            )
        tables[file.stem] = pq.read_table(file)
    for name, wanted in GRAPH_TABLES.items():
        if name in tables and tables[name].schema.names != wanted.names:
            raise ArtifactError(f"The table {name} of {folder} has other columns than it must.")
    return Evidence(
        record["kind"],
        record["request"],
        {"model": record["model"], "saes": record["saes"]},
        tuple(record["prompts"]),
        tables,
        tuple(record["notes"]),
        versions=record["versions"],
        created=record["created"],
    )
