"""Lists of features at Neuronpedia, for SAEs that are there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atlas.saes import LoadedSae
    from queries.studies.concept.setting import Setting

QUICK_LIST = "https://neuronpedia.org/quick-list/"

LINKS = pa.schema([("sae", pa.string()), ("neuronpedia", pa.string()), ("url", pa.string())])
"""A row an SAE: its id at Neuronpedia and a list of its features there, null where it has none."""


def link_table(setting: Setting, features: Mapping[str, Sequence[int]]) -> pa.Table:
    """Return the lists of each SAE's features; see `LINKS`."""
    rows = []
    for sae in setting.request.saes:
        place = neuronpedia_id(setting.lab.sae(sae))
        some = list(features.get(sae, ()))
        url = quick_list(place, some, name=setting.request.name) if place and some else None
        rows.append({"sae": sae, "neuronpedia": place, "url": url})
    return pa.Table.from_pylist(rows, schema=LINKS)


def neuronpedia_id(sae: LoadedSae) -> str | None:
    """Return an SAE's ``MODEL/SOURCE`` at Neuronpedia, from its metadata; None without one."""
    found = getattr(sae.sae.cfg.metadata, "neuronpedia_id", None)
    return str(found) if found and str(found).count("/") == 1 else None


def quick_list(place: str, index: Sequence[int], *, name: str) -> str:
    """Return the address of a list of features.

    Parameters
    ----------
    place
        ``MODEL/SOURCE``, such as ``gpt2-small/8-res-jb``.
    index
        Indices of features, from 0, as Neuronpedia counts them too.
    name
        Title of the list.
    """
    model, source = place.split("/")
    features = [{"modelId": model, "layer": source, "index": str(k)} for k in index]
    return f"{QUICK_LIST}?name={quote(name)}&features={quote(json.dumps(features))}"
