"""Prints what a benchmark measured."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def print_figures(figures: Mapping[str, Any], *, as_json: bool) -> None:
    """Print figures, as one line of JSON or a line each."""
    if as_json:
        sys.stdout.write(json.dumps(figures) + "\n")
    else:
        sys.stdout.write("\n".join(f"{name}: {value}" for name, value in figures.items()) + "\n")
