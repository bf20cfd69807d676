"""A build: recipe to Parquet, resumable after a kill at any stage.

Each stage writes whole files with checksums into the build's folder and is skipped where they
are there. The folder's name holds a hash of everything that the result depends on, so the same
command resumes, and another recipe or text never mixes with it.
"""

from __future__ import annotations

import json
import shutil
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import chain, combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.artifacts import are_whole, write_table
from atlas.paths import home_dir
from atlas.progress import Reporter, SilentReporter
from atlas.schemas import PAIRS, file_name
from ingest.about import make_concepts
from ingest.brought_inputs import BroughtInputs
from ingest.coded import corpus_key
from ingest.concepts import find_concepts
from ingest.contexts import ContextWindows, join_contexts
from ingest.edge_stage import make_edges, make_feeds
from ingest.feature_stage import make_features
from ingest.inputs import BuildInputs
from ingest.manifest import write_run
from ingest.stages import Stage, put_together, run_stage
from ingest.tables import concept_table, document_table, token_table
from ingest.vectors import make_vectors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from atlas.recipe import BuildRecipe
    from ingest.coded import Coded, Inputs
    from ingest.concepts import Concepts

#: Files for resampling; the graph has none of them.
FOLDS = ("fold_sums", "edge_folds", "feature_folds")


@dataclass(frozen=True)
class BuildResult:
    """Where a build lies and what it holds.

    Attributes
    ----------
    folder
        The build's folder.
    run_id
        Key of its Run.
    counts
        Rows of each table, and documents, positions and tested pairs.
    reused
        Whether everything was there already.
    """

    folder: Path
    run_id: str
    counts: dict[str, int]
    reused: bool


def build(
    recipe: BuildRecipe,
    *,
    home: str | Path | None = None,
    ray: str | None = None,
    check: bool = True,
    reporter: Reporter | None = None,
) -> BuildResult:
    """Build the tables of a recipe under ``HOME/builds/RUN_ID``; resume where some are there.

    Parameters
    ----------
    recipe
        What to build.
    home
        The atlas's folder; see `atlas.paths.home_dir`.
    ray
        Address of a Ray cluster that counts pairs, or ``local``; None counts in this process.
    check
        Refuse beforehand what will not fit into memory or onto the disk.
    reporter
        Told of each step.

    Returns
    -------
    BuildResult

    Raises
    ------
    ModelError, CorpusError, RecipeError, ArtifactError
        What failed, on what, and what to do; finished stages stay.
    """
    kind = BroughtInputs if recipe.brought else BuildInputs
    return build_inputs(kind(recipe, reporter or SilentReporter(), check=check), home=home, ray=ray)


def build_inputs(
    inputs: Inputs, *, home: str | Path | None = None, ray: str | None = None
) -> BuildResult:
    """Do what `build` does with inputs that are there (a model that is loaded already)."""
    folder = home_dir(home) / "builds" / inputs.run_id
    folder.mkdir(parents=True, exist_ok=True)
    done = _finished(folder)
    if done is not None:
        return BuildResult(folder, inputs.run_id, done, reused=True)
    coded = inputs.code(folder)
    with _counting_on(ray):
        concepts = find_concepts(coded.documents, corpus=corpus_key(inputs.recipe, coded))
        stages = _stages(inputs, folder, coded, concepts=concepts, ray=ray)
    records = _tables(inputs, folder, coded, concepts=concepts, stages=stages)
    counts = {name.removesuffix(".parquet"): record["rows"] for name, record in records.items()}
    counts |= {"tested_pairs": sum(stage.about.get("tested", 0) for stage in stages)}
    write_run(inputs, folder, coded=coded, records=records, counts=counts)
    shutil.rmtree(folder / "parts")
    return BuildResult(folder, inputs.run_id, counts, reused=False)


def _finished(folder: Path) -> dict[str, int] | None:
    """Return the counts of a finished build whose files are whole, else None."""
    path = folder / "run.json"
    if not path.is_file():
        return None
    run = json.loads(path.read_text())
    checksums = {name: record["sha256"] for name, record in run["files"].items()}
    return dict(run["counts"]) if are_whole(folder, checksums) else None


