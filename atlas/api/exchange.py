"""Exports to other tools, and imports from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from atlas.api.connection import Connection
from atlas.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    import py2neo

    from atlas.bloom import BloomExport
    from atlas.formats.files import Written
    from atlas.formats.tables import GraphTables
    from atlas.progress import Reporter
    from ingest.imports.circuit import CircuitImport
    from ingest.imports.explanations import ExplanationImport


class Exchange(Connection):
    """What goes out of the graph and comes in."""

    def graph(self, *, reporter: Reporter | None = None, **selection: Any) -> GraphTables:
        """Return a run's graph, or part of it, in memory.

        Parameters
        ----------
        reporter
            Is told of the progress.
        **selection
            Attributes of `queries.exports.Selection`: run, relations, kinds, weight, min_weight,
            mutual, top_k, features, communities, isolated, node_properties, edge_properties.

        Returns
        -------
        GraphTables
            Nodes and edges as Arrow tables, with the methods `to_pandas`, `to_network`,
            `to_networkx`, `to_igraph` and `to_pyg`.

        Raises
        ------
        NotFoundError
            The run, a feature or a community is not there.
        UsageError
            The selection does not fit the run.
        DatabaseError
            The database fails.
        """
        from queries.exports import graph

        return graph(self.reader, reporter=reporter, **selection)

    def export(
        self,
        file_format: str,
        path: str | Path,
        *,
        force: bool = False,
        x: str | Sequence[str] | None = None,
        neuronpedia: Mapping[str, str] | None = None,
        reporter: Reporter | None = None,
        **selection: Any,
    ) -> Written:
        """Write a run's graph, or part of it, to a file or folder; see `queries.exports.export`.

        Parameters
        ----------
        file_format
            graphml, gexf, parquet, csv, pyg or neuronpedia.
        path
            File, or folder for Parquet and CSV.
        force
            Replace what is there.
        x
            For pyg: the features' properties that become ``x``.
        neuronpedia
            For neuronpedia: SAE's key -> ``MODEL/SOURCE``, for SAEs that do not know theirs.
        reporter
            Is told of the progress.
        **selection
            As in `graph`.

        Raises
        ------
        NotFoundError
            The run, a feature or a community is not there.
        UsageError
            `path` exists and `force` is not given, or an argument does not fit.
        ArtifactError
            The file cannot be written.
        DatabaseError
            The database fails.
        """
        from queries.exports import export

        return export(
            self.reader,
            path,
            file_format=file_format,
            force=force,
            x=x,
            neuronpedia=neuronpedia,
            reporter=reporter,
            **selection,
        )

    def import_neuronpedia(
        self,
        path: str | Path,
        *,
        run: str | None = None,
        saes: Mapping[str, str] | None = None,
        as_labels: bool = False,
    ) -> list[ExplanationImport]:
        """Store explanations of features; see `ingest.imports.import_explanations`.

        Parameters
        ----------
        path
            A file of Neuronpedia's explanations exports, or a folder of them.
        run
            Key of the run; may be left out if the database has one.
        saes
            ``MODEL/SOURCE`` -> SAE, beside the Neuronpedia ids that the SAEs have themselves.
        as_labels
            Make the best explanation of a feature its label.

        Raises
        ------
        ArtifactError
            A file or one of its lines cannot be read; nothing of that file was stored.
        NotFoundError
            The run or an SAE is not there.
        DatabaseError
            The database fails.
        """
        from ingest.imports import import_explanations
        from queries.resolve import only_run

        return import_explanations(
            self.driver,
            path,
            run=run if run is not None else only_run(self.reader),
            saes=saes,
            as_labels=as_labels,
            database=self.database,
        )

    def import_circuit(
        self,
        path: str | Path,
        *,
        run: str | None = None,
        saes: Mapping[int, str] | None = None,
        by_hook: bool = False,
    ) -> CircuitImport:
        """Store an attribution graph of circuit-tracer; see `ingest.imports.import_circuit`.

        Parameters
        ----------
        path
            A graph file.
        run
            Key of the run; may be left out if the database has one.
        saes
            Layer of the graph -> SAE that its features are of.
        by_hook
            Take for every other layer the run's only SAE at a hook of that block.

        Raises
        ------
        ArtifactError
            The file is none of an attribution graph; nothing was stored.
        UsageError
            No layer has an SAE.
        NotFoundError
            The run or an SAE is not there.
        DatabaseError
            The database fails.
        """
        from ingest.imports import import_circuit
        from queries.resolve import only_run

        return import_circuit(
            self.driver,
            path,
            run=run if run is not None else only_run(self.reader),
            saes=saes,
            by_hook=by_hook,
            database=self.database,
        )

    def export_bloom(
        self,
        folder: str | Path,
        *,
        name: str = "Feature atlas",
        created: str | datetime | None = None,
        force: bool = False,
    ) -> BloomExport:
        """Write files for Neo4j Bloom and Neo4j Browser; see `atlas.bloom.export_bloom`.

        Parameters
        ----------
        folder
            Where to write perspective.json, style.grass, saved-cypher.csv and queries.cypher; made
            if need be.
        name
            Name of the perspective.
        created
            When it was made (ISO 8601); by default when the newest run was.
        force
            Replace files of these names.

        Returns
        -------
        BloomExport
            The files, and how many categories, relationship types, phrases, actions and queries.

        Raises
        ------
        NotFoundError
            The database has no run.
        UsageError
            A file is there and `force` is not given.
        ArtifactError
            A file cannot be written.
        DatabaseError
            The database fails.
        """
        from atlas.bloom import export_bloom

        return export_bloom(self.reader, folder, name=name, created=created, force=force)

    def py2neo(self) -> py2neo.Graph:
        """Return a py2neo graph on the same database; see `atlas.graph.py2neo_client`.

        py2neo is at its end of life: ``docs/py2neo.md`` says what works. Objects for features,
        communities and runs are in `atlas.graph.ogm`.

        Raises
        ------
        UsageError
            py2neo is not installed, or the atlas was made from a driver: the password is not
            known.
        DatabaseError
            The server refuses py2neo.
        """
        from atlas.graph.py2neo_client import connect_py2neo

        if self.settings is None:
            raise UsageError(
                "This atlas was made from a driver, so that the password is not known.",
                hint="Open it with Atlas.connect(), or call connect_py2neo with the settings.",
            )
        return connect_py2neo(self.settings)
