"""Draw the figures of the concepts and the architecture: `python docs/make_figures.py`.

All data are simulated here with fixed seeds; numpy is all that is needed. Figures have a background
of their own, so that they can be read on a light page and on a dark one.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Firings = NDArray[np.bool_]  # [documents, tokens]

FOLDER = Path(__file__).parent / "images"
PAPER, INK, DIM, RULE = "#fbfaf7", "#22303f", "#5b6773", "#d9d6cd"
A, B, BOTH = "#2f6db5", "#d0701f", "#6b3fa0"


class Picture:
    """An SVG picture that grows by strings.

    Parameters
    ----------
    width, height
        In pixels.
    title
        What the picture shows, for who cannot see it.
    """

    def __init__(self, width: int, height: int, title: str) -> None:
        self.parts = [
            '<svg xmlns="http://www.w3.org/2000/svg" role="img" font-family="sans-serif"',
            f'viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
            f"<title>{escape(title)}</title>",
        ]
        self.box(0, 0, width, height, PAPER, radius=6)

    def box(
        self,
        x: float,
        y: float,
        w: float,
        h: float,
        fill: str,
        *,
        line: str = "",
        radius: float = 0,
    ) -> None:
        """Draw a rectangle."""
        edge = f' stroke="{line}"' if line else ""
        round_ = f' rx="{radius:g}"' if radius else ""
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" fill="{fill}"'
            f"{edge}{round_}/>"
        )

    def text(
        self, x: float, y: float, what: str, *, size: int = 12, fill: str = INK,
        anchor: str = "start", bold: bool = False,
    ) -> None:  # fmt: skip
        """Write a line of text."""
        weight = ' font-weight="600"' if bold else ""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{fill}" '
            f'text-anchor="{anchor}"{weight}>{escape(what)}</text>'
        )

    def line(self, points: list[tuple[float, float]], colour: str, *, width: float = 1.5) -> None:
        """Draw a line through points."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}"/>'
        )

    def arrow(self, x: float, y: float, to_x: float, to_y: float, colour: str = DIM) -> None:
        """Draw an arrow."""
        ahead = np.array([to_x - x, to_y - y])
        ahead = ahead / np.hypot(*ahead)
        aside = np.array([-ahead[1], ahead[0]])
        tip = np.array([to_x, to_y])
        self.line([(x, y), (to_x, to_y)], colour)
        for side in (1, -1):
            end = tip - 7 * ahead + side * 4 * aside
            self.line([(float(end[0]), float(end[1])), (to_x, to_y)], colour)

    def svg(self) -> str:
        """Return the picture's text."""
        return "\n".join([*self.parts, "</svg>"]) + "\n"


def measures(a: Firings, b: Firings) -> dict[str, float]:
    """Return an edge's numbers as docs/statistics.md defines them, for documents of one length."""
    length = a.shape[1]
    fired_a, fired_b, joint = a.sum(1), b.sum(1), (a & b).sum(1)
    p, q = a.mean(), b.mean()
    within = joint - fired_a * fired_b / length
    beyond = joint - p * fired_b - q * fired_a + length * p * q
    deviation_a, deviation_b = (fired_a - p * length), (fired_b - q * length)
    return {
        "n": float(joint.sum()),
        "expected": float(p * q * a.size),
        "z": float(beyond.sum() / np.sqrt((beyond**2).sum())),
        "z_within": float(within.sum() / np.sqrt((within**2).sum())),
        "z_tokens": float(np.sqrt(a.size) * np.corrcoef(a.ravel(), b.ravel())[0, 1]),
        "r_topic": float(
            (deviation_a * deviation_b).sum()
            / np.sqrt((deviation_a**2).sum() * (deviation_b**2).sum())
        ),
    }


def pair(kind: str, *, documents: int = 2000, length: int = 64) -> tuple[Firings, Firings]:
    """Simulate two features that are joined by a token, a topic, or exclusive edge."""
    rng = np.random.default_rng(7)
    topic = rng.random(documents) < 0.15
    other = rng.random(documents) < 0.15
    draws = rng.random((4, documents, length))
    first = draws[0] < 0.2 * topic[:, None]
    if kind == "token":  # b fires on half of a's tokens, and in documents of its own
        return first, (first & (draws[1] < 0.5)) | (draws[2] < 0.08 * other[:, None])
    if kind == "topic":  # the same documents, tokens independent
        return first, draws[1] < 0.2 * topic[:, None]
    return first, ~first & (draws[1] < 0.2 * topic[:, None])


