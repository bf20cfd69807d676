"""Reports: self-contained, escaped, the same every time, and figures that show their numbers."""

from __future__ import annotations

import base64
import io
import re
import sys
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import matplotlib.image
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from atlas.errors import UsageError
from queries.studies.report import (
    Caption,
    Figure,
    Links,
    Section,
    ShadedText,
    Table,
    bars,
    community_graph,
    curves,
    heat_map,
    histogram,
    scatter,
    shap_bars,
    write_report,
)
from queries.studies.report.blocks import check_name
from queries.studies.report.drawing import plain
from queries.studies.report.graph_layout import place_communities
from queries.studies.report.palette import CARD, COLOURS, GROUPS, INK, SOFT, group_style
from tests.study_report import (
    CAPTION,
    COMMUNITIES,
    NASTY,
    correlations,
    edges,
    features,
    figures,
    make_report,
)

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_report(tmp_path_factory.mktemp("report"))


class Tags(HTMLParser):
    """Tags of a page with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)


def only(*blocks, tables=None, folder):
    """Write a report of some blocks; gives its text."""
    page = write_report(
        folder,
        title="T",
        lead="L",
        sections=[Section("S", blocks)],
        methods=[],
        tables=tables or {},
    )
    return page.read_text("utf-8")


def svg_texts(figure: Figure) -> list[str]:
    return [one.text or "" for one in ET.fromstring(figure.svg).iter(f"{SVG}text")]


def marks(figure: Figure, group: str) -> list[ET.Element]:
    """Paths and uses of a group of the drawing."""
    root = ET.fromstring(figure.svg)
    found = [one for one in root.iter(f"{SVG}g") if one.get("id", "").startswith(group)]
    return [
        child for one in found for child in one.iter() if child.tag in (f"{SVG}use", f"{SVG}path")
    ]


# The page


def test_page_loads_nothing_and_runs_nothing(page: Path) -> None:
    text = page.read_text("utf-8")
    tags = Tags(text).tags
    assert not {"script", "link", "iframe", "object", "embed", "base"} & {tag for tag, _ in tags}
    for tag, attributes in tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "srcset", "href", "xlink:href", "data", "poster", "action"):
            address = attributes.get(name)
            inside = address is None or address.startswith(("#", "data:image/"))
            assert inside or (tag == "a" and address.startswith(("https://", "tables/")))
    assert not re.search(r"@import|url\((?!#)", text)
    policy = [attributes for tag, attributes in tags if tag == "meta"]
    assert any("default-src 'none'" in (one.get("content") or "") for one in policy)
    for link in re.findall(r'href="tables/([^"]+)"', text):
        assert (page.parent / "tables" / link).is_file()


def test_all_text_is_escaped_and_shown(page: Path) -> None:
    text = page.read_text("utf-8")
    assert NASTY[0] not in text
    shown = "".join(Tags(text).text)
    # In the title, heading, paragraph, list, table, shaded text and labels of pictures.
    assert shown.count(NASTY[0]) >= 6
    assert "\x00" not in text


def test_ids_are_unique_and_every_reference_is_there(page: Path) -> None:
    text = page.read_text("utf-8")
    ids = Counter(attributes["id"] for _, attributes in Tags(text).tags if "id" in attributes)
    assert {name: count for name, count in ids.items() if count > 1} == {}
    wanted = set(re.findall(r'(?:href="#|url\(#|labelledby=")([^")]+)', text))
    assert wanted <= set(ids)
    assert len(wanted) > 20


def test_same_input_same_bytes_in_every_file(page: Path, tmp_path: Path) -> None:
    again = make_report(tmp_path).parent
    names = {file.relative_to(page.parent) for file in page.parent.rglob("*") if file.is_file()}
    assert names == {file.relative_to(again) for file in again.rglob("*") if file.is_file()}
    assert len(names) == 1 + 2 + 9
    for name in names:
        assert (page.parent / name).read_bytes() == (again / name).read_bytes(), name


def test_every_figure_says_its_n_test_and_correction_also_to_a_screen_reader(page: Path) -> None:
    text = page.read_text("utf-8")
    tags = Tags(text).tags
    assert sum(tag == "figure" for tag, _ in tags) == text.count('<span class="how"><b>n</b>') == 10
    pictures = [attributes for _, attributes in tags if attributes.get("role") == "img"]
    assert len(pictures) == 9
    assert all(CAPTION.test in (one["aria-label"] or "") for one in pictures)


def test_pictures_follow_light_and_dark(page: Path) -> None:
    text = page.read_text("utf-8")
    for one in COLOURS:
        assert f"--{one.name}:{one.light};" in text
        assert f"--{one.name}:{one.dark};" in text
    for file in (page.parent / "figures").glob("*.svg"):
        picture = file.read_text("utf-8")
        ET.fromstring(picture)
        assert "prefers-color-scheme:dark" in picture
        assert f"var(--ink, {INK.light})" in picture
        styles = "".join(re.findall(r'style="([^"]*)"', picture))
        # Black would not be seen on dark; every colour has its variable.
        assert not re.findall(r": (#[0-9a-f]{6})", styles)


def test_a_caption_must_be_whole() -> None:
    with pytest.raises(UsageError, match="lacks: n, correction"):
        Caption("Seen.", n=" ", test="t", correction="")


@pytest.mark.parametrize(
    "inside",
    [
        "<script>1</script>",
        '<image href="https://example.org/x.png"/>',
        '<use xlink:href="other.svg#a"/>',
        '<g onload="x()"/>',
    ],
)
def test_a_foreign_picture_may_not_run_or_load(inside: str) -> None:
    with pytest.raises(UsageError, match="runs scripts or loads"):
        Figure("f", f"<svg>{inside}</svg>", CAPTION)


def test_a_foreign_picture_that_needs_nothing_is_kept(tmp_path: Path) -> None:
    svg = '<svg viewBox="0 0 1 1"><use href="#a"/><image href="data:image/png;base64,"/></svg>'
    assert svg in only(Figure("f", svg, CAPTION), folder=tmp_path)


@pytest.mark.parametrize("name", ["", "A", "a b", "../x", "a.b", "-a"])
def test_names_are_those_of_files(name: str) -> None:
    with pytest.raises(UsageError):
        check_name(name)


def test_names_are_used_once(tmp_path: Path) -> None:
    figure = Figure("f", "<svg></svg>", CAPTION)
    with pytest.raises(UsageError, match="Two figures"):
        only(figure, figure, folder=tmp_path)
    one, two = (Table("t", features(rows), "c") for rows in (2, 3))
    with pytest.raises(UsageError, match="Two tables"):
        only(one, two, folder=tmp_path)
    with pytest.raises(UsageError, match="section"):
        write_report(tmp_path, title="", lead="", sections=[], methods=[], tables={})
    with pytest.raises(UsageError, match="web"):
        Links([("x", "javascript:alert(1)")])
    assert not list(tmp_path.iterdir())


def test_an_earlier_report_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    figure = Figure("old", "<svg></svg>", CAPTION)
    only(figure, Table("gone", features(2), "c"), folder=tmp_path)
    (tmp_path / "tables" / "mine.txt").write_text("kept")
    only("text", folder=tmp_path)
    files = sorted(file.name for file in tmp_path.rglob("*") if file.is_file())
    assert files == ["index.html", "mine.txt"]
    (tmp_path / "index.html").write_text("<html>somebody's page</html>")
    with pytest.raises(UsageError, match="another page"):
        only("text", folder=tmp_path)
    assert "somebody" in (tmp_path / "index.html").read_text()


# Tables


def test_long_tables_are_cut_and_the_whole_is_beside(tmp_path: Path) -> None:
    shown, whole = features(40).slice(10, 20), features(40)
    text = only(Table("features", shown, "c", limit=6), tables={"features": whole}, folder=tmp_path)
    assert "The first 6 of 20 rows." in text
    body = text.split("<tbody>")[1].split("</tbody>")[0]
    assert body.count("<tr>") == 6
    assert ">10</th>" in body
    assert pq.read_table(tmp_path / "tables" / "features.parquet").equals(whole)
    short = only(Table("few", features(3), "c"), folder=tmp_path)
    assert "The first" not in short
    assert pq.read_table(tmp_path / "tables" / "few.parquet").num_rows == 3


def test_cells_are_written_for_people(tmp_path: Path) -> None:
    table = pa.table(
        {
            "number": [0.000012345, -1234.5678, float("nan"), None, 0.5, 123456.7],
            "whole": [6489, -3, 0, None, 1, 2],
            "flag": [True, False, None, True, True, True],
            "link": ["https://example.org/a?b=1&c=2", "plain", "javascript:x", None, "", "e"],
            "list": [["a", "b"], [], None, ["<i>"], [], []],
        }
    )
    columns = {"number": "N", "whole": "W", "flag": "F", "link": "L", "list": "X"}
    text = only(Table("t", table, "c", columns=columns), folder=tmp_path)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in text.split("<tr>")[2:8]]
    link = '<a href="https://example.org/a?b=1&amp;c=2" rel="noopener noreferrer">open</a>'
    assert cells[0] == ["1.23e−5", "6489", "yes", link, "a, b"]
    assert cells[1] == ["−1.23e3", "−3", "no", "plain", ""]
    assert cells[2] == ["–", "0", "–", "javascript:x", "–"]
    assert cells[3] == ["–", "–", "yes", "–", "&lt;i&gt;"]
    assert cells[5][0] == "123457"
    with pytest.raises(UsageError, match="no column other"):
        Table("t", table, "c", columns={"other": "O"})


def test_shaded_text_is_shaded_by_size_and_sign(tmp_path: Path) -> None:
    block = ShadedText(["a", "b", "c", "\n"], [0.5, -1.0, 0.0, float("nan")], CAPTION)
    text = only(block, folder=tmp_path)
    shades = [float(one) for one in re.findall(r"background:rgb\(\d+,\d+,\d+,([\d.]+)\)", text)]
    assert shades == [0.3, 0.6, 0.0, 0.0]
    colours = re.findall(r"background:rgb\((\d+,\d+,\d+)", text)
    assert colours[0] != colours[1]
    numbers = re.findall(r"<small[^>]*>(.*?)</small>", text)
    assert numbers == ["+0.5", "−1", "+0", "+0"]
    with pytest.raises(UsageError, match="2 tokens have 1"):
        ShadedText(["a", "b"], [1.0], CAPTION)


# Figures


def test_figures_are_xml_with_texts_as_texts() -> None:
    for figure in figures():
        texts = svg_texts(figure)
        assert texts
        assert "<path" in figure.svg or "<use" in figure.svg
        if figure.name in ("scatter", "bars", "changes"):
            assert NASTY[0] in texts
            assert "$x^2$" in texts  # not set as a formula
            assert any(text.startswith("xxxx") and text.endswith("…") for text in texts)


def test_letters_and_controls_for_pictures() -> None:
    assert plain("a\nb\tc\x00\ud800") == "a⏎b c��"
    assert plain("x" * 50, 10) == "xxxxxxxxx…"


def test_labels_do_not_cover_each_other_and_the_first_stays() -> None:
    points = np.zeros((40, 2))
    points[39] = 1
    labels = {row: f"label {row}" for row in (7, 39, *range(20))}
    figure = scatter("s", points, caption=CAPTION, x_label="x", y_label="y", labels=labels)
    shown = [text for text in svg_texts(figure) if text.startswith("label")]
    assert {"label 7", "label 39"} <= set(shown)
    assert len(shown) < 12


def test_heat_map_puts_communities_together() -> None:
    rng = np.random.default_rng(3)
    order = rng.permutation(len(COMMUNITIES))
    figure = heat_map(
        "h", correlations()[np.ix_(order, order)], communities=COMMUNITIES[order], caption=CAPTION
    )
    data = re.search(r"data:image/png;base64,([^\"]+)", figure.svg)
    image = matplotlib.image.imread(io.BytesIO(base64.b64decode(data.group(1))), format="png")
    assert image.shape == (66, 66, 4)
    image = image if image[0, 0, 3] > image[-1, -1, 3] else image[::-1]  # SVG images may be flipped
    first = image[:20, :20]
    assert first[..., 3].min() > 0.4
    assert (first[..., 2] > first[..., 0]).all()  # blue
    between = image[:20, 20:35]
    assert (between[..., 0] > between[..., 2]).all()  # orange
    assert image[60:, :60, 3].max() < 0.5
    assert [text for text in svg_texts(figure) if text in {*"01234", "none"}]
    with pytest.raises(UsageError, match="66 communities"):
        heat_map("h", np.ones((3, 4)), communities=COMMUNITIES, caption=CAPTION)


def test_graph_draws_the_strongest_edges_by_sign() -> None:
    table = edges()
    weight = table["weight"].to_numpy()
    figure = community_graph("g", table, communities=COMMUNITIES, caption=CAPTION, most_edges=100)
    kept = weight[np.argsort(-np.abs(weight), kind="stable")[:100]]
    drawn = marks(figure, "g-LineCollection")
    dashed = [one for one in drawn if "stroke-dasharray" in one.get("style", "")]
    assert (len(drawn), len(dashed)) == (100, int((kept < 0).sum()))
    assert 0 < len(dashed) < 100
    bad = pa.table({"source": [0], "target": [99], "weight": [1.0]})
    with pytest.raises(UsageError, match="no community's entry"):
        community_graph("g", bad, communities=COMMUNITIES, caption=CAPTION)


def test_communities_are_laid_out_apart() -> None:
    table = edges()
    ends = np.column_stack([table["source"], table["target"]])
    nodes = np.unique(ends)
    xy = place_communities(nodes, ends, weight=table["weight"].to_numpy(), communities=COMMUNITIES)
    kinds = COMMUNITIES[nodes]
    gaps = np.hypot(*(xy[:, None] - xy).transpose(2, 0, 1))
    # Discs do not overlap, with some room between them.
    assert gaps[kinds[:, None] != kinds].min() > 1.19
    assert len(np.unique(xy.round(6), axis=0)) == len(nodes)


def test_an_empty_graph_is_a_picture_too() -> None:
    none = edges().slice(0, 0)
    assert "<svg" in community_graph("g", none, communities=COMMUNITIES, caption=CAPTION).svg


def test_bars_are_where_their_values_are() -> None:
    values = np.array([1.0, -2.0, 0.5])
    figure = bars(
        "b",
        ["x", "y", "z"],
        values=values,
        low=values - 0.5,
        high=values + 0.5,
        marked=[True, False, True],
        caption=CAPTION,
        x_label="g",
    )
    uses = [one for one in marks(figure, "b-PathCollection") if one.tag.endswith("use")]
    x, y = (np.array([float(one.get(axis)) for one in uses]) for axis in "xy")
    hollow = [f"fill: var(--{CARD.name}" in one.get("style", "") for one in uses]
    assert hollow == [False, False, True]
    slope = np.diff(x) / np.diff(values[[0, 2, 1]])  # filled ones are drawn first
    assert slope == pytest.approx(np.full(2, slope[0]))
    assert y[0] < y[2] < y[1]  # the first on top
    with pytest.raises(UsageError, match="2 labels"):
        bars("b", ["x", "y"], values=values, caption=CAPTION, x_label="g")


def test_shap_bars_are_by_size_and_the_rest_is_one() -> None:
    values = [0.1, -3.0, 2.0, 0.2, -0.4]
    figure = shap_bars("s", list("abcde"), values=values, caption=CAPTION, most=2)
    texts = svg_texts(figure)
    assert [text for text in texts if text in {*"abcde", "3 others together"}] == [
        "b",
        "c",
        "3 others together",
    ]
    colours = re.findall(r'style="fill: var\(--(\w+),[^"]*"', figure.svg)
    assert [one for one in colours if one in ("blue", "orange")] == ["orange", "blue", "orange"]


def test_logarithmic_axes_have_plain_numbers() -> None:
    figure = curves(
        "c",
        [0.1, 2, 40],
        series={"a": ([1, 2, 3], None, None)},
        caption=CAPTION,
        x_label="factor",
        y_label="y",
        x_log=True,
    )
    assert {"0.1", "2", "40"} <= set(svg_texts(figure))
    assert "mathdefault" not in figure.svg
    points = np.array([[1e-4, 1.0], [1.0, 2.0], [-1.0, 5.0]])
    many = scatter("s", points, caption=CAPTION, x_label="x", y_label="y", x_log=True)
    assert "mathdefault" not in many.svg
    uses = [one for one in marks(many, "s-PathCollection") if one.tag.endswith("use")]
    assert len(uses) == 2  # what has no logarithm is left out


def test_histogram_needs_something_and_leaves_out_what_is_no_number() -> None:
    with pytest.raises(UsageError, match="no value"):
        histogram("h", {"a": [np.nan]}, caption=CAPTION, x_label="x")
    clean = histogram("h", {"a": [1.0, 2.0]}, caption=CAPTION, x_label="x")
    assert clean.svg == histogram("h", {"a": [1.0, np.nan, 2.0]}, caption=CAPTION, x_label="x").svg


# Colours


def luminance(colour: str) -> float:
    parts = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_stand_out_from_the_page(scheme: str) -> None:
    ground = luminance(getattr(CARD, scheme))

    def contrast(colour: str) -> float:
        two = sorted([luminance(colour), ground])
        return (two[1] + 0.05) / (two[0] + 0.05)

    assert contrast(getattr(INK, scheme)) >= 7
    assert contrast(getattr(SOFT, scheme)) >= 4.5
    assert all(contrast(getattr(one, scheme)) >= 4.5 for one in GROUPS)


def test_groups_differ_in_shape_where_colours_come_again() -> None:
    styles = [group_style(number) for number in range(48)]
    assert len({(colour.name, marker) for colour, marker in styles}) == 48
    assert all(a[1] != b[1] for a, b in pairwise(styles))


@pytest.mark.parametrize("missing", ["jinja2", "matplotlib"])
def test_what_is_not_installed_is_named(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    needy = {
        "jinja2": lambda: only("text", folder=tmp_path),
        "matplotlib": lambda: histogram("h", {"a": [1.0]}, caption=CAPTION, x_label="x"),
    }
    with pytest.raises(UsageError, match=r"pip install 'sae-feature-atlas\[study\]'"):
        needy[missing]()
