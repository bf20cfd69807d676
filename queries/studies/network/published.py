"""Figures of the original study, which stand beside those found here.

They are of gpt2-small with the SAE gpt2-small-res-jb at blocks.7.hook_resid_pre, on 100 prompts
``Fact: {athlete} plays the sport of`` whose right answer ranks first.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

F: Mapping[str, float] = MappingProxyType(
    {"eigenvector": 30.41, "closeness": 19.69, "degree": 10.62, "betweenness": 2.22}
)
"""F of a one-way analysis of variance of each centrality over communities, with Bonferroni's
correction; all but that of betweenness were significant."""

R2: Mapping[float, float] = MappingProxyType({2.0: 0.117, 5.0: 0.144, 10.0: 0.150})
"""Factor of steering to the R2 of its effect regressed on betweenness."""

KEPT = 0.57
"""Share of prompts whose right answer ranks first."""

FEATURES = 175
"""Features by intersection of the prompts."""

H2_SUPPORTED = False
"""Whether sets within communities were found to differ from sets between them."""

DIFFERENCES = (
    "another model and SAE: a TopK SAE lets as many features fire at every position",
    "other facts, and those that this model knows",
    "the original's edges are not tested, and have neither sign nor weight",
    "the original's F of a centrality is over communities of the same graph",
)
"""Why figures here need not be those of the original."""
