"""A small attribution graph, in the format of circuit-tracer's graph files."""

from __future__ import annotations

from typing import Any


def feature_node(
    layer: int, index: int, position: int, activation: float | None = None
) -> dict[str, Any]:
    """Return a feature's node; `feature` is a pairing of layer and index, as writers have it."""
    return {
        "node_id": f"{layer}_{index}_{position}",
        "feature": (layer + index) * (layer + index + 1) // 2 + index,
        "layer": str(layer),
        "ctx_idx": position,
        "feature_type": "cross layer transcoder",
        "jsNodeId": f"{layer}_{index}-0",
        "clerp": "",
        "influence": None if activation is None else 0.5,
        "activation": activation,
    }


def other_node(ident: str, kind: str, *, layer: str, position: int, **more: Any) -> dict[str, Any]:
    """Return a node that is no feature."""
    return {
        "node_id": ident,
        "feature": -1,
        "layer": layer,
        "ctx_idx": position,
        "feature_type": kind,
        "jsNodeId": ident,
        "clerp": "",
        **more,
    }


def circuit() -> dict[str, Any]:
    """Return a graph: two tokens, features of layers 0 and 1, an error and a logit.

    Feature 5 of layer 1 occurs at two positions; layer 0 and feature 999 are of no test build.
    """
    nodes = [
        feature_node(0, 2, 1),
        feature_node(1, 5, 1, 1.25),
        feature_node(1, 5, 2, 2.5),
        feature_node(1, 8, 2, 0.5),
        feature_node(1, 999, 2, 0.5),
        other_node("E_10_0", "embedding", layer="E", position=0),
        other_node("E_11_1", "embedding", layer="E", position=1),
        other_node("1_-1_2", "mlp reconstruction error", layer="1", position=2),
        other_node(
            "3_42_2",
            "logit",
            layer="3",
            position=2,
            token_prob=0.75,
            is_target_logit=True,
            clerp='Output " red" (p=0.750)',
        ),
    ]
    links = [
        ("E_10_0", "0_2_1", 3.0),
        ("E_11_1", "1_5_1", 2.0),
        ("E_11_1", "1_5_2", -0.5),
        ("0_2_1", "1_5_2", 1.5),
        ("1_5_1", "1_8_2", 0.75),
        ("1_5_2", "1_8_2", -0.25),
        ("1_-1_2", "1_8_2", 0.125),
        ("1_8_2", "3_42_2", 4.0),
        ("1_5_2", "3_42_2", 1.0),
        ("1_999_2", "3_42_2", 0.5),
    ]
    return {
        "metadata": {
            "slug": "capitals",
            "scan": "toy",
            "transcoder_list": [],
            "prompt_tokens": ["The", " heart", " is"],
            "prompt": "The heart is",
            "node_threshold": 0.8,
            "schema_version": 1,
            "feature_details": {"neuronpedia_source_set": "res"},
        },
        "qParams": {"pinnedIds": [], "supernodes": [], "linkType": "both", "clickedId": ""},
        "nodes": nodes,
        "links": [{"source": s, "target": t, "weight": w} for s, t, w in links],
    }
