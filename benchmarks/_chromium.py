"""Where the browser is."""

from __future__ import annotations

import os
import shutil


def chromium() -> str | None:
    """Return the executable that ATLAS_CHROMIUM names, or the system's; None where none is."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = (shutil.which(name) for name in names)
    return os.environ.get("ATLAS_CHROMIUM") or next((path for path in found if path), None)
