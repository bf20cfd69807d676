"""How far a build's edges can be trusted: what chance alone gives, and what halves of it share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dash import html

from atlas.web.pages.runs.folded import folded_json
from atlas.web.pages.runs.folders import folder_of, read_json
from atlas.web.parts import number, panel, table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from atlas.web.loading import Asked
    from atlas.web.store import Store


def calibration(store: Store, asked: Asked) -> Any:
    """Return the panel of a build's calibration."""
    run = str(asked["run"])
    folder = folder_of(Path(store.atlas.folder) / "builds", run)
    files = sorted(folder.glob("calibration-*.json")) if folder else []
    if not files:
        return panel(
            "Calibration",
            html.P("The build's edges have not been calibrated here.", className="dim"),
            html.Pre(html.Code(f"atlas calibrate {run}"), tabIndex=0,
                     **{"aria-label": "Command that calibrates them"}),
        )  # fmt: skip
    parts = [part for file in files for part in _of_file(file)]
    return panel("Calibration", *parts)


def _of_file(file: Path) -> list[Any]:
    """Return what a file tells of an SAE."""
    found, name = read_json(file), file.stem.removeprefix("calibration-")
    false = [_false(row) for row in found.get("false") or ()]
    halves = [_halves(row) for row in (found.get("split") or {}).get("kinds") or ()]
    parts = [html.H3(name)]
    if not found:
        parts.append(html.P("Its file cannot be read.", className="dim"))
    if false:
        heads = ["edges", "shuffled by", "significant", "past the same bar by chance", "share"]
        parts.append(table(heads, false, caption=f"False discoveries of {name}"))
    if halves:
        heads = ["edges", "first half", "second half", "both", "of the smaller", "Jaccard"]
        caption = f"Edges of {name} that two halves of the documents keep, each by itself"
        parts.append(table(heads, halves, caption=caption))
    return [*parts, folded_json(f"All that was measured of {name}", found)]


def _false(row: Mapping[str, Any]) -> list[Any]:
    past = row.get("null_past") or [0]
    return [row.get("kind"), row.get("null"), number(row.get("found")),
            number(sum(past) / len(past)), share(row.get("fdp"))]  # fmt: skip


def _halves(row: Mapping[str, Any]) -> list[Any]:
    kept = row.get("kept") or {}
    return [row.get("kind"), *(number(kept.get(name)) for name in ("one", "two", "both")),
            share(kept.get("overlap")), number(kept.get("jaccard"), 2)]  # fmt: skip


def share(value: float | None) -> str:
    """Return a share in per cent; a dash for none."""
    return "–" if value is None else f"{100 * value:.3g} %"
