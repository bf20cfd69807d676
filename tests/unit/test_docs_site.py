"""The documentation site: every page is in the navigation, every link leads somewhere."""

from __future__ import annotations

import ast
import importlib.util
import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
FENCE = re.compile(r"^( *)(```+)(\w*)[^\n]*\n(.*?)^\1\2 *$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")
ELSEWHERE = re.compile(r"^(?:[a-z]+:)?//|^[a-z]+:")


def configuration() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
    return found


def name(page: Path) -> str:
    return page.relative_to(DOCS).as_posix()


def prose(page: Path) -> str:
    """Return a page without its blocks and spans of code."""
    return re.sub(r"`[^`\n]+`", "", FENCE.sub("", page.read_text("utf-8")))


@cache
def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as Python-Markdown makes them."""
    from markdown import Markdown

    made = Markdown(extensions=["toc", "attr_list", "fenced_code", "tables"])
    html = made.convert(page.read_text("utf-8"))
    return set(re.findall(r'<h\d id="([^"]+)"', html))


def _named(entry: Any) -> list[str]:
    if isinstance(entry, str):
        return [entry]
    parts = entry.values() if isinstance(entry, dict) else entry
    return [page for part in parts for page in _named(part)]


def _script(file: str) -> Any:
    spec = importlib.util.spec_from_file_location(file.removesuffix(".py"), DOCS / file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_navigation_names_every_page_once() -> None:
    named = _named(configuration()["nav"])
    assert sorted(named) == sorted(map(name, PAGES))


def test_the_site_is_strict_and_loads_nothing_from_elsewhere() -> None:
    found = configuration()
    assert found["strict"] is True
    assert found["theme"]["font"] is False
    assert set(found["validation"].values()) == {"warn"}
    extras = [*found.get("extra_css", []), *found.get("extra_javascript", [])]
    assert not [path for path in extras if ELSEWHERE.match(path)]
    assert all((DOCS / path).exists() for path in extras)
    # A repository's address makes the theme ask its host for stars; analytics speak for themselves.
    assert "repo_url" not in found
    assert "analytics" not in found.get("extra", {})
    for sheet in DOCS.rglob("*.css"):
        assert not re.search(r"@import|url\((?!['\"]?data:)", sheet.read_text("utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_loads_nothing_from_elsewhere(page: Path) -> None:
    text = prose(page)
    assert not re.search(r"!\[[^\]]*\]\((?:[a-z]+:)?//|<(?:script|iframe|link)\b", text)
    assert not re.search(r"<(?:img|source|video)\b[^>]*src=[\"'](?:[a-z]+:)?//", text)
    assert "```mermaid" not in page.read_text("utf-8")  # its script would come from elsewhere


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    broken = []
    for target in LINK.findall(prose(page)):
        if ELSEWHERE.match(target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        there = file.is_file() and file.is_relative_to(DOCS)
        if not there or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.stem)
def test_python_in_pages_is_python(page: Path) -> None:
    for _, _, language, block in FENCE.findall(page.read_text("utf-8")):
        if language in ("python", "py"):
            compile(block, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_begins_with_its_only_title(page: Path) -> None:
    text = FENCE.sub("", page.read_text("utf-8"))
    assert text.startswith("# ")
    assert len(re.findall(r"^# ", text, flags=re.MULTILINE)) == 1


def test_links_of_the_readme_lead_somewhere() -> None:
    targets = LINK.findall(prose(ROOT / "README.md"))
    assert not [path for path in targets if not (ROOT / path.partition("#")[0]).exists()]


def test_the_reference_of_commands_is_that_of_the_commands() -> None:
    made = _script("make_cli.py")
    assert made.PAGE.read_text("utf-8") == made.page(), "run python docs/make_cli.py"


def test_the_figures_are_those_that_are_drawn() -> None:
    made = _script("make_figures.py")
    for file, draw in made.FIGURES.items():
        text = (made.FOLDER / file).read_text("utf-8")
        assert text == draw(), "run python docs/make_figures.py"


class _Loads(HTMLParser):
    """Collects what a browser would load of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        loads = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
        if (attribute := loads.get(tag)) and (address := given.get(attribute)):
            self.found.append(address)


@pytest.mark.parametrize("figure", sorted(DOCS.rglob("*.svg")), ids=lambda path: path.name)
def test_figures_load_nothing(figure: Path) -> None:
    text = figure.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|href|<script|<image", text)


def test_names_in_the_python_reference_exist() -> None:
    text = (DOCS / "reference" / "api.md").read_text("utf-8")
    for dotted in re.findall(r"^::: (\S+)$", text, flags=re.MULTILINE):
        file = ROOT / dotted.replace(".", "/")
        if file.with_suffix(".py").exists() or (file / "__init__.py").exists():
            continue
        # Read and not imported: half of these would import torch.
        tree = ast.parse(file.parent.with_suffix(".py").read_text("utf-8"))
        assert file.name in {getattr(part, "name", None) for part in tree.body}, dotted


@pytest.mark.skipif(
    not all(importlib.util.find_spec(part) for part in ("mkdocs", "material", "mkdocstrings")),
    reason="the extra docs is not installed",
)
def test_the_site_builds_and_its_pages_load_nothing_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")
    monkeypatch.chdir(ROOT)
    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path), strict=True))
    pages = sorted(tmp_path.rglob("*.html"))
    assert len(pages) >= len(PAGES)
    for page in pages:
        loads = _Loads()
        loads.feed(page.read_text("utf-8"))
        assert not [one for one in loads.found if ELSEWHERE.match(one)], page
