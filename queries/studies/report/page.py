"""Writes a report: one page that needs nothing else, with its tables and pictures beside it."""

from __future__ import annotations

from functools import singledispatch
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.artifacts import write_table, writing
from atlas.errors import UsageError
from atlas.extras import extra
from queries.studies.report.blocks import (
    Bullets,
    Figure,
    Links,
    Note,
    Section,
    ShadedText,
    Table,
    check_name,
)
from queries.studies.report.drawing import STYLE, plain, standalone
from queries.studies.report.palette import NEGATIVE_RGB, POSITIVE_RGB, variables

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pyarrow as pa

    from queries.studies.report.blocks import Method

PAGE = "index.html"
_MARK = '<meta name="generator" content="sae-feature-atlas">'
_MINUS = "\N{MINUS SIGN}"
_NONE = "\N{EN DASH}"


def write_report(
    folder: str | Path,
    *,
    title: str,
    lead: str | Sequence[str],
    sections: Sequence[Section],
    methods: Sequence[Method],
    tables: Mapping[str, pa.Table],
    about: Mapping[str, str] | None = None,
) -> Path:
    """Write a report into a folder.

    The page has no scripts, loads nothing, and follows the reader's light or dark scheme. The
    same input gives the same bytes. An earlier report in the folder is replaced.

    Parameters
    ----------
    folder
        Gets ``index.html``, ``tables/NAME.parquet`` and ``figures/NAME.svg``.
    title
        Of the page.
    lead
        What was found, in a sentence or some paragraphs; it comes first.
    sections
        In their order.
    methods
        How everything was computed; they come last.
    tables
        Name to the whole table.
    about
        What it is of, such as the model: name to text.

    Returns
    -------
    pathlib.Path
        Of the page.

    Raises
    ------
    UsageError
        Two figures or tables share a name, there is no section, the folder has a page that is no
        report, or jinja2 is not installed.
    ArtifactError
        A file cannot be written.
    """
    root = Path(folder).expanduser()
    figures, whole = _parts(sections, tables)
    if not sections:
        raise UsageError("A report needs at least one section.")
    paragraphs = [lead] if isinstance(lead, str) else list(lead)
    text = _render(
        title=title,
        lead=paragraphs,
        about=dict(about or {}),
        sections=[
            {
                "id": f"s{number}",
                "title": section.title,
                "blocks": [_show(b) for b in section.blocks],
            }
            for number, section in enumerate(sections, start=1)
        ],
        methods=methods,
        files=[{"name": name, "rows": table.num_rows} for name, table in sorted(whole.items())],
    )
    _clear(root)
    for name, table in whole.items():
        (root / "tables").mkdir(parents=True, exist_ok=True)
        write_table(root / "tables" / f"{name}.parquet", table)
    for name, figure in figures.items():
        _write(root / "figures" / f"{name}.svg", standalone(figure.svg))
    _write(root / PAGE, text)
    return root / PAGE


def _parts(
    sections: Iterable[Section], tables: Mapping[str, pa.Table]
) -> tuple[dict[str, Figure], dict[str, pa.Table]]:
    """Figures and whole tables by their names."""
    figures: dict[str, Figure] = {}
    shown: dict[str, pa.Table] = {}
    for block in (block for section in sections for block in section.blocks):
        if isinstance(block, Figure):
            if block.name in figures:
                raise UsageError(f"Two figures are named {block.name}.")
            figures[block.name] = block
        if isinstance(block, Table) and block.name not in tables:
            if block.name in shown and not shown[block.name].equals(block.table):
                raise UsageError(f"Two tables are named {block.name}.")
            shown[block.name] = block.table
    return figures, {check_name(name): table for name, table in tables.items()} | shown


def _clear(root: Path) -> None:
    """Remove an earlier report's files: what this one lacks would be taken for its own."""
    page = root / PAGE
    if not page.is_file():
        return
    if _MARK not in page.read_text("utf-8", errors="replace"):
        raise UsageError(
            f"{page} is another page, which a report would replace.",
            hint="Name another folder.",
        )
    page.unlink()
    for pattern in ("tables/*.parquet", "figures/*.svg"):
        for file in root.glob(pattern):
            file.unlink()


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with writing(path, partial):
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)


