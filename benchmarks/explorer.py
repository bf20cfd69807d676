"""How fast the explorer is on an atlas of full size, and whether it holds many users.

`python -m benchmarks.explorer --json` loads a drawn build of 24,576 features and a million edges
into a managed server of its own, serves the explorer as `atlas serve` does, in a process of its
own, and measures

- ``first_view_s``: from an empty browser (the system's Chromium) to the map with all features
  drawn, median of some fresh contexts; ``first_view_cold_s`` is the very first, for which the
  server reads the map from the database;
- ``feature_page_ms``: how long the server is at work on a feature's page, with all that the page
  asks for afterwards and its files, 95th percentile over features drawn by degree, and the
  median; the server writes from when to when it worked at a request into its answer;
- ``outside_requests``: requests of the browser to anything but the server;
- ``soak_errors``: pages of which an answer is not in order while some users at once walk through
  pages, with all that a page asks for, for minutes; with ``soak_requests`` and the memory of the
  server before and after.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from atlas import Atlas
from atlas.graph.server import ManagedServer
from benchmarks._atlas_build import EDGES, FEATURES, write_atlas_build
from benchmarks._chromium import chromium
from benchmarks._figures import print_figures
from benchmarks.queries import features_by_degree

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Pages before those that count let the database compile and plan its queries.
VIEWS, PAGES, WARM = 5, 60, 20
USERS, SOAK_SECONDS = 20, 300.0
_FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader",
          "--enable-unsafe-swiftshader"]  # fmt: skip
_READY = "RETURN EXISTS { (f:Feature) WHERE f.map_x IS NOT NULL } AS ready"
_PLACES = """
MATCH (f:Feature) CALL (f) { SET f.map_x = rand(), f.map_y = rand() } IN TRANSACTIONS
"""
_SERVE = """
import sys, time
from flask import g, request
from waitress import serve
from atlas import Atlas
from atlas.web.app import create_app
from atlas.web.settings import WebSettings
atlas = Atlas.connect(home=sys.argv[1])
app = create_app(atlas, WebSettings(requests_per_second=1e6, burst=10**9))
@app.server.before_request
def begin():
    g.began = time.perf_counter()
@app.server.after_request
def end(answer):
    answer.headers['X-Spent'] = f'{g.began} {time.perf_counter()}'
    return answer
serve(app.server, host='127.0.0.1', port=int(sys.argv[2]), threads=8)
"""


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--edges", type=int, default=EDGES)
    parser.add_argument("--features", type=int, default=FEATURES)
    parser.add_argument("--users", type=int, default=USERS)
    parser.add_argument("--soak", type=float, default=SOAK_SECONDS, help="seconds")
    parser.add_argument("--folder", type=Path, help="keep the atlas here, and use it again")
    options = parser.parse_args()
    if options.folder:
        figures = measure(options.folder, options)
    else:
        with tempfile.TemporaryDirectory() as folder:
            figures = measure(Path(folder), options)
    print_figures(figures, as_json=options.json)


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Measure everything in `folder`, with servers of its own that are stopped afterwards."""
    server = ManagedServer(folder / "home")
    try:
        server.start(memory="3g")
        with Atlas.connect(home=folder / "home") as atlas:
            if not atlas.cypher(_READY)[0]["ready"]:
                _fill(atlas, folder / "build", options)
            keys = features_by_degree(atlas, PAGES + WARM)
        with served(folder / "home") as (url, process):
            figures = {"features": options.features, "edges": options.edges}
            figures |= seen(url, keys)
            figures |= soak(url, keys, process=process, users=options.users, seconds=options.soak)
    finally:
        server.stop()
    return figures


def _fill(atlas: Atlas, folder: Path, options: argparse.Namespace) -> None:
    """Load a build as large as asked for, with communities and a map; the map comes last."""
    atlas.load(write_atlas_build(folder, features=options.features, edges=options.edges))
    atlas.analyse(communities="leiden")
    with atlas.driver.session() as session:
        session.run(_PLACES).consume()


