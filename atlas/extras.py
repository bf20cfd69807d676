"""Libraries that are not always installed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from atlas.errors import UsageError


def extra(name: str) -> Any:
    """Import a library of the extra `analysis`.

    Raises
    ------
    UsageError
        It is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name.partition(".")[0]:
            raise
        raise UsageError(
            f"The package {name} is not installed.",
            hint="Install it with `pip install 'sae-feature-atlas[analysis]'`.",
        ) from None
