"""Serves the reports of studies, which lie in the folders of their follow-ups.

A report is a page that was written by the atlas, but texts of models and prompts are in it, and
its folder may have come from elsewhere. So it gets a policy that lets nothing run, and only files
of the kinds that a report has are served, from within its folder alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flask import Response, abort, request, send_file

if TYPE_CHECKING:
    from pathlib import Path

    from flask import Flask

PREFIX = "/reports/"
"""Where reports are: ``/reports/RUN/`` and the files beside it."""
_RUN = re.compile(r"[A-Za-z0-9_]+(-[A-Za-z0-9_]+)*")
_TYPES = {
    ".html": "text/html", ".svg": "image/svg+xml", ".png": "image/png", ".css": "text/css",
    ".csv": "text/csv", ".json": "application/json", ".parquet": "application/octet-stream",
}  # fmt: skip
_FIRST = "index.html"
#: Scripts are allowed neither by their sources nor by the sandbox. The page keeps its origin, which
#: without scripts gives it nothing but the cookie that its own tables and pictures are asked with.
POLICY = "; ".join(
    [
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        "img-src 'self' data:",
        "font-src data:",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "sandbox allow-same-origin allow-downloads allow-popups",
    ]
)


def attach(server: Flask, followups: Path) -> None:
    """Have a server serve the reports of the follow-ups in a folder.

    Has to be called before the explorer's guard is attached: what is attached first sees the
    answer last, and so can give it a stricter policy than the other pages have.

    Parameters
    ----------
    server
        The explorer's.
    followups
        Folder with a folder a follow-up.
    """

    def serve(run: str, file: str = _FIRST) -> Response:
        found = report_file(followups, run, file)
        if found is None:
            abort(404)
        answer = send_file(found, mimetype=_TYPES[found.suffix])
        if found.suffix == ".parquet":
            answer.headers["Content-Disposition"] = f'attachment; filename="{found.name}"'
        return answer

    def restrict(response: Response) -> Response:
        if request.path.startswith(PREFIX):
            response.headers["Content-Security-Policy"] = POLICY
        return response

    server.add_url_rule(f"{PREFIX}<run>/", "report", serve)
    server.add_url_rule(f"{PREFIX}<run>/<path:file>", "report file", serve)
    server.after_request(restrict)


def report_file(followups: Path, run: str, file: str = _FIRST) -> Path | None:
    """Return a file of a run's report; None where there is none, or it may not be served.

    Parameters
    ----------
    followups
        Folder with a folder a follow-up.
    run
        Name of the follow-up.
    file
        Path within its report.
    """
    if not _RUN.fullmatch(run):
        return None
    root = (followups / run / "report").resolve()
    try:
        # Links are followed before it is checked where they lead.
        found = (root / file).resolve()
        inside = root.is_relative_to(followups.resolve()) and found.is_relative_to(root)
        return found if inside and found.suffix in _TYPES and found.is_file() else None
    except (OSError, ValueError):  # a name that no file can have
        return None
