"""Maps that are kept as JSON, as parts of a page."""

from __future__ import annotations

import json
from typing import Any

from dash import html


def folded_json(title: str, value: Any) -> Any:
    """Return a map, perhaps as JSON text, folded."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = {"text": value}
    if not value:
        return None
    text = json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True)
    code = html.Pre(html.Code(text), tabIndex=0, **{"aria-label": title})
    return html.Details([html.Summary(title), code], className="cypher")
