"""The queries of the catalogue, a method each."""

# Written by `python -m queries.codegen` from queries/cypher; change the headers there.

from __future__ import annotations

from atlas.api.catalogue.communities import CommunitiesPart
from atlas.api.catalogue.concepts import ConceptsPart
from atlas.api.catalogue.experiments import ExperimentsPart
from atlas.api.catalogue.features import FeaturesPart
from atlas.api.catalogue.paths import PathsPart
from atlas.api.catalogue.relations import RelationsPart
from atlas.api.catalogue.runs import RunsPart
from atlas.api.catalogue.search import SearchPart

__all__ = ["Queries"]


class Queries(
    FeaturesPart,
    RelationsPart,
    CommunitiesPart,
    PathsPart,
    ConceptsPart,
    SearchPart,
    ExperimentsPart,
    RunsPart,
):
    """What the graph is asked."""