def _counting_on(ray: str | None) -> AbstractContextManager[Any]:
    """Start or join a Ray, if one is wanted, for all stages that count."""
    if ray is None:
        return nullcontext()
    from ingest.cooccurrence.ray_cluster import connected

    return connected(ray)


def _stages(
    inputs: Inputs, folder: Path, coded: Coded, *, concepts: list[Concepts], ray: str | None
) -> list[Stage]:
    """Run the stages of every SAE and of every pair of hooks; finished ones are kept."""
    recipe, told = inputs.recipe, inputs.reporter
    edges, features = recipe.edges, recipe.features
    if coded.tokens_of is None:  # a context is made of tokens
        edges = edges.model_copy(update={"contexts": 0})
        features = features.model_copy(update={"contexts": 0, "bins": 0})
    windows = ContextWindows(
        coded.documents,
        tokens_of=coded.tokens_of or _no_tokens,
        text_of=coded.text_of,
        corpus=corpus_key(recipe, coded),
        width=features.context_tokens,
    )
    stages = []
    for sae in coded.saes:
        join = partial(make_edges, sae=sae, options=edges, windows=windows, reporter=told, ray=ray)
        describe = partial(
            make_features, sae=sae, options=features, windows=windows,
            unembedding=coded.unembedding, model=coded.token_space, reporter=told,
        )  # fmt: skip
        stages.append(run_stage(folder, f"edges-{sae.name}", join))
        stages.append(run_stage(folder, f"features-{sae.name}", describe))
        labels = [x for part in stages[-1].tables("features") for x in part["label"].to_pylist()]
        embed = partial(make_vectors, sae=sae, labels=labels, reporter=told)
        stages.append(run_stage(folder, f"vectors-{sae.name}", embed))
        if concepts:
            relate = partial(
                make_concepts, sae=sae, concepts=concepts, documents=len(coded.documents),
                reporter=told,
            )  # fmt: skip
            stages.append(run_stage(folder, f"concepts-{sae.name}", relate))
    for early, late in combinations(coded.saes, 2):
        if edges.feeds and early.depth < late.depth:
            feed = partial(make_feeds, pair=(early, late), options=edges, reporter=told, ray=ray)
            stages.append(run_stage(folder, f"feeds-{early.name}-{late.name}", feed))
    return stages


def _no_tokens(_document: int) -> NDArray[np.int32]:
    return np.zeros(0, np.int32)


def _tables(
    inputs: Inputs, folder: Path, coded: Coded, *, concepts: list[Concepts], stages: list[Stage]
) -> dict[str, dict[str, Any]]:
    """Put the tables of all stages together; return their records."""
    inputs.reporter.note("writing tables")
    corpus, documents = corpus_key(inputs.recipe, coded), coded.documents

    def rows(name: str) -> Iterator[pa.Table]:
        return chain.from_iterable(stage.tables(name) for stage in stages)

    records = {}
    with_tokens = ("feature_tokens", "firings") if coded.tokens_of is not None else ()
    for name in ("features", *with_tokens, *PAIRS, "vectors", "about", *FOLDS):
        if any(file_name(name) in stage.files for stage in stages):
            records[file_name(name)] = put_together(folder / file_name(name), stages)
    lengths = [coded.n_tokens(d) for d in range(len(documents))]
    tables = {"documents": document_table(documents, lengths, corpus)}
    if concepts:
        tables["concepts"] = concept_table(concepts)
    if with_tokens:
        tokens = sorted({t for stage in stages for t in stage.about.get("token_ids", ())})
        tables["contexts"] = join_contexts(chain(rows("contexts"), rows("edge_contexts")))
        tables["tokens"] = token_table(tokens, coded.text_of, coded.token_space)
    for name, table in tables.items():
        records[file_name(name)] = write_table(folder / file_name(name), table)
    return records
