"""What the pages read from the atlas, and what of it is kept in memory."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.errors import NotFoundError
from queries.catalogue import query
from queries.catalogue import run as run_query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

    from atlas.api import Atlas

    Row = dict[str, Any]

#: Seconds for which the list of runs and other small things are taken to be still true.
_FRESH = 30.0

_POINTS = """
MATCH (f:Feature {run: $run}) WHERE f.map_x IS NOT NULL
RETURN f.key AS key, f.map_x AS x, f.map_y AS y, f.label AS label, f.community AS community,
       f.firing_rate AS firing_rate, f.pagerank AS pagerank, f.degree AS degree, f.max AS max,
       f.top_domain AS domain
ORDER BY key
"""
_RUNS = """
MATCH (r:Run {state: 'loaded'})
WHERE r.kind IS NULL OR NOT r.kind IN ['intervention', 'attribution']
OPTIONAL MATCH (a:AlgorithmRun {run: r.key})
WITH r, max(a.created) AS analysed
RETURN r.key AS key, r.name AS name, r.created AS created, r.model AS model,
       [toString(r.loaded), toString(analysed)] AS state
ORDER BY created DESC, key
"""
_TITLES = "MATCH (c:Community {run: $run}) RETURN c.key AS key, c.label AS label"
_JOINED = """
MATCH (f:Feature {run: $run}) WHERE f.map_x IS NOT NULL
RETURN EXISTS { (f)-[r:%s]-() WHERE $kind IS NULL OR r.kind = $kind } AS joined
ORDER BY f.key
"""


@dataclass(frozen=True)
class Points:
    """Features of a run with a place on the map.

    Attributes
    ----------
    key, label, community, domain, sae
        Texts, object ``[features]``; an absent one is empty.
    x, y
        float32 ``[features]``.
    scores
        Name to float64 ``[features]``, NaN where a feature has none.
    """

    key: NDArray[np.object_]
    label: NDArray[np.object_]
    community: NDArray[np.object_]
    domain: NDArray[np.object_]
    sae: NDArray[np.object_]
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    scores: Mapping[str, NDArray[np.float64]]

    def __len__(self) -> int:
        return len(self.key)


KINDS = {
    "token": ("CO_OCCURS", "token"),
    "topic": ("CO_OCCURS", "topic"),
    "exclusive": ("CO_OCCURS", "exclusive"),
    "implies": ("IMPLIES", None),
    "feeds": ("FEEDS", None),
    "similar": ("SIMILAR_TO", None),
    "affects": ("AFFECTS", None),
}
"""Kinds of edges that points may be filtered by: type of the relationship, and its kind."""
SCORES = ("pagerank", "degree", "firing_rate", "max")
"""Scores that points may be sized by."""


class Store:
    """An atlas as the pages ask it; safe for many threads.

    Parameters
    ----------
    atlas
        The atlas; every read is a read-only transaction with a budget.
    """

    def __init__(self, atlas: Atlas) -> None:
        self.atlas = atlas
        self._kept: dict[tuple[Any, ...], tuple[float, Any, Any]] = {}
        self._lock = threading.Lock()
        self._making: dict[tuple[Any, ...], threading.Lock] = {}

    def ask(self, name: str, /, **parameters: Any) -> list[Row]:
        """Return the rows of a query of the catalogue, as plain dicts."""
        return run_query(self.atlas.reader, name, **parameters)

    def cypher(self, name: str) -> str:
        """Return the statement of a query of the catalogue."""
        return query(name).cypher

    def runs(self) -> list[Row]:
        """Return the builds in the atlas, newest first.

        Each has `key`, `name`, `created`, `model` and `state`: when it was loaded and analysed.
        """
        found: list[Row] = self.keep(
            ("runs",), lambda: [dict(row) for row in self.atlas.cypher(_RUNS)], seconds=_FRESH
        )
        return found

    def run(self, wanted: str | None) -> str:
        """Return a run that is there: the one that is wanted, or the newest.

        Raises
        ------
        NotFoundError
            There is no such run, or none.
        """
        keys = [row["key"] for row in self.runs()]
        if wanted in keys:
            return str(wanted)
        if wanted:
            raise NotFoundError(f"The atlas has no run {wanted!r}.", hint=f"It has {keys}.")
        if not keys:
            raise NotFoundError("The atlas is empty.", hint="Make one: `atlas demo`.")
        return str(keys[0])

    def points(self, run: str) -> Points:
        """Return the map of a run, read once for each state that it is in."""
        found: Points = self._of_state("points", run, lambda: self._points(run))
        return found

    def titles(self, run: str) -> Mapping[str, str]:
        """Return the labels of a run's communities, by their keys; an absent one is empty."""
        rows: list[Row] = self._of_state(
            "titles", run, lambda: [dict(row) for row in self.atlas.cypher(_TITLES, run=run)]
        )
        return {str(row["key"]): row["label"] or "" for row in rows}

    def joined(self, run: str, kind: str) -> NDArray[np.bool_]:
        """Tell which `points` have an edge of one of the `KINDS`; bool ``[features]``."""
        relation, value = KINDS[kind]

        def read() -> NDArray[np.bool_]:
            # One of the names above: a type that is a parameter would not be planned for.
            frame = self.atlas.frame(_JOINED % relation, run=run, kind=value)
            return frame["joined"].to_numpy(bool)

        # What experiments measured comes with runs of its own, and the build's state stays.
        seconds = _FRESH if relation == "AFFECTS" else None
        found: NDArray[np.bool_] = self._of_state(f"joined {kind}", run, read, seconds=seconds)
        return found

    def _of_state(
        self, what: str, run: str, make: Callable[[], Any], *, seconds: float | None = None
    ) -> Any:
        """Keep something of a run until the run is loaded or analysed anew, or for some seconds."""
        state = next(tuple(row["state"]) for row in self.runs() if row["key"] == run)
        return self.keep((what, run), make, seconds=seconds, state=state)

    def keep(
        self,
        key: tuple[Any, ...],
        make: Callable[[], Any],
        *,
        seconds: float | None = None,
        state: Any = None,
    ) -> Any:
        """Return what was made under a key, made once even if many ask at the same time.

        Parameters
        ----------
        key
            What it is.
        make
            Makes it.
        seconds
            How long it is good for; None: as long as the server runs.
        state
            What it was made from; under another state it is made anew, and the old one forgotten.
        """

        def kept() -> tuple[float, Any, Any] | None:
            with self._lock:
                made = self._kept.get(key)
            if made is None or made[1] != state:
                return None
            fresh = seconds is None or time.monotonic() - made[0] < seconds
            return made if fresh else None

        made = kept()
        if made is None:
            with self._lock:
                turn = self._making.setdefault(key, threading.Lock())
            with turn:
                made = kept()  # another thread may have made it while this one waited
                if made is None:
                    made = (time.monotonic(), state, make())
                    with self._lock:
                        self._kept[key] = made
        return made[2]

    def _points(self, run: str) -> Points:
        frame = self.atlas.frame(_POINTS, run=run)
        keys = frame["key"].to_numpy(object)
        return Points(
            key=keys,
            label=_texts(frame["label"]),
            community=_texts(frame["community"]),
            domain=_texts(frame["domain"]),
            sae=np.array([str(key).rpartition("/")[0] for key in keys], object),
            x=frame["x"].to_numpy(np.float32),
            y=frame["y"].to_numpy(np.float32),
            scores={name: frame[name].to_numpy(np.float64, na_value=np.nan) for name in SCORES},
        )


def _texts(column: Iterable[Any]) -> NDArray[np.object_]:
    return np.array([text if isinstance(text, str) else "" for text in column], object)
