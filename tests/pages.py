"""The README and the documentation's pages, and the commands, code and notebooks that they show."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def page(name: str) -> Path:
    """Return a page by its name: ``"README"``, ``"shap"``, ``"how-to/ray"``."""
    return ROOT / "README.md" if name == "README" else ROOT / "docs" / f"{name}.md"


def python_blocks(path: Path) -> list[str]:
    """Return the blocks of Python of a page."""
    return re.findall(r"```py(?:thon)?\n(.*?)```", path.read_text("utf-8"), re.DOTALL)


def shell_commands(path: Path, kind: str) -> list[str]:
    """Return the `atlas` commands of a page's blocks of `kind`, whole and without comments.

    In a ``sh`` block a line is a command; in a ``console`` block it begins with ``$``. A command
    goes on in the next line after a backslash.
    """
    found = []
    for block in re.findall(rf"```{kind}\n(.*?)```", path.read_text("utf-8"), re.DOTALL):
        lines = block.replace("\\\n", " ").splitlines()
        if kind == "console":
            lines = [line[2:] for line in lines if line[:2] == "$ "]
        found += [line.split("  #")[0].strip() for line in lines]
    return [line for line in found if line.startswith("atlas ")]


def execute(notebook: Path, folder: Path) -> Any:
    """Execute a notebook in a folder; return it with its outputs."""
    import nbclient
    import nbformat

    read = nbformat.read(notebook, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    client = nbclient.NotebookClient(read, timeout=600, kernel_name="python3", resources=resources)
    return client.execute()
