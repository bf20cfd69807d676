"""A graph atlas of the sparse-autoencoder features of language models.

>>> from atlas import Atlas
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atlas.api import Atlas
    from atlas.api.async_atlas import AsyncAtlas
    from atlas.graph.budget import Budget

__all__ = ["AsyncAtlas", "Atlas", "Budget", "__version__"]

_DISTRIBUTION = "sae-feature-atlas"


def __getattr__(name: str) -> Any:
    """Import what the package offers when it is first used; the command line starts faster."""
    if name == "Atlas":
        from atlas.api import Atlas

        return Atlas
    if name == "AsyncAtlas":
        from atlas.api.async_atlas import AsyncAtlas

        return AsyncAtlas
    if name == "Budget":
        from atlas.graph.budget import Budget

        return Budget
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version(_DISTRIBUTION)
        except PackageNotFoundError:
            return "unknown"
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