def _render(**content: Any) -> str:
    jinja2 = extra("jinja2", of="study")
    here = resources.files("queries.studies.report")
    engine = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    style = (
        f":root{{color-scheme:light dark;{variables(dark=False)}}}"
        f"@media(prefers-color-scheme:dark){{:root{{{variables(dark=True)}}}}}"
        f"{STYLE}\n{here.joinpath('page.css').read_text('utf-8')}"
    )
    template = engine.from_string(here.joinpath("page.html.j2").read_text("utf-8"))
    return str(template.render(style=style, mark=_MARK, **content))


@singledispatch
def _show(block: object) -> dict[str, Any]:
    """Return what the template needs of a block."""
    raise UsageError(f"{type(block).__name__} is no block of a report.")


@_show.register
def _(block: str) -> dict[str, Any]:
    return {"kind": "text", "text": block}


@_show.register
def _(block: Note) -> dict[str, Any]:
    return {"kind": "note", "text": block.text}


@_show.register
def _(block: Bullets) -> dict[str, Any]:
    return {"kind": "bullets", "items": list(block.items)}


@_show.register
def _(block: Links) -> dict[str, Any]:
    return {"kind": "links", "items": list(block.items)}


@_show.register
def _(block: Figure) -> dict[str, Any]:
    return {"kind": "figure", "figure": block, "alt": str(block.caption)}


@_show.register
def _(block: ShadedText) -> dict[str, Any]:
    values = np.nan_to_num(np.asarray(block.values, dtype=np.float64))
    largest = float(np.abs(values).max(initial=0.0)) or 1.0
    tokens = [
        {
            "text": plain(token, 80) or " ",
            "value": _number(value, 2) if value < 0 else f"+{_number(value, 2)}",
            "shade": f"rgb({','.join(map(str, NEGATIVE_RGB if value < 0 else POSITIVE_RGB))},"
            f"{0.6 * abs(value) / largest:.3f})",
            "faint": bool(abs(value) < 0.1 * largest),
        }
        for token, value in zip(block.tokens, values.tolist(), strict=True)
    ]
    return {"kind": "shaded", "tokens": tokens, "caption": block.caption}


@_show.register
def _(block: Table) -> dict[str, Any]:
    names = dict(
        block.columns or {name: name.replace("_", " ") for name in block.table.column_names}
    )
    rows = block.table.select(list(names)).slice(0, block.limit).to_pylist()
    columns = [
        {"name": head, "number": _is_number(block.table, key)} for key, head in names.items()
    ]
    return {
        "kind": "table",
        "name": block.name,
        "caption": block.caption,
        "columns": columns,
        "rows": [[_cell(value, block.digits) for value in row.values()] for row in rows],
        "all": block.table.num_rows,
    }


def _is_number(table: pa.Table, key: str) -> bool:
    from pyarrow import types

    kind = table.schema.field(key).type
    return bool(types.is_integer(kind) or types.is_floating(kind))


def _cell(value: object, digits: int) -> dict[str, Any]:
    """Text of a cell, and where it links to."""
    if isinstance(value, str) and value.startswith("https://"):
        return {"text": "open", "url": value}
    if isinstance(value, list):
        return {"text": ", ".join(_cell(one, digits)["text"] for one in value), "url": None}
    if isinstance(value, bool):
        return {"text": "yes" if value else "no", "url": None}
    if isinstance(value, float):
        return {"text": _number(value, digits), "url": None}
    if isinstance(value, int):
        return {"text": str(value).replace("-", _MINUS), "url": None}
    return {"text": _NONE if value is None else plain(value, 300), "url": None}


def _number(value: float, digits: int) -> str:
    if not np.isfinite(value):
        return _NONE if np.isnan(value) else ("∞" if value > 0 else f"{_MINUS}∞")
    text = f"{value:.{digits}g}"
    if "e" in text and 1e4 <= abs(value) < 1e7:
        text = f"{value:.0f}"
    return text.replace("e-0", "e-").replace("e+0", "e").replace("e+", "e").replace("-", _MINUS)