class served:  # noqa: N801
    """The explorer in a process of its own; gives its address and process."""

    def __init__(self, home: Path) -> None:
        self.port = _free_port()
        self.process = subprocess.Popen(
            [sys.executable, "-c", _SERVE, str(home), str(self.port)], env=dict(os.environ)
        )

    def __enter__(self) -> tuple[str, psutil.Process]:
        url = f"http://127.0.0.1:{self.port}"
        for _ in range(240):
            try:
                _request(http.client.HTTPConnection(url[7:], timeout=2), "/assets/atlas.css")
            except OSError:
                time.sleep(0.25)
            else:
                return url, psutil.Process(self.process.pid)
        raise RuntimeError("the explorer did not start")

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(timeout=20)


def seen(url: str, keys: Sequence[str]) -> dict[str, Any]:
    """Open pages in a browser."""
    from playwright.sync_api import sync_playwright

    outside: list[str] = []
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=chromium(), args=_FLAGS)
        views = [_first_view(browser, url, outside) for _ in range(VIEWS + 1)]
        times = _feature_pages(browser, url, keys, outside=outside)
        browser.close()
    return {
        "first_view_s": round(median(views[1:]), 2),
        "first_view_cold_s": round(views[0], 2),
        "feature_page_ms": round(float(np.percentile(times, 95)), 1),
        "feature_page_median_ms": round(median(times), 1),
        "outside_requests": len(outside),
    }


def _first_view(browser: Any, url: str, outside: list[str]) -> float:
    with _page(browser, url, outside) as page:
        began = time.perf_counter()
        page.goto(url)
        page.wait_for_selector("#map[data-ready]", timeout=60_000)
        return time.perf_counter() - began


def _feature_pages(
    browser: Any, url: str, keys: Sequence[str], *, outside: list[str]
) -> list[float]:
    times: list[float] = []
    with _page(browser, url, outside) as page:
        spent: list[tuple[float, float]] = []
        page.on("response", lambda answer: spent.append(_worked(answer)))
        for place, key in enumerate(keys):
            spent.clear()
            page.goto(f"{url}/feature?key={key}")
            page.wait_for_selector("#main h1", timeout=60_000)
            page.wait_for_load_state("networkidle")
            if place >= WARM:
                times.append(1000 * _at_work(spent))
    return times


def _worked(answer: Any) -> tuple[float, float]:
    """Return from when to when the server worked at a request, in seconds of its own clock."""
    began, ended = answer.headers.get("x-spent", "0 0").split()
    return float(began), float(ended)


def _at_work(spans: Sequence[tuple[float, float]]) -> float:
    """Return for how long the server was at work; requests at the same time count once."""
    total, until = 0.0, 0.0
    for began, ended in sorted(spans):
        total += max(0.0, ended - max(began, until))
        until = max(until, ended)
    return total


class _page:  # noqa: N801
    """A page in a fresh context, whose requests to elsewhere are written down."""

    def __init__(self, browser: Any, url: str, outside: list[str]) -> None:
        self.context = browser.new_context(viewport={"width": 1280, "height": 900})
        self.url, self.outside = url, outside

    def __enter__(self) -> Any:
        page = self.context.new_page()
        page.on("request", lambda sent: self._note(sent.url))
        return page

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def _note(self, url: str) -> None:
        if not url.startswith((self.url, "data:", "blob:")):
            self.outside.append(url)


def soak(
    url: str, keys: Sequence[str], *, process: psutil.Process, users: int, seconds: float
) -> dict[str, Any]:
    """Let users walk through pages at the same time."""
    walks = [Walk(url, keys, seed) for seed in range(users)]
    _settle(walks, min(20.0, seconds / 4))
    before = process.memory_info().rss
    _settle(walks, seconds)
    after = process.memory_info().rss
    return {
        "soak_users": users,
        "soak_seconds": seconds,
        "soak_pages": sum(walk.pages for walk in walks),
        "soak_requests": sum(walk.requests for walk in walks),
        "soak_errors": sum(walk.errors for walk in walks),
        "soak_p95_ms": round(float(np.percentile([t for w in walks for t in w.times], 95)), 1),
        "memory_before_mib": round(before / 2**20),
        "memory_after_mib": round(after / 2**20),
    }


