"""Where the atlas keeps what it downloads and what it makes.

Two roots: the *cache* holds what can be fetched again (jars, models), shared by all atlases of
a user; the *home* holds one atlas (database, builds). Both can be moved by environment variables.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_dir() -> Path:
    """Return the user's cache folder of the atlas (not created here).

    `ATLAS_CACHE` wins; then the platform's cache folder.
    """
    explicit = os.environ.get("ATLAS_CACHE")
    if explicit:
        return Path(explicit).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "sae-feature-atlas"
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "sae-feature-atlas"


def home_dir(home: str | Path | None = None) -> Path:
    """Return the folder of an atlas: `home`, else `ATLAS_HOME`, else the user's data folder."""
    explicit = home or os.environ.get("ATLAS_HOME")
    if explicit:
        return Path(explicit).expanduser().resolve()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "sae-feature-atlas"
    root = os.environ.get("XDG_DATA_HOME")
    return (Path(root) if root else Path.home() / ".local" / "share") / "sae-feature-atlas"
