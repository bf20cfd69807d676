"""A report as a reader sees it: in a real browser, wide and on a phone, light and dark."""

from __future__ import annotations

import json
import re
import subprocess
from html import escape, unescape
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from benchmarks._chromium import chromium
from queries.studies.report.palette import PAGE
from tests.study_report import make_report

BROWSER = chromium()
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is on the PATH")
WIDTHS = {"desktop": 1200, "phone": 390}
MEASURE = """
<script>
const box = element => element.getBoundingClientRect();
const wide = window.innerWidth;
const inside = element => element.closest(".scroll") !== null;
const past = [...document.querySelectorAll("body *")].filter(
  one => !inside(one) && box(one).right > wide + 1);
const letters = [...document.querySelectorAll("figure:not(.wide) svg text")].filter(
  one => !/rotate\\(-90/.test(one.getAttribute("transform") || "") && one.textContent.trim());
const figures = [...document.querySelectorAll("figure svg")];
const clipped = [...document.querySelectorAll("figure:not(.wide) svg text")].filter(one => {
  const outer = box(one.ownerSVGElement), inner = box(one);
  return inner.left < outer.left - 3 || inner.right > outer.right + 3;
});
const place = window.frameElement ? parent.document : document;
place.body.setAttribute("data-measured", JSON.stringify({
  window: wide,
  scroll: document.documentElement.scrollWidth,
  past: past.map(one => one.outerHTML.slice(0, 80)),
  smallest: Math.min(...letters.map(one => parseFloat(getComputedStyle(one).fontSize) *
    box(one.ownerSVGElement).width / one.ownerSVGElement.viewBox.baseVal.width)),
  figures: figures.map(one => [box(one).width, box(one).height]),
  clipped: clipped.map(one => one.textContent),
}));
</script>
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_report(tmp_path_factory.mktemp("report"))


def browse(*options: str, profile: Path) -> str:
    """Run the browser without a window; gives what it writes."""
    done = subprocess.run(
        [
            str(BROWSER),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={profile}",
            *options,
        ],
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    )
    return done.stdout


def picture(page: Path, folder: Path, *, width: int, dark: bool = False) -> np.ndarray:
    """The page's pixels, ``[height, width, 3]`` in [0, 1]."""
    file = folder / f"{width}-{dark}.png"
    browse(
        f"--window-size={width},3000",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}",
        f"--screenshot={file}",
        page.as_uri(),
        profile=folder / "profile",
    )
    return matplotlib.image.imread(file)[..., :3]


def rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255


@pytest.mark.parametrize("kind", list(WIDTHS))
def test_the_page_fits_and_its_letters_can_be_read(page: Path, tmp_path: Path, kind: str) -> None:
    # A copy with a script that measures; the page itself forbids scripts.
    text = re.sub(r"<meta http-equiv[^>]*>", "", page.read_text("utf-8"))
    text = escape(text.replace("</body>", MEASURE + "</body>"), quote=True)
    # In a frame of that width: a window cannot be as narrow as a phone.
    frame = f'<iframe style="width:{WIDTHS[kind]}px;height:900px;border:0" srcdoc="{text}">'
    copy = tmp_path / "index.html"
    start = '<!doctype html><meta charset="utf-8"><body>'  # else the browser guesses
    copy.write_text(f"{start}{frame}</iframe></body>", encoding="utf-8")
    written = browse("--window-size=1300,900", "--dump-dom", copy.as_uri(), profile=tmp_path / "p")
    found = re.search(r'data-measured="([^"]*)"', written)
    assert found is not None
    seen = json.loads(unescape(found.group(1)))
    assert seen["window"] == WIDTHS[kind]
    assert seen["scroll"] <= seen["window"]
    assert seen["past"] == []
    assert seen["smallest"] >= (8.5 if kind == "phone" else 11)
    assert seen["clipped"] == []
    assert len(seen["figures"]) == 9
    assert all(width > 250 and height > 100 for width, height in seen["figures"])


def test_scripts_do_not_run_in_a_report(page: Path, tmp_path: Path) -> None:
    copy = tmp_path / "index.html"
    copy.write_text(page.read_text("utf-8").replace("</body>", MEASURE + "</body>"), "utf-8")
    written = browse("--dump-dom", copy.as_uri(), profile=tmp_path / "p")
    assert "</html>" in written
    assert not re.search(r"<body[^>]*data-measured", written)


@pytest.mark.parametrize("kind", list(WIDTHS))
def test_the_page_is_drawn_in_light_and_dark(page: Path, tmp_path: Path, kind: str) -> None:
    width = WIDTHS[kind]
    light = picture(page, tmp_path, width=width)
    dark = picture(page, tmp_path, width=width, dark=True)
    assert light.shape == dark.shape == (3000, width, 3)
    assert light[5, 5] == pytest.approx(rgb(PAGE.light), abs=0.01)
    assert dark[5, 5] == pytest.approx(rgb(PAGE.dark), abs=0.01)
    for image in (light, dark):
        # Text and marks all the way down, not a page that stops or is blank.
        ink = np.abs(image - image[5, 5]).max(axis=2) > 0.3
        assert (ink.reshape(10, 300, -1).mean(axis=(1, 2)) > 0.004).all()
        colours = np.unique((image * 15).round().astype(int) @ [1, 16, 256])
        assert len(colours) > 60
    # The same things are drawn in both: where one has ink, mostly so has the other.
    both = [np.abs(image - image[5, 5]).max(axis=2) > 0.3 for image in (light, dark)]
    assert (both[0] & both[1]).sum() / (both[0] | both[1]).sum() > 0.6