def _settle(walks: Sequence[Walk], seconds: float) -> None:
    until = time.monotonic() + seconds
    threads = [threading.Thread(target=walk.go, args=(until,)) for walk in walks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def views(key: str) -> list[tuple[str, str]]:
    """Return the pages that a user opens, one of them of a feature: path and query."""
    return [
        ("/", ""), ("/feature", f"?key={key}"), ("/graph", f"?key={key}"),
        ("/search", "?q=heart"), ("/communities", ""), ("/runs", ""),
    ]  # fmt: skip


class Walk:
    """One user, who opens a page, reads for a while, and opens another."""

    def __init__(self, url: str, keys: Sequence[str], seed: int) -> None:
        self.keys = keys
        self.connection = http.client.HTTPConnection(url[7:], timeout=60)
        self.rng = np.random.default_rng(seed)
        self.pages = self.requests = self.errors = 0
        self.times: list[float] = []

    def go(self, until: float) -> None:
        """Walk until a time of the monotonic clock."""
        while time.monotonic() < until:
            self.pages += 1
            self.errors += not self.open(*self._next())
            time.sleep(float(self.rng.exponential(1.0)))

    def _next(self) -> tuple[str, str]:
        pages = views(self.keys[int(self.rng.integers(len(self.keys)))])
        return pages[int(self.rng.integers(len(pages)))]

    def open(self, path: str, search: str) -> bool:
        """Ask for a page and its parts as the browser does; whether all answers are in order."""
        address = [
            ("address", "pathname", path), ("address", "search", search), ("again", "data", None),
        ]  # fmt: skip
        page = self._ask(["main.children", "title.data"], address)
        if page is None:
            return False
        parts = list(_parts(page["main"]["children"]))
        asked = {part["id"]: part["data"] for part in parts if "data" in part}
        places = [part["id"] for part in parts if part.get("className") == "group"]
        for place in places:
            name = next((n for n in asked if place.startswith(n.removesuffix("asked"))), "")
            if self._ask([f"{place}.children"], [(name, "data", asked.get(name))]) is None:
                return False
        return True

    def _ask(
        self, outputs: Sequence[str], inputs: Sequence[tuple[str, str, Any]]
    ) -> dict[str, Any] | None:
        """Ask a callback; None where the answer is not in order."""
        split = [dict(zip(("id", "property"), name.split("."), strict=True)) for name in outputs]
        several = len(outputs) > 1
        asked = {
            "output": f"..{'...'.join(outputs)}.." if several else outputs[0],
            "outputs": split if several else split[0],
            "inputs": [{"id": i, "property": name, "value": value} for i, name, value in inputs],
            "changedPropIds": [".".join(inputs[0][:2])],
        }
        self.requests += 1
        began = time.perf_counter()
        try:
            status, text = _request(self.connection, "/_dash-update-component", json.dumps(asked))
            found: dict[str, Any] = json.loads(text)["response"]
        except (OSError, ValueError, KeyError, http.client.HTTPException):
            self.connection.close()
            return None
        self.times.append(1000 * (time.perf_counter() - began))
        wrong = status != http.HTTPStatus.OK or '"className": "error"' in json.dumps(found)
        return None if wrong else found


def _parts(node: Any) -> Iterator[dict[str, Any]]:
    """Yield the properties of all components under one."""
    if isinstance(node, list):
        for child in node:
            yield from _parts(child)
    elif isinstance(node, dict) and "props" in node:
        yield node["props"]
        yield from _parts(node["props"].get("children"))


def _request(
    connection: http.client.HTTPConnection, path: str, body: str | None = None
) -> tuple[int, bytes]:
    sent = {"Content-Type": "application/json"} if body is not None else {}
    connection.request("GET" if body is None else "POST", path, body, sent)
    answer = connection.getresponse()
    return answer.status, answer.read()


def _free_port() -> int:
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


if __name__ == "__main__":
    main()
