"""A browser, and an explorer of the planted atlas to look at with it.

The browser is the system's Chromium, or what ATLAS_CHROMIUM names. Screenshots go to the folder
that ATLAS_SCREENSHOTS names, if it does.
"""

from __future__ import annotations

import os
import re
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from atlas.web.app import create_app
from atlas.web.settings import WebSettings
from benchmarks._chromium import chromium
from tests.browser import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dash import Dash

    from atlas.api import Atlas

_FLAGS = ["--no-sandbox"]
#: Graphics in software, which machines without a graphics card need for WebGL; it costs time.
_WEBGL = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
# Warnings of cytoscape's own about styles, and of software graphics about its speed.
_QUIET = re.compile(r"wheel sensitivity|GPU stall|Automatic fallback|swiftshader|WebGL", re.I)
_OWN = re.compile(r"http://127\.0\.0\.1[:/]|data:|blob:")
_PLACES = """
MATCH (f:Feature) WITH f ORDER BY f.key
WITH collect(f) AS found UNWIND range(0, size(found) - 1) AS k
WITH found[k] AS f, k SET f.map_x = cos(k * 1.3) * (1 + k % 3), f.map_y = sin(k * 1.3) * (1 + k % 4)
"""


@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Return the system's Chromium, with WebGL for modules that say ``WEBGL = True``.

    Not of the session: while Playwright runs, so does a loop of asyncio in this thread, and tests
    of other modules start loops of their own.
    """
    sync = pytest.importorskip("playwright.sync_api")
    path = chromium()
    if path is None:
        pytest.skip("there is no Chromium")
    with sync.sync_playwright() as running:
        more = _WEBGL if getattr(request.module, "WEBGL", False) else ["--disable-gpu"]
        opened = running.chromium.launch(executable_path=path, args=[*_FLAGS, *more])
        yield opened
        opened.close()


class Served:
    """A WSGI application that answers on a free port of this machine."""

    def __init__(self, app: Dash) -> None:
        from waitress import create_server

        self._server: Any = create_server(app.server, host="127.0.0.1", port=0, threads=6)
        self.url = f"http://127.0.0.1:{self._server.effective_port}"
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.close()
        for channel in list(self._server.active_channels.values()):  # kept open by the browser
            with suppress(OSError):
                channel.socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=5)


@pytest.fixture(scope="module")
def explorer(planted_atlas: Atlas) -> Iterator[str]:
    """Return the address of an explorer of the planted atlas, whose features have places."""
    planted_atlas.driver.execute_query(_PLACES)
    served = Served(create_app(planted_atlas, WebSettings(requests_per_second=1000, burst=5000)))
    yield served.url
    served.stop()


@pytest.fixture(scope="module")
def context(browser: Any) -> Iterator[Any]:
    """Return the profile that a module's pages share: scripts are fetched and compiled once."""
    opened = browser.new_context()
    opened.set_default_timeout(PATIENCE)
    yield opened
    opened.close()


@pytest.fixture
def page(context: Any) -> Iterator[Any]:
    """Return a page that fails its test on errors of scripts and on requests to other machines."""
    yield from opened_page(context)


@pytest.fixture
def narrow(context: Any) -> Iterator[Any]:
    """Return a page as wide as a phone, with its checks."""
    yield from opened_page(context, width=380, height=760)


def opened_page(context: Any, *, width: int = 1280, height: int = 900) -> Iterator[Any]:
    """Yield a page, check what happened on it, and forget what it kept."""
    made, wrong = context.new_page(), list[str]()
    made.set_viewport_size({"width": width, "height": height})
    made.on("pageerror", lambda error: wrong.append(str(error)))
    made.on("console", lambda said: wrong.append(said.text) if _is_error(said) else None)
    made.on("request", lambda sent: None if _OWN.match(sent.url) else wrong.append(sent.url))
    yield made
    made.evaluate("if (location.protocol === 'http:') { localStorage.clear(); }")
    for opened in context.pages:  # the test may have opened others
        opened.close()
    context.clear_cookies()
    context.clear_permissions()
    assert not wrong, wrong


def _is_error(said: Any) -> bool:
    return said.type == "error" and not _QUIET.search(said.text)


@pytest.fixture
def screenshot(request: pytest.FixtureRequest) -> Callable[[Any, str], None]:
    """Return a function that keeps a picture of a page, where pictures are asked for."""
    folder = os.environ.get("ATLAS_SCREENSHOTS")

    def keep(page: Any, name: str) -> None:
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=f"{folder}/{request.module.__name__}-{name}.png", full_page=True)

    return keep
