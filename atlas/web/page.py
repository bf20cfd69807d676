"""What a page of the explorer is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Query = Mapping[str, str]
"""What follows the ``?`` of an address, decoded."""


@dataclass(frozen=True)
class Page:
    """A page, under a path.

    Attributes
    ----------
    path
        Such as ``/feature``; what is shown of it is in the query, so that every view has a link.
    name
        In the navigation; None is not in it.
    title
        Of the browser's tab.
    layout
        Makes the page for a query. An `AtlasError` that it raises is shown as it says.
    """

    path: str
    name: str | None
    title: str
    layout: Callable[[Query], Any]
