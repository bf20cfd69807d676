"""What comes with the atlas: SAEs, demo text, recipes."""

from __future__ import annotations

from pathlib import Path

DATA = Path(__file__).parent / "data"


def shipped_saes() -> dict[str, Path]:
    """Names and folders of the SAEs that come with the atlas."""
    return {path.parent.name: path.parent for path in sorted((DATA / "saes").glob("*/cfg.json"))}


def shipped_recipes() -> dict[str, Path]:
    """Names and files of the recipes that come with the atlas."""
    return {path.stem: path for path in sorted((DATA / "recipes").glob("*.toml"))}