def kinds() -> str:
    """Draw the three kinds of CO_OCCURS: where two features fire in six documents."""
    picture = Picture(760, 330, "Firings of two features for the three kinds of edges")
    lanes, tokens, cell = 6, 36, 6
    said = {
        "token": ("token", "on the same tokens"),
        "topic": ("topic", "in the same documents, on other tokens"),
        "exclusive": ("exclusive", "in the same documents, never at once"),
    }
    for column, (kind, (name, told)) in enumerate(said.items()):
        a, b = pair(kind)
        left = 20 + column * 248
        picture.text(left, 28, name, size=15, bold=True)
        picture.text(left, 46, told, fill=DIM)
        # Documents of either feature and some of neither, as they come.
        shown = [*np.flatnonzero(a.any(1) & b.any(1))[:3], *np.flatnonzero(a.any(1) ^ b.any(1))[:2]]
        shown += [*np.flatnonzero(~a.any(1) & ~b.any(1))[: lanes - len(shown)]]
        for row, document in enumerate(sorted(shown)):
            _lane(picture, a[document, :tokens], b[document, :tokens], (left, 64 + 34 * row), cell)
        found = measures(a, b)
        lines = (
            f"together {found['n']:,.0f}, by chance {found['expected']:,.0f}",
            "z {z:.1f}   z_within {z_within:.1f}   r_topic {r_topic:.2f}".format(**found),
        )
        for number, text in enumerate(lines):
            picture.text(left, 284 + 18 * number, text)
    picture.box(520, 311, 9, 9, A)
    picture.text(533, 320, "feature A", size=11, fill=DIM)
    picture.box(594, 311, 9, 9, B)
    picture.text(607, 320, "feature B", size=11, fill=DIM)
    picture.box(668, 311, 9, 9, BOTH)
    picture.text(681, 320, "both", size=11, fill=DIM)
    picture.text(20, 320, "Each line is a document of 36 tokens.", size=11, fill=DIM)
    return picture.svg()


def _lane(
    picture: Picture, a: Firings, b: Firings, place: tuple[float, float], cell: float
) -> None:
    x, y = place
    picture.line([(x, y + 12), (x + cell * len(a), y + 12)], RULE, width=1)
    for token, (one, other) in enumerate(zip(a, b, strict=True)):
        at = x + cell * token
        if one and other:
            picture.box(at, y, cell - 1, 24, BOTH)
        elif one:
            picture.box(at, y, cell - 1, 11, A)
        elif other:
            picture.box(at, y + 13, cell - 1, 11, B)


