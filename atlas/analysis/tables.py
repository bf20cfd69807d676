"""Results of algorithms as rows of plain values, the most telling first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.analysis.outputs import NodeScores, NodeVectors, Pairs, Partition

if TYPE_CHECKING:
    from atlas.analysis.outputs import AlgorithmResult

Row = dict[str, Any]


def rows(result: AlgorithmResult) -> list[Row]:
    """Return a result as rows.

    Returns
    -------
    list of dict
        One row a feature (``key`` and its scores, group or vector), pair (``source``, ``target``
        and scores) or number (``name``, ``value``). Scores fall from row to row, groups are in
        order, the largest first.
    """
    output = result.output
    if isinstance(output, NodeScores):
        first = next(iter(output.columns.values()), np.zeros(0))
        return _by_node(result, output.columns, np.argsort(-first, kind="stable"))
    if isinstance(output, NodeVectors):
        order = np.arange(len(output.values))
        return _by_node(result, {output.name: output.values}, order)
    if isinstance(output, Partition):
        columns = {output.name: output.groups, "levels": output.levels}
        return _by_node(result, columns, np.argsort(output.groups, kind="stable"))
    if isinstance(output, Pairs):
        return _pairs(result, output)
    return [
        {"name": name, "value": value.tolist() if isinstance(value, np.ndarray) else value}
        for name, value in output.values.items()
    ]


def _by_node(result: AlgorithmResult, columns: Any, order: np.ndarray[Any, Any]) -> list[Row]:
    lists = {name: np.asarray(values)[order].tolist() for name, values in columns.items()}
    keys = [result.keys[place] for place in order.tolist()]
    return [
        {"key": key, **{name: values[place] for name, values in lists.items()}}
        for place, key in enumerate(keys)
    ]


def _pairs(result: AlgorithmResult, output: Pairs) -> list[Row]:
    first = next(iter(output.columns.values()), np.zeros(0))
    lists = {name: values.tolist() for name, values in output.columns.items()}
    return [
        {
            "source": result.keys[output.source[place]],
            "target": result.keys[output.target[place]],
            **{name: values[place] for name, values in lists.items()},
        }
        for place in np.argsort(-first, kind="stable").tolist()
    ]
