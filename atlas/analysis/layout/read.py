"""Reads decoder vectors: from the graph, or from an SAE's weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from atlas.analysis.firing import fires
from atlas.errors import ArtifactError, NotFoundError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from atlas.graph.reader import Reader, Row

_FEATURES = f"""
MATCH (f:Feature)-[:FROM_RUN]->(:Run {{key: $run}})
WHERE {fires("f")}
MATCH (f)-[:IN]->(s:Sae)
RETURN f.key AS key, s.key AS sae, f.index AS index ORDER BY sae, index
"""
_VECTORS = """
UNWIND $keys AS key
MATCH (f:Feature {key: key}) WHERE f.decoder IS NOT NULL
RETURN f.key AS key, f.decoder AS decoder
"""
# A page of vectors is made an array before the next is read: as Python numbers they are 8 times
# as large.
_PAGE = 512


def stored_vectors(reader: Reader, run: str) -> tuple[list[str], NDArray[np.float32]]:
    """Return the decoder vectors that the graph holds (``Feature.decoder``).

    Parameters
    ----------
    reader
        Reads the graph.
    run
        Key of a loaded run.

    Returns
    -------
    keys
        Features that fire and have a vector, in ascending order of (SAE, index).
    vectors
        float32 ``[features, d_model]``.

    Raises
    ------
    NotFoundError
        The run has no features that fire.
    UsageError
        None of them has a vector, or they are of several lengths.
    """
    wanted = [row["key"] for row in _features(reader, run)]
    keys: list[str] = []
    parts: list[NDArray[np.float32]] = []
    for start in range(0, len(wanted), _PAGE):
        page = {"keys": wanted[start : start + _PAGE]}
        rows = reader.read(_VECTORS, page, what=f"reading decoder vectors of {run}")
        keys += [row["key"] for row in rows]
        parts += [np.array(row["decoder"], np.float32) for row in rows]
    if not parts:
        raise UsageError(
            f"The graph holds no decoder vectors of the run {run}.",
            hint="Give the SAE's weights, or choose a layout of the graph.",
        )
    if len({len(part) for part in parts}) > 1:
        raise UsageError(f"The decoder vectors of the run {run} are of several lengths.")
    order = {key: place for place, key in enumerate(wanted)}
    sorting = sorted(range(len(keys)), key=lambda place: order[keys[place]])
    return [keys[place] for place in sorting], np.stack([parts[place] for place in sorting])


def vectors_of_weights(
    reader: Reader, run: str, *, weights: str | Path
) -> tuple[list[str], NDArray[np.float32]]:
    """Return the decoder vectors of a run's features from the weights of its SAE.

    Parameters
    ----------
    reader
        Reads the graph.
    run
        Key of a loaded run, of one SAE.
    weights
        See `decoder_of_weights`.

    Returns
    -------
    keys, vectors
        As of `stored_vectors`.

    Raises
    ------
    NotFoundError
        The run has no features that fire.
    UsageError
        The run has several SAEs, or the weights are of another number of latents.
    ArtifactError
        The file cannot be read.
    """
    rows = _features(reader, run)
    saes = {row["sae"] for row in rows}
    if len(saes) > 1:
        raise UsageError(
            f"The run {run} has {len(saes)} SAEs, and the weights are of one.",
            hint="Leave the weights out: the graph's own decoder vectors are taken then.",
        )
    decoder = decoder_of_weights(weights)
    index = np.array([row["index"] for row in rows])
    if index.max() >= len(decoder):
        raise UsageError(
            f"{weights} has {len(decoder)} latents, and the run {run} a feature {index.max()}.",
            hint="Give the weights of the run's SAE.",
        )
    return [row["key"] for row in rows], decoder[index]


def decoder_of_weights(path: str | Path) -> NDArray[np.float32]:
    """Return ``W_dec`` of a safetensors file of SAELens.

    Parameters
    ----------
    path
        The file, or the folder with ``sae_weights.safetensors``.

    Returns
    -------
    NDArray
        float32 ``[d_sae, d_model]``.

    Raises
    ------
    ArtifactError
        The file cannot be read or has no ``W_dec``.
    UsageError
        The package safetensors is not installed.
    """
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError:
        raise UsageError(
            "This needs the package safetensors.",
            hint="Install it with `pip install 'sae-feature-atlas[lm]'`.",
        ) from None
    file = Path(path).expanduser()
    if file.is_dir():
        file /= "sae_weights.safetensors"
    try:
        with safe_open(file, framework="numpy") as tensors:
            return np.asarray(tensors.get_tensor("W_dec"), np.float32)
    except (OSError, SafetensorError, TypeError) as error:
        raise ArtifactError(
            f"{file} cannot be read as weights of an SAE: {error}.",
            hint="Give a safetensors file with W_dec in float16, float32 or float64.",
        ) from error


def _features(reader: Reader, run: str) -> list[Row]:
    rows = reader.read(_FEATURES, {"run": run}, what=f"reading the features of {run}")
    if not rows:
        raise NotFoundError(
            f"The database has no feature of a run {run!r} that fires.",
            hint="Load its build with `atlas load`.",
        )
    return rows
