"""How strongly a feature fires: all of its firings counted, or what the graph keeps of them.

The graph has a feature's strongest contexts and some drawn from each part of its weaker firings.
Where the folder of the build lies on this machine with its code shards, every firing is there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from dash import html

from atlas.web.contexts import context
from atlas.web.loading import Asked, empty, read, wide
from atlas.web.parts import number, panel, table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from atlas.web.store import Row, Store

BARS = 30
#: Code shards of more bytes than this are not read for a page.
MOST_BYTES = 1 << 30
_DRAWN = """
MATCH (f:Feature {key: $feature})-[r:FIRES_IN]->(x:Context)-[:FROM_DOCUMENT]->(d:Document)
WHERE r.run = f.run AND r.bin IS NOT NULL
RETURN r.bin AS bin, r.activation AS activation, r.activations AS activations,
       x.text AS text, x.tokens AS tokens, x.position AS position,
       d.key AS document, d.domain AS domain
ORDER BY bin, activation, x.key
"""


@dataclass(frozen=True)
class Firings:
    """All firings of a feature.

    Attributes
    ----------
    count
        How many.
    bars
        Lower end, upper end and count of each bar of their histogram.
    quartiles
        Activations that a quarter, half and three quarters of them do not exceed.
    """

    count: int
    bars: tuple[tuple[float, float, int], ...]
    quartiles: tuple[float, ...]


def activations(store: Store, asked: Asked) -> Any:
    """Return the histogram of a feature's activations, or what the graph keeps of it."""
    every = all_firings(store, asked)
    if every is not None:
        return panel("Activations", _histogram(every))
    drawn, cypher = read(store, _DRAWN, place="activations", feature=str(asked.get("key")))
    shown = _quantiles(drawn) or empty("The graph keeps its strongest contexts alone.")
    return panel("Activations", shown, cypher=cypher)


def weaker(store: Store, asked: Asked) -> Any:
    """Return contexts that were drawn from all parts of a feature's firings."""
    title = "Contexts drawn from all its firings"
    drawn, cypher = read(store, _DRAWN, place="drawn", feature=str(asked.get("key")))
    if not drawn:
        return wide(panel(title, empty("The graph keeps its strongest contexts alone."),
                          cypher=cypher))  # fmt: skip
    bins = 1 + max(row["bin"] for row in drawn)
    said = f"Strongest contexts flatter a label. These were drawn at random from each \
{_part(bins)} of its firings."
    shown = _by_bin(drawn, bins, scale=asked.get("max"))
    return wide(panel(title, empty(said), *shown, cypher=cypher))


def all_firings(store: Store, asked: Asked) -> Firings | None:
    """Return what all activations of a feature are, from the code shards of its build.

    None where they are not on this machine, are too large to read for a page, or are not those
    that the graph was made from.
    """
    home, run, sae = store.atlas.home, str(asked.get("run")), str(asked.get("sae")).split("/")[-1]
    # Both become parts of a path, and came back from the browser.
    if home is None or any(Path(name).name != name or name[:1] in ("", ".") for name in (run, sae)):
        return None
    index = str(asked.get("key")).rpartition("/")[2]
    if not index.isdecimal():
        return None
    found = _counted(home / "builds" / run / "codes" / sae, int(index))
    return found if found is not None and found.count == asked.get("n") else None


@lru_cache(maxsize=1024)
def _counted(folder: Path, index: int) -> Firings | None:
    found = read_firings(folder, index)
    return summed_up(found) if found is not None and len(found) else None


def read_firings(folder: Path, index: int) -> NDArray[np.float32] | None:
    """Return a feature's activations from code shards; None where these cannot be read."""
    from safetensors import SafetensorError, safe_open

    try:
        shards = sorted(folder.glob("shard-*.safetensors"))
        if not shards or sum(path.stat().st_size for path in shards) > MOST_BYTES:
            return None
        found = []
        for path in shards:
            with safe_open(path, "numpy") as opened:
                where = np.flatnonzero(opened.get_tensor("index") == index)
                found.append(opened.get_tensor("value")[where])
    except (OSError, SafetensorError):
        return None
    return np.concatenate(found)


def summed_up(values: NDArray[np.float32], bars: int = BARS) -> Firings:
    """Count values between 0 and their largest."""
    counts, edges = np.histogram(values, bars, range=(0.0, float(values.max()) or 1.0))
    quartiles = np.quantile(values, [0.25, 0.5, 0.75])
    return Firings(
        len(values),
        tuple(
            (float(low), float(high), int(count))
            for low, high, count in zip(edges, edges[1:], counts, strict=False)
        ),
        tuple(float(value) for value in quartiles),
    )


def _histogram(found: Firings) -> Any:
    most = max(count for _, _, count in found.bars)
    columns = [
        html.Span(
            style={"height": f"{100 * count / most:.1f}%"},
            title=f"{number(low)} to {number(high)}: {count:,}",
        )
        for low, high, count in found.bars
    ]
    said = f"All {found.count:,} firings in the text of the build, by activation"
    told = f"Histogram; quartiles {', '.join(map(number, found.quartiles))}, largest \
{number(found.bars[-1][1])}"
    rows = [[f"{number(low)} to {number(high)}", f"{count:,}"] for low, high, count in found.bars]
    return html.Figure(
        [
            html.Figcaption(said, className="dim small"),
            html.Div(columns, className="histogram", role="img", **{"aria-label": told}),
            html.Div(
                [html.Span("0"), html.Span("activation"), html.Span(number(found.bars[-1][1]))],
                className="axis dim small", **{"aria-hidden": "true"},
            ),
            html.Details(
                [html.Summary("As numbers"), table(["activation", "firings"], rows, caption=said)]
            ),
        ],
        className="firing",
    )  # fmt: skip


def _quantiles(drawn: list[Row]) -> Any:
    """Return the range of the firings that were drawn from each part; None without any."""
    if not drawn:
        return None
    bins, most = 1 + max(row["bin"] for row in drawn), max(row["activation"] for row in drawn)
    rows = []
    for place in range(bins):
        some = [float(row["activation"]) for row in drawn if row["bin"] == place]
        if some and most > 0:
            mean = math.fsum(some) / len(some)
            bar = html.Span(className="bar", style={"width": f"{100 * mean / most:.0f}%"})
            rows.append([_ordinal(place, bins), number(mean), len(some), bar])
    said = f"Mean activation of the firings drawn from each {_part(bins)}. All firings are \
counted only where the folder of the build is on the explorer's machine."
    return table([_part(bins), "mean", "drawn", ""], rows, caption=said)


def _by_bin(drawn: list[Row], bins: int, *, scale: float | None) -> list[Any]:
    parts: list[Any] = []
    for place in range(bins):
        some = [row for row in drawn if row["bin"] == place]
        if some:
            parts.append(html.H3(_ordinal(place, bins)))
            parts += [context(row, scale=scale) for row in some]
    return parts


def _part(bins: int) -> str:
    return {2: "half", 3: "third", 4: "quarter", 5: "fifth", 10: "tenth"}.get(bins, "part")


def _ordinal(place: int, bins: int) -> str:
    if bins == 1:
        return "all firings"
    end = {0: " (weakest)", bins - 1: " (strongest)"}.get(place, "")
    return f"{_part(bins).capitalize()} {place + 1} of {bins}{end}"