def null_scores(*, features: int = 60) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return z by tokens and z by documents of all pairs of independent features.

    Each feature fires in a tenth of 2,000 documents, drawn for it alone, on a fifth of the tokens.
    """
    rng = np.random.default_rng(3)
    shape = (2000, 64)
    fired = [
        rng.random(shape) < 0.2 * (rng.random(shape[0]) < 0.1)[:, None] for _ in range(features)
    ]
    found = [measures(fired[i], fired[j]) for i in range(features) for j in range(i)]
    return np.array([one["z_tokens"] for one in found]), np.array([one["z"] for one in found])


def unit() -> str:
    """Draw how two tests judge pairs of independent features."""
    tokens, documents = null_scores()
    picture = Picture(760, 290, "z of independent features by tokens and by documents")
    edges = np.arange(-6.0, 6.01, 0.25)
    curve = np.exp(-((edges[:-1] + 0.125) ** 2) / 2) / np.sqrt(2 * np.pi) * 0.25
    panels = ((tokens, A, "token by token"), (documents, B, "document by document"))
    for column, (scores, colour, name) in enumerate(panels):
        left, base, tall = 30 + column * 370, 222.0, 1400.0
        share = np.histogram(np.clip(scores, -5.9, 5.9), edges)[0] / len(scores)
        wide = 330 / len(share)
        picture.text(left, 28, f"z {name}", size=15, bold=True)
        past = int((scores > 3.09).sum())
        picture.text(left, 46, f"{past:,} of {len(scores):,} pairs below p = 0.001; "
                     f"{len(scores) / 1000:.0f} expected", fill=DIM)  # fmt: skip
        for number, height in enumerate(share):
            if height:
                top = tall * height
                picture.box(left + number * wide, base - top, wide - 1, top, colour)
        points = [
            (left + (number + 0.5) * wide, base - tall * height)
            for number, height in enumerate(curve)
        ]
        picture.line(points, INK)
        picture.line([(left, base), (left + 330, base)], DIM, width=1)
        for value in (-6, -3, 0, 3, 6):
            picture.text(left + (value + 6) / 12 * 330, base + 16, str(value), size=11, fill=DIM,
                         anchor="middle")  # fmt: skip
    picture.text(30, 268, "Bars: pairs of features that have nothing to do with each other, each "
                 "in documents of its own. Line: what", fill=DIM)  # fmt: skip
    picture.text(30, 283, "a valid test gives.", fill=DIM)
    return picture.svg()


def stories() -> dict[str, tuple[float, float]]:
    """Return, for three causal stories, phi of A and B, and how much of B goes where A is ablated.

    200,000 independent positions; the same draws with and without the ablation.
    """
    rng = np.random.default_rng(11)
    root, link, noise = rng.random((3, 200_000))
    apart = rng.random(200_000)
    found = {}
    for name in ("A causes B", "C causes both", "B causes A"):
        rest = noise < 0.02
        if name == "C causes both":
            common = root < 0.05
            a, b = common & (apart < 0.775), (common & (link < 0.775)) | rest
            without = b  # nothing that B depends on is gone
        else:
            cause = root < 0.05
            effect = (cause & (link < 0.6)) | rest
            a, b = (cause, effect) if name == "A causes B" else (effect, cause)
            without = rest if name == "A causes B" else b
        phi = float(np.corrcoef(a, b)[0, 1])
        found[name] = phi, 1 - float(without[a].mean() / b[a].mean())
    return found


def causes() -> str:
    """Draw three stories that give the same edge."""
    picture = Picture(760, 226, "Three causal stories with the same edge")
    arrows = {
        "A causes B": [("A", "B")],
        "C causes both": [("C", "A"), ("C", "B")],
        "B causes A": [("B", "A")],
    }
    for column, (name, (phi, lost)) in enumerate(stories().items()):
        left = 24 + column * 246
        places = {"A": (left + 40, 96.0), "B": (left + 160, 96.0), "C": (left + 100, 56.0)}
        picture.text(left, 28, name, size=15, bold=True)
        for start, end in arrows[name]:
            ahead = np.subtract(places[end], places[start])
            step = 17 * ahead / np.hypot(*ahead)
            begin, stop = np.add(places[start], step), np.subtract(places[end], step)
            picture.arrow(*map(float, begin), *map(float, stop))
        shown = {key: places[key] for key in sorted({end for one in arrows[name] for end in one})}
        for key, (x, y) in shown.items():
            colour = {"A": A, "B": B, "C": DIM}[key]
            picture.box(x - 14, y - 14, 28, 28, colour, radius=14)
            picture.text(x, y + 5, key, fill=PAPER, anchor="middle", bold=True)
        bars = (("phi of the edge", phi, f"{phi:.2f}", BOTH),
                ("of B gone without A, where A fires", lost, f"{100 * lost:.0f} %", A))  # fmt: skip
        for number, (what, value, shown_as, colour) in enumerate(bars):
            y = 138 + 42 * number
            picture.text(left, y, f"{what}: {shown_as}", size=12)
            picture.box(left, y + 7, 210, 8, RULE)
            picture.box(left, y + 7, 210 * max(0.0, value), 8, colour)
    return picture.svg()


def architecture() -> str:
    """Draw the way data goes, and which package does what."""
    picture = Picture(760, 420, "From text to answers: stages, files, packages")
    stages = [
        ("text", "a folder, a file"),
        ("activations", "never stored"),
        ("code shards", "sparse rows, on disk"),
        ("exact sums", "over documents"),
        ("tables", "Parquet, checksums"),
    ]
    picture.text(24, 30, "ingest: from text to files", size=14, bold=True)
    for number, (name, told) in enumerate(stages):
        x = 24 + 146 * number
        stored = name in ("code shards", "tables")
        picture.box(x, 44, 118, 54, "#e4ecf6" if stored else "#ffffff", line=A, radius=5)
        picture.text(x + 59, 68, name, anchor="middle", bold=True, size=13)
        picture.text(x + 59, 86, told, anchor="middle", fill=DIM, size=11)
        if number:
            picture.arrow(x - 26, 71, x - 4, 71)
    for number, told in enumerate((
        "The language model and its SAEs run here (atlas.lm, atlas.saes),",
        "and again in follow-ups. Nothing else needs them.",
    )):  # fmt: skip
        picture.text(24, 130 + 15 * number, told, size=11, fill=DIM)
    picture.arrow(667, 100, 667, 176)
    rows = [
        ("atlas.analysis", "scores, communities, maps", "atlas.graph", "Neo4j: schema, reads"),
        ("queries.followups", "steer, patch, trace, SHAP: measured on the model",
         "queries", "the catalogue: a file of Cypher for each query"),
        ("atlas.cli, web, mcp, bloom", "commands, explorer, agents, Bloom",
         "atlas.api", "Atlas, one object for all of it"),
    ]  # fmt: skip
    for row, (left, left_told, right, right_told) in enumerate(rows):
        y = 180 + 76 * row
        for x, name, told in ((24, left, left_told), (398, right, right_told)):
            picture.box(x, y, 338, 54, "#ffffff", line=B, radius=5)
            picture.text(x + 14, y + 23, name, bold=True, size=13)
            picture.text(x + 14, y + 42, told, fill=DIM, size=12)
        picture.arrow(394, y + 20, 366, y + 20)
        if row < 2:
            picture.arrow(567, y + 56, 567, y + 73)
            picture.arrow(366, y + 36, 394, y + 36)
    picture.text(24, 408, "Arrows are data. Scores, communities and measured effects go back into "
                 "the graph.", size=11, fill=DIM)  # fmt: skip
    return picture.svg()


FIGURES = {
    "edge-kinds.svg": kinds,
    "document-unit.svg": unit,
    "same-edge.svg": causes,
    "architecture.svg": architecture,
}


if __name__ == "__main__":
    for file, draw in FIGURES.items():
        (FOLDER / file).write_text(draw(), "utf-8")
