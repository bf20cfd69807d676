"""Features, communities and runs as objects, each with the queries that begin from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from atlas.api.chains import CommunityQueries, FeatureQueries, FeaturesQueries, RunQueries
from atlas.api.html import feature_as_html
from atlas.api.table import Table, as_text
from atlas.errors import UsageError

if TYPE_CHECKING:
    import networkx as nx
    from rich.table import Table as RichTable

    from atlas.graph.reader import Row


_MOST_EDGES = 100_000


class Record(Mapping[str, Any]):
    """One node of the graph: a mapping of what is known of it, read when it is first needed.

    Parameters
    ----------
    row
        What is known, with at least ``key``.
    atlas
        The `Atlas` to ask for more.
    whole
        `row` has all columns of the card.
    """

    card_query: ClassVar[str]

    def __init__(self, row: Mapping[str, Any], *, atlas: Any = None, whole: bool = False) -> None:
        self._row = dict(row)
        self._atlas = atlas
        self._whole = whole

    @property
    def key(self) -> str:
        """Its unique key."""
        return str(self._row["key"])

    def card(self) -> Row:
        """Return everything that the graph says of it; read once."""
        if not self._whole:
            self._row |= getattr(self._asking(), self.card_query)(self.key)
            self._whole = True
        return dict(self._row)

    def _asking(self) -> Any:
        if self._atlas is None:
            raise UsageError(
                f"{self.key} is not connected to an atlas.",
                hint="Ask the atlas with its key; an AsyncAtlas is asked with await.",
            )
        return self._atlas

    def __getitem__(self, name: str) -> Any:
        if name not in self._row and not self._whole:
            self.card()
        return self._row[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.card())

    def __len__(self) -> int:
        return len(self.card())

    def __hash__(self) -> int:
        return hash((type(self), self.key))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Record):
            return type(self) is type(other) and self.key == other.key
        return isinstance(other, Mapping) and self.card() == dict(other)

    def __repr__(self) -> str:
        label = self._row.get("label")
        return f"{type(self).__name__}({self.key!r}{f', {label!r}' if label else ''})"

    def __rich__(self) -> RichTable:
        from rich.table import Table as RichTable
        from rich.text import Text

        made = RichTable(title=Text(repr(self)), title_justify="left", show_header=False)
        for name, value in self.card().items():
            made.add_row(Text(name), Text(as_text(value)))
        return made

    def __getstate__(self) -> dict[str, Any]:
        # The atlas has a password and a connection, which do not belong into a result's pickle.
        return self.__dict__ | {"_atlas": None}


class Feature(Record, FeatureQueries):
    """A feature of an SAE.

    A mapping with the columns of the query ``feature``; the queries about a feature are its
    methods.
    """

    card_query = "feature"

    @property
    def index(self) -> int:
        """Index in its SAE."""
        return int(self.key.rpartition("/")[2])

    @property
    def sae(self) -> str:
        """Key of its SAE."""
        return self.key.rpartition("/")[0]

    @property
    def label(self) -> str | None:
        """Its label; None where it has none, as a dead feature."""
        label: str | None = self["label"]
        return label

    @property
    def firing_rate(self) -> float:
        """Share of the corpus's positions where it fires."""
        rate: float = self["firing_rate"]
        return rate

    @property
    def dead(self) -> bool:
        """Whether it never fires in the corpus."""
        return bool(self["dead"])

    def community(self) -> Community | None:
        """Return the community it is in; None for one that is in none."""
        found = self.card()["community"]
        return None if found is None else Community(_named(found), atlas=self._atlas)

    def _repr_html_(self) -> str:
        return feature_as_html(self.card())


class Community(Record, CommunityQueries):
    """A community of features: a mapping with the columns of the query ``community``."""

    card_query = "community"


class Run(Record, RunQueries):
    """A build that is loaded: a mapping with the columns of the query ``run``."""

    card_query = "run"


class Features(Table, FeaturesQueries):
    """Rows that are features; those of several queries can be asked on together."""

    @property
    def keys(self) -> list[str]:
        """Keys of the features, in the rows' order, each once."""
        return list(dict.fromkeys(self.column("key")))

    def objects(self) -> list[Feature]:
        """Return the features as objects, in the rows' order."""
        return [Feature(_named(row), atlas=self._atlas) for row in self._rows]

    def community(self) -> Communities:
        """Return the communities that these features are in, with how many of them."""
        found: Communities = self._asking().communities_of(self.keys)
        return found

    def to_networkx(self, *, kind: str | None = "token") -> nx.MultiDiGraph[str]:
        """Return the features with the edges of co-occurrence among them.

        Nodes are keys with the rows' columns; edges have the columns of the query
        ``edges_among``. Edges go from the lower index to the higher and mean no direction.

        Parameters
        ----------
        kind
            Kind of co-occurrence; None takes all.

        Raises
        ------
        UsageError
            There are more features than a query takes (`queries.catalogue.MOST_FEATURES`), or
            more edges.
        """
        import networkx as nx

        graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
        for row in self._rows:
            graph.add_node(row["key"], **{n: v for n, v in row.items() if n != "key"})
        if graph:
            found = self._asking().edges_among(self.keys, kind=kind, limit=_MOST_EDGES)
            if len(found) == _MOST_EDGES:
                raise UsageError(
                    f"There are {_MOST_EDGES:,} edges or more among these {len(graph):,} features.",
                    hint="Take fewer features, or `Atlas.graph(features=...)`.",
                )
            graph.add_edges_from(found.to_networkx().edges(data=True))
        return graph

    def _asking(self) -> Any:
        if self._atlas is None:
            raise UsageError(
                f"The rows of {self.title} are not connected to an atlas.",
                hint="Ask the atlas with their keys; an AsyncAtlas is asked with await.",
            )
        return self._atlas


class Communities(Table):
    """Rows that are communities."""

    def objects(self) -> list[Community]:
        """Return the communities as objects, in the rows' order."""
        return [Community(_named(row), atlas=self._atlas) for row in self._rows]


class Runs(Table):
    """Rows that are runs."""

    def objects(self) -> list[Run]:
        """Return the runs as objects, in the rows' order."""
        return [Run(_named(row), atlas=self._atlas) for row in self._rows]


def _named(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a row says of its node; its other columns may be those of an edge."""
    return {name: row[name] for name in ("key", "label") if name in row}
