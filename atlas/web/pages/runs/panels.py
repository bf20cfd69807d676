"""Panels of the page of runs: health and sizes of the atlas, provenance and quality of a build."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dash import html

from atlas.web.loading import ask, rows_table
from atlas.web.pages.runs.calibration import calibration, share
from atlas.web.pages.runs.folded import folded_json
from atlas.web.pages.runs.folders import folder_of, read_json
from atlas.web.parts import facts, number, panel, table

if TYPE_CHECKING:
    from atlas.web.loading import Asked
    from atlas.web.store import Store


def _health(store: Store, _asked: Asked) -> Any:
    rows, cypher = ask(store, "health", place="health")
    columns = {"check": "check", "status": "status", "found": "found", "of": "of", "do": "do"}
    bad = sum(row["status"] != "ok" for row in rows)
    said = "All is well." if not bad else f"{bad} of {len(rows)} checks found something."
    return panel("Health", html.P(said),
                 rows_table("health", rows, columns, caption="Checks of the graph"),
                 cypher=cypher)  # fmt: skip


def _indexes(store: Store, _asked: Asked) -> Any:
    rows, cypher = ask(store, "indexes", place="indexes")
    columns = {name: name for name in ("name", "state", "percent", "type", "labels", "properties")}
    waiting = [row["name"] for row in rows if row["state"] != "ONLINE"]
    said = f"Not yet online: {', '.join(waiting)}." if waiting else f"All {len(rows)} are online."
    made = rows_table("indexes", rows, columns, caption="Indexes of the database")
    return panel("Indexes", html.P(said), html.Details([html.Summary("All"), made]),
                 cypher=cypher)  # fmt: skip


def _sizes(store: Store, _asked: Asked) -> Any:
    folder = Path(store.atlas.folder)
    rows = []
    for name in ("builds", "followups", "neo4j"):
        found = folder / name
        if found.is_dir():
            rows.append([name, number(sum(one.is_dir() for one in found.iterdir())),
                         size(_bytes(found))])  # fmt: skip
    if not rows:
        return panel("Sizes", html.P("The atlas has no folder on this machine.", className="dim"))
    return panel("Sizes", table(["folder", "folders in it", "size"], rows,
                                caption="What lies on this machine"))  # fmt: skip


def _bytes(folder: Path) -> int:
    """Return the size of all files below a folder; those that vanish meanwhile do not count."""
    total = 0
    for file in folder.rglob("*"):
        try:
            total += file.lstat().st_size if file.is_file() else 0
        except OSError:
            continue
    return total


def size(count: float) -> str:
    """Return a number of bytes in words."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.2f} GiB"


def _provenance(store: Store, asked: Asked) -> Any:
    rows, cypher = ask(store, "run", run=asked["run"], place="provenance")
    row = rows[0]
    model, corpus = row["model"] or {}, row["corpus"] or {}
    edges = ", ".join(f"{one['kind']} {number(one['n'])}" for one in row["edges"] or ())
    return panel(
        "Made from",
        facts(
            [
                ("model", model.get("key")),
                ("model loaded from", model.get("source")),
                ("model's weights", model.get("weights_sha256")),
                ("corpus", corpus.get("name")),
                ("documents, positions", f"{number(corpus.get('documents'))}, \
{number(corpus.get('positions'))}"),
                ("corpus SHA-256", corpus.get("sha256")),
                ("built, loaded", f"{row['created']}, {row['loaded']}"),
                ("atlas", row["atlas"]),
                ("recipe SHA-256", row["recipe"]),
                ("tables SHA-256", row["digest"]),
                ("features (only here)", f"{number(row['features'])} ({number(row['own'])})"),
                ("edges", edges or None),
                ("contexts of features", number(row["firings"])),
                ("communities", number(row["communities"])),
            ]
        ),
        *(folded_json(title, row[name]) for title, name in
          (("Parameters", "parameters"), ("Versions", "versions"), ("Rows of the tables",
                                                                    "counts"))),
        cypher=cypher,
    )  # fmt: skip


def _quality(store: Store, asked: Asked) -> Any:
    rows, cypher = ask(store, "saes", run=asked["run"], place="saes")
    folder = folder_of(Path(store.atlas.folder) / "builds", str(asked["run"]))
    measured = read_json(folder / "preflight.json") if folder else {}
    body = []
    for row in rows:
        figures = measured.get(row["name"], {})
        unexplained = figures.get("unexplained")
        body.append(
            [
                html.Span(row["name"], title=row["key"]),
                row["hook"],
                row["architecture"],
                number(row["features"]),
                _counted(row["dead"], row["dead_share"]),
                _counted(row["dense"], row["dense_share"]),
                number(row["expected_active"]),
                number(figures.get("l0")),
                share(None if unexplained is None else 1 - unexplained),
            ]
        )
    heads = ["SAE", "hook", "architecture", "features", "dead", "dense", "active a position",
             "L0 (preflight)", "variance explained (preflight)"]  # fmt: skip
    said = "Dead features never fire in the corpus, dense ones on more than a tenth of it. The \
preflight is measured on a sample before the build."
    return panel("SAEs", html.P(said, className="dim"), table(heads, body, caption="Quality"),
                 cypher=cypher)  # fmt: skip


def _counted(count: int, part: float | None) -> str:
    return number(count) if part is None else f"{number(count)} ({share(part)})"


def _coverage(store: Store, asked: Asked) -> Any:
    rows, cypher = ask(store, "coverage", run=asked["run"], place="coverage")
    body = [
        [html.Abbr(row["what"], title=row["meaning"]), number(row["features"]), number(row["of"]),
         share(row["share"])]
        for row in rows
    ]  # fmt: skip
    return panel(
        "Coverage",
        table(
            ["features with", "number", "of", "share"],
            body,
            caption="What features of the run have",
        ),
        cypher=cypher,
    )


def _algorithms(store: Store, asked: Asked) -> Any:
    rows, cypher = ask(store, "algorithm_runs", run=asked["run"], place="algorithms")
    columns = {"algorithm": "algorithm", "property": "wrote", "engine": "engine", "seed": "seed",
               "exact": "exact", "milliseconds": "ms", "created": "when"}  # fmt: skip
    more = [folded_json(row["key"], row["record"]) for row in rows]
    return panel("Analyses", rows_table("algorithm_runs", rows, columns, caption="Algorithms"),
                 html.Details([html.Summary("All that is kept of them"), *more]) if more else None,
                 cypher=cypher)  # fmt: skip


ALL_RUNS = {
    "health": {"Health": _health},
    "indexes": {"Indexes": _indexes},
    "sizes": {"Sizes": _sizes},
}
"""Panels below the list of all runs; a group is one request."""
BUILD = {
    "quality": {"SAEs": _quality, "Calibration": calibration},
    "coverage": {"Coverage": _coverage},
    "provenance": {"Made from": _provenance},
    "analyses": {"Analyses": _algorithms},
}
"""Panels of a build."""
