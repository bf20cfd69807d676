"""Features as Neuronpedia names them: quick lists, and explanations as its exports have them."""

from __future__ import annotations

import json
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

from dataclasses import dataclass


@dataclass(frozen=True)
class NeuronpediaFeature:
    """A feature in Neuronpedia's names.

    Attributes
    ----------
    model
        Model id, for example ``gpt2-small``.
    source
        Source id, for example ``8-res-jb``; Neuronpedia's files call it ``layer``.
    index
        Index of the latent.
    label
        What the atlas calls it, if it does.
    label_source
        What the label is made from.
    """

    model: str
    source: str
    index: int
    label: str | None = None
    label_source: str | None = None

    def place(self) -> dict[str, str]:
        """Return model, source and index; Neuronpedia's indices are text."""
        return {"modelId": self.model, "layer": self.source, "index": str(self.index)}


def write_quick_list(
    handle: IO[bytes], features: Iterable[NeuronpediaFeature], *, name: str
) -> int:
    """Write the list of a quick-list page: a name and the features; return their number."""
    listed = [
        feature.place() | ({"description": feature.label} if feature.label else {})
        for feature in features
    ]
    text = json.dumps({"name": name, "features": listed}, ensure_ascii=False, indent=1)
    handle.write(text.encode() + b"\n")
    return len(listed)


def write_explanations(handle: IO[bytes], features: Iterable[NeuronpediaFeature]) -> int:
    """Write the labels as lines of an explanations export; return the number of lines.

    Features without a label are left out. ``typeName`` is the label's source with ``atlas-``
    before it.
    """
    lines = 0
    for feature in features:
        if feature.label:
            row = {
                **feature.place(),
                "description": feature.label,
                "typeName": f"atlas-{feature.label_source or 'label'}",
                "explanationModelName": None,
            }
            handle.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
            lines += 1
    return lines
