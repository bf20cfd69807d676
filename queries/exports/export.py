"""Exports of a run's graph: to files, and into memory for other libraries."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from atlas.errors import UsageError
from atlas.formats.files import FORMATS as GRAPH_FORMATS
from atlas.formats.files import Written, check_free, replacing, write_graph
from atlas.formats.neuronpedia import NeuronpediaFeature, write_explanations, write_quick_list
from queries.exports.selection import Selection
from queries.exports.source import open_graph

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from atlas.formats.tables import GraphTables
    from atlas.graph.reader import Reader
    from atlas.progress import Reporter

FORMATS: Mapping[str, str] = MappingProxyType(
    {
        **GRAPH_FORMATS,
        "pyg": "a file of tensors for PyTorch Geometric",
        "neuronpedia": "a quick list (.json), or labels as explanations (.jsonl, .jsonl.gz)",
    }
)
"""Formats of `export` and what each makes."""

_NEURONPEDIA = "MATCH (s:Sae) RETURN s.key AS key, s.neuronpedia_id AS id ORDER BY key"


def graph(reader: Reader, *, reporter: Reporter | None = None, **selection: Any) -> GraphTables:
    """Return a run's graph, or part of it, in memory.

    Parameters
    ----------
    reader
        The database.
    reporter
        Is told of the progress in features.
    **selection
        Attributes of `Selection`.

    Returns
    -------
    GraphTables
        Nodes and edges as Arrow tables, with methods that make data frames and graphs of networkx,
        igraph and PyTorch Geometric.

    Raises
    ------
    NotFoundError
        The run, a feature or a community is not there.
    UsageError
        The selection does not fit the run.
    DatabaseError
        The database fails.
    """
    return open_graph(reader, _selection(selection), reporter=reporter).read()


def export(
    reader: Reader,
    path: str | Path,
    *,
    file_format: str,
    force: bool = False,
    x: str | Sequence[str] | None = None,
    neuronpedia: Mapping[str, str] | None = None,
    reporter: Reporter | None = None,
    **selection: Any,
) -> Written:
    """Write a run's graph, or part of it, to a file or folder.

    All formats but pyg are written in batches: memory does not grow with the number of edges.

    Parameters
    ----------
    reader
        The database.
    path
        File, or folder for Parquet and CSV. Written beside its place and moved at the end.
    file_format
        One of `FORMATS`.
    force
        Replace what is there.
    x
        For pyg: the features' properties that become ``x``.
    neuronpedia
        For neuronpedia: SAE's key -> ``MODEL/SOURCE``, for SAEs that do not know theirs.
    reporter
        Is told of the progress in features.
    **selection
        Attributes of `Selection`.

    Raises
    ------
    NotFoundError
        The run, a feature or a community is not there.
    UsageError
        `path` exists and `force` is not given, or an argument does not fit.
    ArtifactError
        The file cannot be written.
    DatabaseError
        The database fails.
    """
    path = Path(path)
    if file_format not in FORMATS:
        raise UsageError(
            f"There is no format {file_format!r}.", hint=f"One of {', '.join(FORMATS)}."
        )
    if x is not None and file_format != "pyg":
        raise UsageError("x is for the format pyg.", hint="Leave it out.")
    check_free(path, force=force)
    chosen = _selection(selection)
    if file_format == "neuronpedia":
        return _export_neuronpedia(reader, path, chosen, ids=neuronpedia or {})
    stream = open_graph(reader, chosen, reporter=reporter)
    if file_format == "pyg":
        from atlas.formats.pyg import write_pyg

        return write_pyg(stream.read(), path, x=x, force=force)
    return write_graph(stream, path, file_format=file_format, force=force)


def _selection(values: Mapping[str, Any]) -> Selection:
    unknown = sorted(set(values) - set(Selection.__dataclass_fields__))
    if unknown:
        raise UsageError(
            f"There is no option {unknown[0]!r} of an export.",
            hint=f"There are: {', '.join(Selection.__dataclass_fields__)}.",
        )
    return Selection(**values)


def _export_neuronpedia(
    reader: Reader, path: Path, selection: Selection, *, ids: Mapping[str, str]
) -> Written:
    began = time.monotonic()
    plain = Path(path.stem) if path.suffix == ".gz" else path
    if plain.suffix not in (".json", ".jsonl"):
        raise UsageError(
            f"{path.name} does not say what to write for Neuronpedia.",
            hint="End it in .json for a quick list, in .jsonl or .jsonl.gz for explanations.",
        )
    features = _neuronpedia_features(reader, selection, ids)
    with replacing(path) as handle:
        if plain.suffix == ".json":
            nodes = write_quick_list(handle, features, name=plain.stem)
        else:
            nodes = write_explanations(handle, features)
    seconds = time.monotonic() - began
    return Written(str(path), "neuronpedia", nodes, 0, path.stat().st_size, seconds)


def _neuronpedia_features(
    reader: Reader, selection: Selection, ids: Mapping[str, str]
) -> Iterator[NeuronpediaFeature]:
    stored = {row["key"]: row["id"] for row in reader.read(_NEURONPEDIA)}
    unknown = sorted(set(ids) - set(stored))
    if unknown:
        raise UsageError(
            f"There is no SAE {unknown[0]!r}.", hint=f"There are: {', '.join(stored)}."
        )
    places = {**{key: name for key, name in stored.items() if name}, **ids}
    for batch in open_graph(reader, replace(selection, node_properties=None)).node_batches():
        for row in batch.to_pylist():
            model, _, source = places.get(row["sae"], "").partition("/")
            if not source:
                raise UsageError(
                    f"The SAE {row['sae']} has no Neuronpedia id.",
                    hint="Give it with --neuronpedia SAE=MODEL/SOURCE.",
                )
            yield NeuronpediaFeature(
                model, source, row["index"], row.get("label"), row.get("label_source")
            )
