"""What a report is made of."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, TypeAlias

from atlas.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

_NAME = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*")


def check_name(name: str) -> str:
    """Return a name that a file and an anchor can have.

    Raises
    ------
    UsageError
        It has other characters than lower-case letters, digits, hyphens and underscores.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot name a figure or table.",
            hint="Use lower-case letters, digits, hyphens and underscores.",
        )
    return name


def check_url(url: str) -> str:
    """Return an address of the web; raises `UsageError` for any other, such as a script."""
    if not url.startswith(("https://", "http://")):
        raise UsageError(f"{url!r} is no address of the web.", hint="Begin it with https://.")
    return url


@dataclass(frozen=True)
class Caption:
    """Says of a picture what it shows and how far it can be believed.

    Attributes
    ----------
    text
        What is seen, and what it means.
    n
        Of what, and how many: "84 prompts, 84 controls".
    test
        Which test, or why there is none: "none: descriptive".
    correction
        For which number of tests p is corrected, and how; or why not.

    Raises
    ------
    UsageError
        One of them is empty.
    """

    text: str
    n: str
    test: str
    correction: str

    def __post_init__(self) -> None:
        empty = [one.name for one in fields(self) if not str(getattr(self, one.name)).strip()]
        if empty:
            raise UsageError(
                f"The caption {self.text[:40]!r} lacks: {', '.join(empty)}.",
                hint="Every figure says its n, test and correction; 'none' with a reason is fine.",
            )

    def __str__(self) -> str:
        return f"{self.text} n: {self.n}. Test: {self.test}. Correction: {self.correction}."


@dataclass(frozen=True)
class Figure:
    """A picture.

    Attributes
    ----------
    name
        Of its file and anchor, unique in the report.
    svg
        The picture, one ``<svg>`` that needs nothing else.
    caption
        Under it; also what a screen reader reads in its place.
    wide
        Whether it needs the full width; on a phone it then scrolls sideways by itself.

    Raises
    ------
    UsageError
        The name will not do, or the SVG runs scripts or loads something.
    """

    name: str
    svg: str
    caption: Caption
    wide: bool = False

    def __post_init__(self) -> None:
        check_name(self.name)
        if "<svg" not in self.svg:
            raise UsageError(f"The figure {self.name} is no SVG.")
        if re.search(r"<script|\son\w+=|(?:href|src)\s*=\s*[\"'](?!#|data:image/)", self.svg):
            raise UsageError(
                f"The figure {self.name} runs scripts or loads something.",
                hint="A report must need nothing but itself.",
            )


@dataclass(frozen=True)
class Table:
    """The first rows of a table; the whole is a Parquet file beside the page.

    Attributes
    ----------
    name
        Of the whole table in the report's folder.
    table
        What is shown, in the order wanted. Where `write_report` is given no whole table of that
        name, this one is written.
    caption
        Above it.
    limit
        Rows that are shown.
    columns
        Which, and their headings; None shows all by their names. A text that begins with
        ``https://`` is shown as a link.
    digits
        Significant ones of numbers.
    """

    name: str
    table: pa.Table
    caption: str
    limit: int = 15
    columns: Mapping[str, str] | None = None
    digits: int = 3

    def __post_init__(self) -> None:
        check_name(self.name)
        lacking = [name for name in self.columns or () if name not in self.table.column_names]
        if lacking:
            raise UsageError(f"The table {self.name} has no column {', '.join(lacking)}.")


@dataclass(frozen=True)
class Bullets:
    """A list."""

    items: Sequence[str]


@dataclass(frozen=True)
class Note:
    """A box with what a reader must not miss."""

    text: str


@dataclass(frozen=True)
class Links:
    """A list of links to the web, each a text and an address; nothing is loaded from there."""

    items: Sequence[tuple[str, str]]

    def __post_init__(self) -> None:
        for _, url in self.items:
            check_url(url)


@dataclass(frozen=True)
class ShadedText:
    """A text whose tokens are shaded by a number each, such as a SHAP value.

    Raises
    ------
    UsageError
        Tokens and values differ in number.
    """

    tokens: Sequence[str]
    values: Sequence[float]
    caption: Caption

    def __post_init__(self) -> None:
        if len(self.tokens) != len(self.values):
            raise UsageError(f"{len(self.tokens)} tokens have {len(self.values)} values.")


Block: TypeAlias = "str | Figure | Table | Bullets | Note | Links | ShadedText"
"""A text is a paragraph; it is shown as it is, without markup."""


@dataclass(frozen=True)
class Section:
    """A heading and what is under it."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Method:
    """How something was computed.

    Attributes
    ----------
    name
        What.
    text
        How.
    source
        Who proposed it, where it is not this project's own.
    """

    name: str
    text: str
    source: str = ""
