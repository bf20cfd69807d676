"""A build: recipe to Parquet, resumable after a kill at any stage.

Each stage writes whole files with checksums into the build's folder and is skipped where they
are there. The folder's name holds a hash of everything that the result depends on, so the same
command resumes, and another recipe or text never mixes with it.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from functools import partial
from itertools import chain, combinations
from typing import TYPE_CHECKING, Any

from atlas.artifacts import file_sha256, shard_rows, write_json, write_table
from atlas.errors import CorpusError
from atlas.paths import home_dir
from atlas.progress import Reporter, SilentReporter
from atlas.recipe import digest
from atlas.schemas import PAIRS, file_name
from ingest.contexts import ContextWindows, join_contexts
from ingest.edge_stage import make_edges, make_feeds
from ingest.feature_stage import make_features
from ingest.inputs import BuildInputs
from ingest.manifest import write_run
from ingest.mapped import MappedSae
from ingest.stages import Stage, run_stage
from ingest.tables import document_table, token_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

    from atlas.recipe import BuildRecipe
    from atlas.saes import LoadedSae


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
    reporter
        Told of each step.

    Returns
    -------
    BuildResult

    Raises
    ------
    ModelError, CorpusError, ArtifactError
        What failed, on what, and what to do; finished stages stay.
    """
    return build_inputs(BuildInputs(recipe, reporter or SilentReporter()), home=home, ray=ray)


def build_inputs(
    inputs: BuildInputs, *, home: str | Path | None = None, ray: str | None = None
) -> BuildResult:
    """Do what `build` does with inputs that are there (a model that is loaded already)."""
    folder = home_dir(home) / "builds" / inputs.run_id
    folder.mkdir(parents=True, exist_ok=True)
    done = _finished(folder)
    if done is not None:
        return BuildResult(folder, inputs.run_id, done, reused=True)
    figures = _preflight(inputs, folder)
    stages = _stages(inputs, folder, _codes(inputs, folder), ray=ray)
    records = _tables(inputs, folder, stages)
    counts = {name.removesuffix(".parquet"): record["rows"] for name, record in records.items()}
    counts |= {"tested_pairs": sum(stage.about.get("tested", 0) for stage in stages)}
    write_run(inputs, folder, records=records, counts=counts, figures=figures)
    shutil.rmtree(folder / "parts")
    return BuildResult(folder, inputs.run_id, counts, reused=False)


def _finished(folder: Path) -> dict[str, int] | None:
    """Return the counts of a finished build whose files are whole, else None."""
    path = folder / "run.json"
    if not path.is_file():
        return None
    run = json.loads(path.read_text())
    for name, record in run["files"].items():
        file = folder / name
        if not file.is_file() or file_sha256(file) != record["sha256"]:
            return None
    return dict(run["counts"])


