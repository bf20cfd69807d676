"""Objects of py2neo for features, communities and runs: for reading.

Import this module only where py2neo is installed (extra ``[py2neo]``).

>>> from py2neo.ogm import Repository  # doctest: +SKIP
>>> repository = Repository.wrap(atlas.py2neo())  # doctest: +SKIP
>>> feature = repository.get(Feature, "toy/blocks.1.hook_resid_pre/planted/3")  # doctest: +SKIP
>>> [community.label for community in feature.communities]  # doctest: +SKIP

Do not push these objects. py2neo keeps one relationship between two nodes where the atlas has one
a kind and run, and a push gives all of them the properties of that one and deletes others: edges
are damaged (``atlas verify --repair`` mends a build's). Every object is read with all properties
of its node, a feature's with its decoder vector.
"""

from __future__ import annotations

from py2neo.ogm import GraphObject, Property, Related, RelatedFrom, RelatedTo

__all__ = ["Community", "Feature", "Run"]


class Run(GraphObject):  # type: ignore[misc]  # py2neo has no types
    """A `Run`; its key is its name and a hash."""

    __primarykey__ = "key"

    key = Property()
    name = Property()
    kind = Property()
    state = Property()
    model = Property()
    corpus = Property()
    documents = Property()
    positions = Property()

    features = RelatedFrom("Feature", "FROM_RUN")


class Community(GraphObject):  # type: ignore[misc]
    """A `Community`; its key is ``{run}/{algorithm}/{number}``."""

    __primarykey__ = "key"

    key = Property()
    run = Property()
    number = Property()
    size = Property()
    label = Property()
    top_tokens = Property()
    stability = Property()

    members = RelatedFrom("Feature", "MEMBER_OF")


class Feature(GraphObject):  # type: ignore[misc]
    """A `Feature`; its key is ``{model}/{hook}/{sae}/{index}``.

    `co_occurs` and `similar` have no direction, since the atlas stores such pairs once. Of a pair
    that is joined several times (by kind, or by several runs) they give one relationship, whichever
    the server sends last; ask in Cypher where that matters.
    """

    __primarykey__ = "key"

    key = Property()
    index = Property()
    run = Property()
    label = Property()
    label_source = Property()
    n = Property()
    firing_rate = Property()
    mean = Property()
    max = Property()
    dead = Property()
    dense = Property()
    top_tokens = Property()
    top_words = Property()
    promoted = Property()

    runs = RelatedTo("Run", "FROM_RUN")
    communities = RelatedTo("Community", "MEMBER_OF")
    co_occurs = Related("Feature", "CO_OCCURS")
    similar = Related("Feature", "SIMILAR_TO")
    implies = RelatedTo("Feature", "IMPLIES")
    implied_by = RelatedFrom("Feature", "IMPLIES")
