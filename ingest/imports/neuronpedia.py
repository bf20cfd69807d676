"""Reads explanations as Neuronpedia exports them: one JSON object a line, compressed or not.

A line has ``modelId``, ``layer`` (the source's id, such as ``8-res-jb``), ``index`` (text),
``description``, ``typeName`` (how it was made) and ``explanationModelName`` (by which model). The
list that Neuronpedia's interface returns, one JSON array of the same objects, is read as well.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from atlas.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_GZIP = b"\x1f\x8b"
_SHOWN = 60


@dataclass(frozen=True)
class Explanation:
    """One explanation of one feature.

    Attributes
    ----------
    key
        ``neuronpedia/ID``, or a hash of the rest where the line has no id.
    place
        ``MODEL/SOURCE``: what an SAE calls its Neuronpedia id.
    index
        Index of the latent.
    text
        The explanation.
    method, model
        How it was made and by which language model, if the line says so.
    score, score_type
        How good it was found to be and by which measure, if the line says so.
    """

    key: str
    place: str
    index: int
    text: str
    method: str | None
    model: str | None
    score: float | None
    score_type: str | None


def read_explanations(path: Path) -> Iterator[Explanation | None]:
    """Yield what each line holds; None for a line whose explanation is empty.

    Raises
    ------
    ArtifactError
        The file cannot be read, or a line is none of an explanation; the message has its number.
    """
    for what, value in _values(path):
        try:
            yield _explanation(value)
        except (KeyError, TypeError, ValueError) as error:
            told = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
            raise ArtifactError(
                f"{path}, {what}: {told}.",
                hint="Nothing of this file was stored; correct the line or export it again.",
            ) from error


def _values(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield where it stands and its value, for each JSON value of a file."""
    number = 0
    try:
        with _open(path) as handle:
            for line in handle:
                number += 1
                if number == 1 and line.lstrip().startswith("["):
                    items = json.loads(line + handle.read())
                    yield from ((f"item {i}", item) for i, item in enumerate(items, start=1))
                elif line.strip():
                    yield f"line {number}", json.loads(line)
    except json.JSONDecodeError as error:
        raise ArtifactError(
            f"{path}, line {max(number, error.lineno)}: no JSON ({error.msg}).",
            hint="Nothing of this file was stored; export it again.",
        ) from error
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise ArtifactError(
            f"{path} cannot be read after line {number}: {error}.",
            hint="Nothing of this file was stored; give a JSONL file, compressed by gzip or not.",
        ) from error


def _open(path: Path) -> IO[str]:
    with path.open("rb") as raw:
        packed = raw.read(2) == _GZIP
    return gzip.open(path, "rt", encoding="utf-8") if packed else path.open(encoding="utf-8")


def _explanation(value: Any) -> Explanation | None:
    if not isinstance(value, dict):
        raise TypeError("no JSON object")
    model, source = _text(value, "modelId"), _text(value, "layer")
    index = str(value["index"])
    if not index.isdecimal():
        raise ValueError(f"index is {index[:_SHOWN]!r}, no number")
    if value["description"] is None or value["description"] == "":
        return None
    text = _text(value, "description")
    method, by = value.get("typeName"), value.get("explanationModelName")
    score, score_type = _score(value)
    known = value.get("id") or _digest(model, source, index, text, str(method), str(by))
    return Explanation(
        f"neuronpedia/{known}", f"{model}/{source}", int(index), text, method, by, score, score_type
    )


def _text(value: dict[str, Any], name: str) -> str:
    found = value[name]
    if not isinstance(found, str) or not found:
        raise TypeError(f"{name} is {str(found)[:_SHOWN]!r}, no text")
    return found


def _score(value: dict[str, Any]) -> tuple[float | None, str | None]:
    """Return the first of the scores, or the one number of older lines."""
    scores = value.get("scores") or []
    if scores:
        return float(scores[0]["value"]), scores[0].get("explanationScoreTypeName")
    # Both are 0 or null where nothing was scored.
    old = value.get("scoreV2") or value.get("scoreV1")
    return (float(old), None) if old else (None, None)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:24]
