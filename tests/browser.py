"""What tests of the explorer wait for in a browser.

Pages fill themselves in parts, so what is read once may be read too soon on a busy machine: here
it is asked for until it holds.
"""

from __future__ import annotations

import io
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable

_sync = pytest.importorskip("playwright.sync_api")
#: Milliseconds that a page has for anything that it shows.
PATIENCE = 60_000
_sync.expect.set_options(timeout=PATIENCE)

expect = _sync.expect


def part(text: str) -> re.Pattern[str]:
    """Return a pattern for what holds a text."""
    return re.compile(re.escape(text))


def begin(text: str) -> re.Pattern[str]:
    """Return a pattern for what begins with a text."""
    return re.compile("^" + re.escape(text))


def until(page: Any, ask: Callable[[], Any], hold: Callable[[Any], bool]) -> Any:
    """Ask until the answer holds, and return it.

    Raises
    ------
    AssertionError
        With the last answer, where none holds in time.
    """
    end = time.monotonic() + PATIENCE / 1000
    while not hold(got := ask()):
        assert time.monotonic() < end, got
        page.wait_for_timeout(50)
    return got


def becomes(page: Any, script: str, wanted: Any) -> None:
    """Wait until a script's value is the one that is wanted."""
    until(page, lambda: page.evaluate(script), lambda got: got == wanted)


def settled(page: Any, script: str) -> Any:
    """Return a script's value once it no longer changes: of what moves to its place."""
    seen: list[Any] = []

    def same(got: Any) -> bool:
        seen.append(got)
        return len(seen) > 3 and all(one == got for one in seen[-4:])

    return until(page, lambda: page.evaluate(script), same)


def loaded(page: Any) -> None:
    """Wait until no part of a page says that it is being loaded."""
    page.wait_for_selector("#main h1")
    expect(page.locator("#main :text('Loading ...'), #main ._dash-loading-callback")).to_have_count(
        0
    )


def colours(place: Any) -> int:
    """Return the number of colours of what a locator finds, as it is drawn."""
    seen = Image.open(io.BytesIO(place.screenshot())).convert("RGB")
    return len(seen.getcolors(1 << 20))
