"""Libraries that are not always installed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from atlas.errors import UsageError


def extra(name: str, *, of: str = "analysis") -> Any:
    """Import a library of an extra.

    Parameters
    ----------
    name
        Of the module.
    of
        The extra that installs it.

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
            hint=f"Install it with `pip install 'sae-feature-atlas[{of}]'`.",
        ) from None