def _preflight(inputs: BuildInputs, folder: Path) -> dict[str, Any]:
    """Measure each SAE on a sample; kept in ``preflight.json``."""
    from ingest.preflight import measure

    path = folder / "preflight.json"
    if path.is_file():
        kept: dict[str, Any] = json.loads(path.read_text())
        return kept
    texts = [document.text for document in inputs.documents[:: max(1, len(inputs.documents) // 48)]]
    figures = {}
    for sae in inputs.saes:
        inputs.reporter.note(f"preflight of {sae.key(inputs.model.name)}")
        measured = measure(inputs.model, sae, texts, options=inputs.recipe.tokens)
        for note in measured.notes:
            inputs.reporter.note(f"  {note}")
        figures[sae.name] = measured.to_json()
    write_json(path, figures)
    return figures


def _identity(inputs: BuildInputs, sae: LoadedSae) -> dict[str, str]:
    return {
        "model": f"{inputs.model.name} {inputs.model.weights_sha256}",
        "hook": sae.hook.name,
        "sae": sae.weights_sha256,
        "corpus": inputs.corpus_sha256,
        "tokens": digest(inputs.recipe.tokens),
    }


def _codes(inputs: BuildInputs, folder: Path) -> list[MappedSae]:
    """Write the code shards; return the SAEs with them, the earliest hook first."""
    from ingest.codes import shard_path, write_codes

    identity = {sae.name: _identity(inputs, sae) for sae in inputs.saes}
    shards = write_codes(
        inputs.model,
        inputs.saes,
        [document.text for document in inputs.documents],
        options=inputs.recipe.tokens,
        folder=folder,
        identity=identity,
        reporter=inputs.reporter,
    )
    mapped = [
        MappedSae(
            name=sae.name,
            key=sae.key(inputs.model.name),
            hook=sae.hook.name,
            depth=sae.hook.depth,
            d_sae=sae.d_sae,
            paths=tuple(shard_path(folder, sae.name, number) for number in range(shards)),
            identity=identity[sae.name],
            block=inputs.recipe.tokens.context_size - 1,
            w_dec=sae.sae.W_dec.detach().float().cpu(),
            w_enc=sae.sae.W_enc.detach().float().cpu(),
        )
        for sae in inputs.saes
    ]
    if not any(shard_rows(path) for path in mapped[0].paths):
        raise CorpusError("No position is left after masking.", hint="Give longer documents.")
    return sorted(mapped, key=lambda sae: (sae.depth, sae.name))


def _stages(
    inputs: BuildInputs, folder: Path, saes: list[MappedSae], *, ray: str | None
) -> list[Stage]:
    """Run the stages of every SAE and of every pair of hooks; finished ones are kept."""
    recipe, told = inputs.recipe, inputs.reporter
    windows = ContextWindows(
        inputs.documents,
        tokens_of=inputs.text.tokens,
        text_of=inputs.text.of,
        corpus=recipe.name,
        width=recipe.features.context_tokens,
    )
    stages = []
    for sae in saes:
        join = partial(
            make_edges, sae=sae, options=recipe.edges, windows=windows, reporter=told, ray=ray
        )
        describe = partial(
            make_features, sae=sae, options=recipe.features, windows=windows,
            unembedding=inputs.model.unembedding(), model=inputs.model.name, reporter=told,
        )  # fmt: skip
        stages.append(run_stage(folder, f"edges-{sae.name}", join))
        stages.append(run_stage(folder, f"features-{sae.name}", describe))
    for early, late in combinations(saes, 2):
        if recipe.edges.feeds and early.depth < late.depth:
            feed = partial(
                make_feeds, pair=(early, late), options=recipe.edges, reporter=told, ray=ray
            )
            stages.append(run_stage(folder, f"feeds-{early.name}-{late.name}", feed))
    return stages


def _tables(inputs: BuildInputs, folder: Path, stages: list[Stage]) -> dict[str, dict[str, Any]]:
    """Put the tables of all stages together; return their records."""
    inputs.reporter.note("writing tables")

    def rows(name: str) -> Iterator[pa.Table]:
        return chain.from_iterable(stage.tables(name) for stage in stages)

    records = {}
    for name in ("features", "feature_tokens", "firings", *PAIRS, "fold_sums"):
        if any((stage.folder / file_name(name)).is_file() for stage in stages):
            records[file_name(name)] = write_table(folder / file_name(name), rows(name))
    text, documents, corpus = inputs.text, inputs.documents, inputs.recipe.name
    lengths = [len(text.tokens(d)) for d in range(len(documents))]
    tokens = sorted({t for stage in stages for t in stage.about.get("token_ids", ())})
    for name, table in (
        ("contexts", join_contexts(chain(rows("contexts"), rows("edge_contexts")))),
        ("documents", document_table(documents, lengths, corpus)),
        ("tokens", token_table(tokens, text.of, inputs.model.name)),
    ):
        records[file_name(name)] = write_table(folder / file_name(name), table)
    return records
