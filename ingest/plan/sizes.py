"""What the bytes of a build follow from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from atlas.recipe import BuildRecipe
    from ingest.plan.pairs import Search


@dataclass(frozen=True)
class ModelSize:
    """What the sizes of a build depend on in its model.

    Attributes
    ----------
    weights
        Bytes of the weights.
    width, hidden, vocabulary
        Width of the residual stream, of the MLPs, and number of logits.
    number
        Bytes of an activation.
    cuda
        Whether it runs on a CUDA device.
    """

    weights: int
    width: int
    hidden: int
    vocabulary: int
    number: int
    cuda: bool


@dataclass(frozen=True)
class SaeSize:
    """What the sizes of a build depend on in one of its SAEs.

    Attributes
    ----------
    name
        Its name.
    features, weights
        Number of features, and bytes of the weights.
    codes, largest_shard
        Expected firings at all positions, and at those of the largest shard.
    marked
        Different (feature, token) among the codes.
    """

    name: str
    features: int
    weights: int
    codes: int
    largest_shard: int
    marked: int


@dataclass(frozen=True)
class BuildSize:
    """What the bytes of a build follow from.

    Attributes
    ----------
    recipe
        The recipe.
    documents
        Number of documents.
    model, saes, searches
        Sizes of the model, of each SAE and of each search for edges.
    text
        Bytes of documents and token ids in memory.
    positions, largest_shard, shards
        Unmasked positions in all and in the largest shard, and number of shards.
    threads
        Threads that count.
    rows
        Expected rows of each table.
    """

    recipe: BuildRecipe
    documents: int
    model: ModelSize
    saes: tuple[SaeSize, ...]
    searches: tuple[Search, ...]
    text: int
    positions: int
    largest_shard: int
    shards: int
    threads: int
    rows: Mapping[str, int]


def documents_setting(size: BuildSize) -> tuple[str, int]:
    """Return what fewer documents are asked for by."""
    return ("the number of documents (corpus.limit)", size.documents)
