"""Maps of vectors: features whose decoder vectors point the same way come to lie together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.analysis.layout.square import unit_square
from atlas.errors import UsageError
from atlas.extras import extra

if TYPE_CHECKING:
    from numpy.typing import NDArray

NEIGHBOURS = 15
MIN_DIST = 0.05
PERPLEXITY = 30.0
SEED = 42

_BLOCK_CELLS = 1 << 25


def umap_layout(
    vectors: NDArray[np.floating],
    *,
    neighbours: int = NEIGHBOURS,
    min_dist: float = MIN_DIST,
    seed: int = SEED,
) -> NDArray[np.float64]:
    """Return the UMAP of vectors by cosine (McInnes, Healy and Melville 2018).

    The nearest neighbours are exact, not those of an approximate search.

    Parameters
    ----------
    vectors
        ``[features, dimensions]``, finite, none of them 0.
    neighbours
        Nearest vectors that a feature is tied to. More show the whole, fewer the detail.
    min_dist
        Least distance in the map, before scaling; smaller packs clumps more closely.
    seed
        Random seed.

    Returns
    -------
    NDArray
        float64 ``[features, 2]`` in the unit square.

    Raises
    ------
    UsageError
        umap-learn is not installed, there are too few vectors, or a vector is 0 or not finite.
    """
    units = unit_vectors(vectors)
    if not 2 <= neighbours < len(units):
        raise UsageError(
            f"{len(units)} vectors cannot have {neighbours} neighbours each.",
            hint="Give at least 2 neighbours, and fewer than there are vectors.",
        )
    if min_dist < 0 or min_dist > 1:
        raise UsageError(f"min_dist is {min_dist}.", hint="Give a distance from 0 to 1.")
    umap = extra("umap")  # last, since its import takes seconds
    model = umap.UMAP(
        n_neighbors=neighbours,
        min_dist=min_dist,
        metric="cosine",
        random_state=seed,
        n_jobs=1,
        precomputed_knn=(*nearest_cosine(units, k=neighbours), None),
    )
    return unit_square(_quietly(model.fit_transform, units))


def tsne_layout(
    vectors: NDArray[np.floating], *, perplexity: float = PERPLEXITY, seed: int = SEED
) -> NDArray[np.float64]:
    """Return the t-SNE of vectors by cosine (van der Maaten and Hinton 2008; Barnes-Hut).

    Of unit vectors the squared Euclidean distance is twice the cosine's. The first two principal
    components are where it starts.

    Parameters
    ----------
    vectors
        ``[features, dimensions]``, finite, none of them 0.
    perplexity
        About how many neighbours a feature is tied to.
    seed
        Random seed.

    Returns
    -------
    NDArray
        float64 ``[features, 2]`` in the unit square.

    Raises
    ------
    UsageError
        scikit-learn is not installed, there are too few vectors, or a vector is 0 or not finite.
    """
    manifold = sklearn_manifold()
    units = unit_vectors(vectors)
    if not 1 <= perplexity < len(units):
        raise UsageError(
            f"{len(units)} vectors cannot have a perplexity of {perplexity}.",
            hint="Give at least 1, and less than there are vectors.",
        )
    model = manifold.TSNE(perplexity=perplexity, init="pca", random_state=seed, n_jobs=1)
    return unit_square(model.fit_transform(units))


def unit_vectors(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return vectors scaled to length 1.

    Raises
    ------
    UsageError
        The array is not two-dimensional, or a vector is 0 or not finite.
    """
    vectors = np.asarray(vectors, np.float32)
    if vectors.ndim != 2:
        raise UsageError(f"Vectors of shape {vectors.shape} are not [features, dimensions].")
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    bad = int((~np.isfinite(length) | (length == 0)).sum())
    if bad:
        raise UsageError(
            f"{bad} of {len(vectors)} vectors are 0 or not finite and have no direction.",
            hint="Leave them out.",
        )
    units: NDArray[np.float32] = vectors / length
    return units


def nearest_cosine(
    units: NDArray[np.float32], *, k: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the `k` nearest vectors of each by cosine, itself first.

    Parameters
    ----------
    units
        ``[features, dimensions]``, of length 1.
    k
        At most as many as there are vectors.

    Returns
    -------
    index
        int32 ``[features, k]``: nearest first, of equal ones the earlier.
    distance
        float32 ``[features, k]``: 1 - cosine, at least 0.
    """
    index = np.empty((len(units), k), np.int32)
    distance = np.empty((len(units), k), np.float32)
    rows = max(1, _BLOCK_CELLS // max(len(units), 1))
    for start in range(0, len(units), rows):
        block = 1.0 - units[start : start + rows] @ units.T
        places = np.arange(len(block))
        np.maximum(block, 0.0, out=block)
        block[places, start + places] = -1.0  # before copies of itself
        near = np.sort(np.argpartition(block, k - 1, axis=1)[:, :k], axis=1)
        found = np.take_along_axis(block, near, axis=1)
        order = np.argsort(found, axis=1, kind="stable")
        index[start : start + rows] = np.take_along_axis(near, order, axis=1)
        distance[start : start + rows] = np.take_along_axis(found, order, axis=1)
    distance[:, 0] = 0.0
    return index, distance


def _quietly(function: Any, *arguments: Any) -> Any:
    """Call UMAP without its note that it cannot place vectors seen later; none are."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*precomputed_knn.*")
        warnings.filterwarnings("ignore", message=".*transform will be unavailable.*")
        return function(*arguments)


def sklearn_manifold() -> Any:
    """Return `sklearn.manifold`, or say how to install it."""
    extra("sklearn")
    return extra("sklearn.manifold")
