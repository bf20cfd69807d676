"""Reads an attribution graph as circuit-tracer writes it for its page and for Neuronpedia.

A JSON object with ``metadata`` (``slug``, ``scan``, ``prompt``, ``prompt_tokens``), ``nodes`` and
``links`` (``source``, ``target``, ``weight``: the direct effect of the source on the target). The
``node_id`` of a feature is ``LAYER_INDEX_POSITION``; its ``feature`` is another numbering of
(layer, index), which differs between writers, and is not read.
"""

from __future__ import annotations

import gzip
import json
import math
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from atlas.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

FEATURE, EMBEDDING, ERROR, LOGIT, OTHER = "feature", "embedding", "error", "logit", "other"
"""Kinds of nodes."""

_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class CircuitNode:
    """A node of an attribution graph.

    Attributes
    ----------
    id
        Its ``node_id``.
    kind
        One of FEATURE, EMBEDDING, ERROR, LOGIT, OTHER.
    position
        Token position in the prompt.
    layer, index
        Of a feature, else -1.
    activation, influence
        Of a feature; NaN where the file has none. Influence is the share of all influence on the
        logits that nodes up to this one hold together.
    text, probability
        Of a logit: what the file calls it, and its probability.
    """

    id: str
    kind: str
    position: int
    layer: int = -1
    index: int = -1
    activation: float = math.nan
    influence: float = math.nan
    text: str = ""
    probability: float = 0.0


@dataclass(frozen=True)
class Circuit:
    """An attribution graph.

    Attributes
    ----------
    slug, scan, prompt, prompt_tokens
        Its name, its model (or transcoders), and what it was made for.
    source_set
        Name of its features on Neuronpedia, if the file tells.
    nodes
        By id.
    links
        (source, target, weight), by ids.
    """

    slug: str
    scan: str
    prompt: str
    prompt_tokens: Sequence[str]
    source_set: str | None
    nodes: Mapping[str, CircuitNode]
    links: Sequence[tuple[str, str, float]]

    def of_kind(self, kind: str) -> list[CircuitNode]:
        """Return the nodes of a kind, in the file's order."""
        return [node for node in self.nodes.values() if node.kind == kind]


def read_circuit(path: Path) -> Circuit:
    """Read an attribution graph, compressed by gzip or not.

    Raises
    ------
    ArtifactError
        The file is missing or is none of an attribution graph; the message says where.
    """
    try:
        raw = path.read_bytes()
        value = json.loads(gzip.decompress(raw) if raw[:2] == _GZIP else raw)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise _refused(path, f"cannot be read: {error}") from error
    try:
        metadata = value["metadata"]
        nodes = _nodes(path, value["nodes"])
        return Circuit(
            slug=str(metadata["slug"]),
            scan=str(metadata["scan"]),
            prompt=str(metadata["prompt"]),
            prompt_tokens=[str(token) for token in metadata["prompt_tokens"]],
            source_set=_source_set(metadata),
            nodes=nodes,
            links=_links(path, value["links"], nodes),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"has no {error.args[0]!r}" if isinstance(error, KeyError) else f"is odd ({error})"
        raise _refused(path, what) from error


def _refused(path: Path, what: str) -> ArtifactError:
    return ArtifactError(
        f"{path} {what}.", hint="Give a graph file of circuit-tracer; nothing was stored."
    )


def _nodes(path: Path, values: Sequence[Mapping[str, Any]]) -> dict[str, CircuitNode]:
    nodes: dict[str, CircuitNode] = {}
    for number, value in enumerate(values):
        try:
            node = _node(value)
        except (KeyError, TypeError, ValueError) as error:
            raise _refused(path, f"has an odd node {number}: {error}") from error
        if node.id in nodes:
            # Old writers gave the error node of layer L the id of a feature L of layer 0.
            raise _refused(path, f"has two nodes {node.id}, so that its links are ambiguous")
        nodes[node.id] = node
    return nodes


def _node(value: Mapping[str, Any]) -> CircuitNode:
    ident, kind, position = str(value["node_id"]), _kind(value), int(value["ctx_idx"])
    if kind == LOGIT:
        probability = float(value.get("token_prob") or 0.0)
        text = str(value.get("clerp") or "")
        return CircuitNode(ident, kind, position, text=text, probability=probability)
    if kind != FEATURE:
        return CircuitNode(ident, kind, position)
    layer, index, _ = (int(part) for part in ident.split("_"))
    if str(layer) != str(value["layer"]) or index < 0:
        raise ValueError(f"{ident} is of layer {value['layer']}")
    # A file without a number has null, or nothing.
    activation, influence = (
        math.nan if value.get(name) is None else float(value[name])
        for name in ("activation", "influence")
    )
    return CircuitNode(ident, kind, position, layer, index, activation, influence)


def _kind(value: Mapping[str, Any]) -> str:
    told = str(value["feature_type"]).lower()
    if "error" in told:
        return ERROR
    if "transcoder" in told or told == "sae":
        return FEATURE
    return told if told in (EMBEDDING, LOGIT) else OTHER


def _links(
    path: Path, values: Sequence[Mapping[str, Any]], nodes: Mapping[str, CircuitNode]
) -> list[tuple[str, str, float]]:
    links: dict[tuple[str, str], float] = {}
    for number, value in enumerate(values):
        source, target = str(value["source"]), str(value["target"])
        weight = float(value["weight"])
        stranger = next((end for end in (source, target) if end not in nodes), None)
        if stranger is not None:
            raise _refused(path, f"has a link {number} to {stranger}, which is no node of it")
        if (source, target) in links or not math.isfinite(weight):
            raise _refused(path, f"has a link {number} that comes twice or has no finite weight")
        links[source, target] = weight
    return [(source, target, weight) for (source, target), weight in links.items()]


def _source_set(metadata: Mapping[str, Any]) -> str | None:
    """Return the source set that the metadata names, or that one of its addresses ends in."""
    named = (metadata.get("feature_details") or {}).get("neuronpedia_source_set")
    if named:
        return str(named)
    for url in (metadata.get("info") or {}).get("source_urls") or []:
        address = urlsplit(str(url))
        if "neuronpedia" in address.netloc:
            return address.path.rstrip("/").rpartition("/")[2] or None
    return None
