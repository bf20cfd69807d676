"""Files of builds and follow-ups, where their folders are on this machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def folder_of(root: Path, name: str) -> Path | None:
    """Return the folder of a run in the folder of all; None where it is not on this machine."""
    inside = name not in ("", ".", "..") and not set(name) & {"/", "\\", "\0"}
    return root / name if inside and (root / name).is_dir() else None


def read_json(file: Path) -> dict[str, Any]:
    """Return the map in a JSON file; an empty one where there is none that can be read."""
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
