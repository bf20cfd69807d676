"""Which table of a build becomes what in the graph: the one place that says so.

The Cypher that writes a build, the files of a bulk import, what is removed with a run, what must
be unique and known in the tables, and what is verified in the database are all derived from
`NODES`, `EDGES` and `PROPERTIES`. To add a table, describe its columns in `atlas.schemas` and add
a line here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from atlas.schemas import PAIRS, RELATIONS, schema

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class End:
    """A node that a row names by its key.

    Attributes
    ----------
    column
        Column with the node's key. It is no property of what the row becomes.
    label
        Label of the node. Nodes of `Run`, `Model`, `Sae` and `PromptSet` come from the record of
        the build or attribution run.
    """

    column: str
    label: str


@dataclass(frozen=True)
class Link:
    """A relationship, without properties, from the node that a row becomes.

    Attributes
    ----------
    type
        Type of the relationship.
    end
        The node that it goes to; None is the node of the run.
    """

    type: str
    end: End | None = None


@dataclass(frozen=True)
class NodeTable:
    """A table whose rows become nodes, one for each value of the column ``key``.

    Attributes
    ----------
    table
        Name of the table.
    label
        Label of the nodes; the database has a uniqueness constraint on its ``key``.
    links
        Relationships from the nodes, each there once.
    run
        Whether a property `run` names the run that the node's other properties are of.
    """

    table: str
    label: str
    links: tuple[Link, ...] = ()
    run: bool = False

    @property
    def ends(self) -> tuple[End, ...]:
        """The nodes of other tables that a row names."""
        return tuple(link.end for link in self.links if link.end is not None)

    @property
    def identity(self) -> tuple[str, ...]:
        """Columns that together are unique."""
        return ("key",)

    @property
    def properties(self) -> tuple[str, ...]:
        """Columns that become properties; a null is an absent property."""
        return _others(self.table, {end.column for end in self.ends})


@dataclass(frozen=True)
class EdgeTable:
    """A table whose rows, or some of whose rows, become relationships with a property `run`.

    Attributes
    ----------
    table
        Name of the table.
    type
        Type of the relationships.
    source, target
        The two ends.
    keyed
        Whether a property `key`, ``{run}|{SAE}|{index}|{index or key}|{kind}`` (see
        `ingest.graph_rows.pair_keys`), makes them unique; the database then has a uniqueness
        constraint on it. Only for relationships between features. Others are one a run, source and
        target.
    kind
        Column that ends the key: its text, or where it is a boolean its name if true.
    only
        Column and value: the rows of this type, where a table has several; that column is no
        property.
    """

    table: str
    type: str
    source: End
    target: End
    keyed: bool = False
    kind: str | None = None
    only: tuple[str, str] | None = None

    @property
    def ends(self) -> tuple[End, ...]:
        """The nodes that a row names."""
        return (self.source, self.target)

    @property
    def identity(self) -> tuple[str, ...]:
        """Columns that together are unique."""
        ends = (self.source.column, self.target.column)
        return (
            *ends,
            *((self.kind,) if self.kind else ()),
            *((self.only[0],) if self.only else ()),
        )

    @property
    def properties(self) -> tuple[str, ...]:
        """Columns that become properties; a null is an absent property."""
        own = {end.column for end in self.ends}
        return _others(self.table, own | ({self.only[0]} if self.only else set()))


@dataclass(frozen=True)
class PropertyTable:
    """A table whose rows add properties to nodes that another table made.

    Attributes
    ----------
    table
        Name of the table.
    node
        The node that a row is about.
    keep
        Properties that a null leaves as they are; others it removes.
    """

    table: str
    node: End
    keep: tuple[str, ...] = ()

    @property
    def ends(self) -> tuple[End, ...]:
        """The nodes that a row names."""
        return (self.node,)

    @property
    def identity(self) -> tuple[str, ...]:
        """Columns that together are unique."""
        return (self.node.column,)

    @property
    def properties(self) -> tuple[str, ...]:
        """Columns that become properties; a null is an absent property."""
        return _others(self.table, {self.node.column})


Element = NodeTable | EdgeTable | PropertyTable

_FEATURE = "Feature"

LABEL_SOURCE = "neuronpedia"
"""`label_source` of a feature whose label is an imported explanation."""

IMPORTED = ("label", "label_source")
"""Properties of such a feature that are no longer those of a build."""

LABELLED = (*IMPORTED, "label_embedding")
"""Properties that are no longer those of a build where `label_run` names labels of its run."""

LABEL_MARKS = ("label_run", "label_score", "label_contexts")
"""Properties that go with such labels, and go when a load writes a feature."""

LABEL_RECORD = "/label"
"""Follows a run in the key of the `AlgorithmRun` of its labels, which `label_run` names."""

NODES: tuple[NodeTable, ...] = (
    NodeTable("documents", "Document"),
    NodeTable("tokens", "Token"),
    NodeTable(
        "features", _FEATURE, links=(Link("IN", End("sae", "Sae")), Link("FROM_RUN")), run=True
    ),
    NodeTable("contexts", "Context", links=(Link("FROM_DOCUMENT", End("document", "Document")),)),
    NodeTable("concepts", "Concept"),
    NodeTable("prompts", "Prompt", links=(Link("IN", End("prompt_set", "PromptSet")),)),
)
"""Tables of nodes, each after those that it refers to."""

_KINDS = {"edges": "kind", "implies": "absorption"}

EDGES: tuple[EdgeTable, ...] = (
    *(
        EdgeTable(
            table,
            relation,
            End("source", _FEATURE),
            End("target", _FEATURE),
            keyed=True,
            kind=_KINDS.get(table),
        )
        for table, relation in PAIRS.items()
    ),
    EdgeTable("firings", "FIRES_IN", End("feature", _FEATURE), End("context", "Context")),
    EdgeTable("about", "ABOUT", End("feature", _FEATURE), End("concept", "Concept")),
    EdgeTable(
        "co_attributed",
        "CO_ATTRIBUTED",
        End("source", _FEATURE),
        End("target", _FEATURE),
        keyed=True,
    ),
    *(
        EdgeTable(
            "feature_tokens",
            relation,
            End("feature", _FEATURE),
            End("token", "Token"),
            only=("relation", relation),
        )
        for relation in RELATIONS
    ),
)
"""Tables of relationships; a table with several types has a line for each."""

PROPERTIES: tuple[PropertyTable, ...] = (
    # A decoder is the SAE's, whichever run knows it; an embedding is that of the run's label.
    PropertyTable("vectors", End("feature", _FEATURE), keep=("decoder",)),
)
"""Tables of properties. They come last: a bulk import leaves them to be written over Bolt."""

ELEMENTS: tuple[Element, ...] = (*NODES, *EDGES, *PROPERTIES)
"""Everything, in the order in which it is written."""


def load_order(tables: Sequence[str]) -> list[str]:
    """Return those of `tables` that are in the map, each after those that it refers to."""
    order = dict.fromkeys(element.table for element in ELEMENTS)
    return [table for table in order if table in tables]


def elements_of(table: str) -> tuple[Element, ...]:
    """Return what the rows of a table become: one element, or one for each relationship type.

    Raises
    ------
    KeyError
        The map does not have the table.
    """
    found = tuple(element for element in ELEMENTS if element.table == table)
    if not found:
        raise KeyError(table)
    return found


def table_of(label: str) -> str | None:
    """Return the table whose rows become nodes of `label`; None where ``run.json`` has them."""
    return next((node.table for node in NODES if node.label == label), None)


def _others(table: str, without: set[str]) -> tuple[str, ...]:
    return tuple(name for name in schema(table).names if name not in without)
