"""Data of PyTorch Geometric, and a file of its tensors.

The file is a dict for `torch.save` that ``torch.load(..., weights_only=True)`` opens: tensors,
and the features' keys as strings. No class is pickled.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.errors import ArtifactError, UsageError
from atlas.formats.arrays import ends
from atlas.formats.files import Written, check_free, replacing
from atlas.formats.relations import RELATIONS
from atlas.formats.tables import EDGE_ENDS, RELATION

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from atlas.formats.tables import GraphTables

NODE = "feature"
_KIND = "kind"
_FORMAT = 1


def pyg_data(
    graph: GraphTables, x: str | Sequence[str] | None = None, *, homogeneous: bool = False
) -> Any:
    """Return a graph as data of PyTorch Geometric.

    Parameters
    ----------
    graph
        The graph.
    x
        Node properties that become ``x``: names of numbers, one a column, or the name of one
        list, such as a decoder vector. A missing number is 0 and False in ``x_known``.
    homogeneous
        Return `Data` with all edges alike, instead of `HeteroData` with an edge type for each
        relation and kind, such as ``("feature", "co_occurs_token", "feature")``.

    Returns
    -------
    torch_geometric.data.HeteroData or Data
        Of the nodes ``key`` (list of str), ``x`` float32 ``[nodes, d]`` and ``x_known`` bool of
        that shape; of the edges ``edge_index`` int64 ``[2, edges]`` and ``edge_attr`` float32
        ``[edges, properties]``, whose columns ``edge_attr_names`` lists; NaN is missing. Edges
        without direction are listed both ways.

    Raises
    ------
    UsageError
        PyTorch Geometric is not installed, or `x` names no numbers.
    """
    return _data(_tensors(graph, x), homogeneous=homogeneous)


def write_pyg(
    graph: GraphTables,
    path: str | Path,
    *,
    x: str | Sequence[str] | None = None,
    force: bool = False,
) -> Written:
    """Write a graph's tensors to a file; see `read_pyg`.

    Raises
    ------
    UsageError
        PyTorch is not installed, `x` names no numbers, or `path` exists and `force` is not given.
    ArtifactError
        It cannot be written.
    """
    import io

    began, path = time.monotonic(), Path(path)
    check_free(path, force=force)
    torch, buffer = _torch(), io.BytesIO()
    torch.save(_tensors(graph, x), buffer)
    with replacing(path) as handle:
        handle.write(buffer.getbuffer())
    rows = graph.nodes.num_rows, graph.edges.num_rows
    return Written(str(path), "pyg", *rows, path.stat().st_size, time.monotonic() - began)


def read_pyg(path: str | Path, *, homogeneous: bool = False) -> Any:
    """Read a file of `write_pyg`; see `pyg_data` for what is returned.

    Raises
    ------
    ArtifactError
        The file is missing or of another kind.
    """
    from pickle import UnpicklingError

    torch = _torch()
    try:
        tensors = torch.load(Path(path), weights_only=True)
        known = isinstance(tensors, dict) and tensors.get("format") == _FORMAT
    except (OSError, RuntimeError, UnpicklingError, EOFError) as error:
        raise ArtifactError(f"{path} cannot be read: {error}.", hint="Export it again.") from error
    if not known:
        raise ArtifactError(
            f"{path} is no graph of the atlas.", hint="Export it with `atlas export`."
        )
    return _data(tensors, homogeneous=homogeneous)


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        raise UsageError(
            "PyTorch is not installed.",
            hint="Install it with pip install 'sae-feature-atlas[pyg]'.",
        ) from None
    return torch


def _tensors(graph: GraphTables, x: str | Sequence[str] | None) -> dict[str, Any]:
    torch = _torch()
    tensors: dict[str, Any] = {"format": _FORMAT, "key": graph.keys(), "x_names": [], "edges": {}}
    if x is not None:
        matrix, names = _node_matrix(graph.nodes, x)
        tensors["x_known"] = torch.from_numpy(np.isfinite(matrix))
        tensors["x"] = torch.from_numpy(np.nan_to_num(matrix, posinf=0.0, neginf=0.0))
        tensors["x_names"] = names
    source, target = ends(graph)
    names = _numeric(graph.edges)
    values = _columns(graph.edges, names)
    labels = _edge_types(graph.edges)
    for relation, kind in sorted(set(labels)):
        rows = np.flatnonzero([label == (relation, kind) for label in labels])
        index, chosen = np.stack([source[rows], target[rows]]), values[rows]
        if not _directed(relation, graph):
            index = np.concatenate([index, index[::-1]], axis=1)
            chosen = np.concatenate([chosen, chosen])
        known = [bool(np.isfinite(column).any()) for column in chosen.T]
        tensors["edges"]["_".join(part for part in (relation.lower(), kind) if part)] = {
            "edge_index": torch.from_numpy(np.ascontiguousarray(index)),
            "edge_attr": torch.from_numpy(
                np.ascontiguousarray(chosen[:, np.array(known, dtype=bool)])
            ),
            "names": [name for name, has in zip(names, known, strict=True) if has],
        }
    return tensors


def _directed(relation: str, graph: GraphTables) -> bool:
    known = RELATIONS.get(relation)
    return known.directed if known else graph.info.directed


def _edge_types(edges: pa.Table) -> list[tuple[str, str]]:
    kinds = edges[_KIND].to_pylist() if _KIND in edges.column_names else [None] * edges.num_rows
    relations = edges[RELATION].to_pylist()
    return [(relation, kind or "") for relation, kind in zip(relations, kinds, strict=True)]


def _numeric(table: pa.Table) -> list[str]:
    import pyarrow as pa

    return [
        field.name
        for field in table.schema
        if field.name not in EDGE_ENDS
        and (
            pa.types.is_integer(field.type)
            or pa.types.is_floating(field.type)
            or pa.types.is_boolean(field.type)
        )
    ]


def _columns(table: pa.Table, names: Sequence[str]) -> NDArray[np.float32]:
    """Return columns as a float32 matrix ``[rows, columns]``; a null is NaN."""
    import pyarrow as pa
    import pyarrow.compute as pc

    made = np.empty((table.num_rows, len(names)), np.float32)
    for place, name in enumerate(names):
        column = table[name]
        column = pc.cast(column, pa.int8()) if pa.types.is_boolean(column.type) else column
        made[:, place] = pc.cast(column, pa.float64(), safe=False).to_numpy()
    return made


def _node_matrix(nodes: pa.Table, x: str | Sequence[str]) -> tuple[NDArray[np.float32], list[str]]:
    import pyarrow as pa

    names = [x] if isinstance(x, str) else list(x)
    missing = [name for name in names if name not in nodes.column_names]
    if missing:
        raise UsageError(
            f"The features have no property {missing[0]!r}.",
            hint=f"They have: {', '.join(_numeric(nodes))}.",
        )
    if len(names) == 1 and pa.types.is_list(nodes.schema.field(names[0]).type):
        return _vectors(nodes[names[0]].to_pylist(), names[0]), names
    wrong = sorted(set(names) - set(_numeric(nodes)))
    if wrong:
        raise UsageError(
            f"The property {wrong[0]!r} is no number.", hint="Name numbers or one list."
        )
    return _columns(nodes, names), names


def _vectors(rows: list[list[Any] | None], name: str) -> NDArray[np.float32]:
    sizes = {len(row) for row in rows if row is not None}
    if len(sizes) != 1 or not all(isinstance(v, int | float) for row in rows if row for v in row):
        raise UsageError(
            f"The property {name!r} holds no vectors of one length.",
            hint="Name a list of numbers that is as long for every feature, or export one SAE.",
        )
    size = sizes.pop()
    made = np.full((len(rows), size), np.nan, np.float32)
    for place, row in enumerate(rows):
        if row is not None:
            made[place] = row
    return made


def _data(tensors: dict[str, Any], *, homogeneous: bool) -> Any:
    try:
        from torch_geometric.data import Data, HeteroData
    except ImportError:
        raise UsageError(
            "PyTorch Geometric is not installed.",
            hint="Install it with pip install 'sae-feature-atlas[pyg]'.",
        ) from None
    made = Data() if homogeneous else HeteroData()
    node = made if homogeneous else made[NODE]
    node.key = tensors["key"]
    node.num_nodes = len(tensors["key"])
    for name in ("x", "x_known"):
        if name in tensors:
            node[name] = tensors[name]
    node.x_names = tensors["x_names"]
    if homogeneous:
        _all_alike(made, tensors["edges"])
    else:
        for name, edges in tensors["edges"].items():
            store = made[NODE, name, NODE]
            store.edge_index, store.edge_attr = edges["edge_index"], edges["edge_attr"]
            store.edge_attr_names = edges["names"]
    return made


def _all_alike(made: Any, edges: dict[str, Any]) -> None:
    """Join the edges of all types, with the properties that all of them have."""
    torch = _torch()
    parts = list(edges.values())
    names = [n for n in (parts[0]["names"] if parts else []) if all(n in p["names"] for p in parts)]
    empty = torch.empty((2, 0), dtype=torch.int64)
    made.edge_index = torch.cat([empty, *(part["edge_index"] for part in parts)], dim=1)
    made.edge_attr = torch.cat(
        [
            torch.empty((0, len(names))),
            *(part["edge_attr"][:, [part["names"].index(n) for n in names]] for part in parts),
        ]
    )
    made.edge_attr_names = names
    sizes = torch.tensor([part["edge_index"].shape[1] for part in parts], dtype=torch.int64)
    made.edge_type = torch.repeat_interleave(torch.arange(len(parts)), sizes)
    made.edge_type_names = list(edges)
