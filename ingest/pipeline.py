"""A build: recipe to Parquet, resumable after a kill at any stage.

Each stage writes whole files with checksums into the build's folder and is skipped where they
are there. The folder's name holds a hash of everything that the result depends on, so the same
command resumes, and another recipe or text never mixes with it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.artifacts import concatenate, file_sha256, read_shard, write_json, write_table
from atlas.errors import CorpusError
from atlas.paths import home_dir
from atlas.progress import Reporter, SilentReporter
from atlas.recipe import digest
from atlas.schemas import file_name
from ingest.inputs import BuildInputs, TokenTexts
from ingest.manifest import write_run

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from atlas.artifacts import CodeShard
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
    reporter: Reporter | None = None,
) -> BuildResult:
    """Build the tables of a recipe under ``HOME/builds/RUN_ID``; resume where some are there.

    Parameters
    ----------
    recipe
        What to build.
    home
        The atlas's folder; see `atlas.paths.home_dir`.
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
    told = reporter or SilentReporter()
    inputs = BuildInputs(recipe, told)
    folder = home_dir(home) / "builds" / inputs.run_id
    folder.mkdir(parents=True, exist_ok=True)
    done = _finished(folder)
    if done is not None:
        return BuildResult(folder, inputs.run_id, done, reused=True)
    figures = _preflight(inputs, folder)
    shards = _codes(inputs, folder)
    records, tested = _tables(inputs, folder, shards)
    counts = {name.removesuffix(".parquet"): record["rows"] for name, record in records.items()}
    counts |= {"tested_pairs": sum(tested.values())}
    write_run(inputs, folder, records=records, counts=counts, figures=figures)
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


def _codes(inputs: BuildInputs, folder: Path) -> int:
    from ingest.codes import write_codes

    return write_codes(
        inputs.model,
        inputs.saes,
        [document.text for document in inputs.documents],
        options=inputs.recipe.tokens,
        folder=folder,
        identity={sae.name: _identity(inputs, sae) for sae in inputs.saes},
        reporter=inputs.reporter,
    )


def _read_codes(inputs: BuildInputs, folder: Path, sae: LoadedSae, shards: int) -> CodeShard:
    from ingest.codes import shard_path

    identity = _identity(inputs, sae)
    paths = [shard_path(folder, sae.name, number) for number in range(shards)]
    codes = concatenate([read_shard(path, identity=identity) for path in paths])
    if codes.rows == 0:
        raise CorpusError("No position is left after masking.", hint="Give longer documents.")
    return codes


def _tables(
    inputs: BuildInputs, folder: Path, shards: int
) -> tuple[dict[str, dict[str, Any]], dict[str, int]]:
    """Write every table; return their records and the number of tested pairs by SAE."""
    import pyarrow as pa

    from ingest.tables import document_table, token_table

    model, documents, name = inputs.model, inputs.documents, inputs.recipe.name
    made: dict[str, list[pa.Table]] = {}
    contexts: dict[str, dict[str, Any]] = {}
    tested: dict[str, int] = {}
    tokens: set[int] = set()
    text = TokenTexts(inputs)
    for sae in inputs.saes:
        codes = _read_codes(inputs, folder, sae, shards)
        tables, pairs, used = _sae_tables(inputs, sae, codes, text)
        tested[sae.name] = pairs
        tokens |= used.token_ids
        contexts |= {row["key"]: row for row in used.contexts}
        for table_name, table in tables.items():
            made.setdefault(table_name, []).append(table)
    from atlas.schemas import schema

    joined = {table_name: pa.concat_tables(parts) for table_name, parts in made.items()}
    joined["contexts"] = pa.Table.from_pylist(list(contexts.values()), schema=schema("contexts"))
    lengths = [len(text.tokens(d)) for d in range(len(documents))]
    joined["documents"] = document_table(documents, lengths, name)
    joined["tokens"] = token_table(sorted(tokens), text.of, model.name)
    inputs.reporter.note("writing tables")
    records = {
        file_name(table_name): write_table(folder / file_name(table_name), table)
        for table_name, table in joined.items()
    }
    return records, tested


def _sae_tables(
    inputs: BuildInputs, sae: LoadedSae, codes: CodeShard, text: TokenTexts
) -> tuple[dict[str, pa.Table], int, Any]:
    from ingest.cooccurrence.edges import token_edges
    from ingest.cooccurrence.pairs import index_documents
    from ingest.decoder import logit_weights
    from ingest.feature_tables import FeatureInputs, feature_tables
    from ingest.labels import WordBackground
    from ingest.tables import ContextWindows, edge_table

    recipe, model = inputs.recipe, inputs.model
    docs = index_documents(codes, sae.d_sae)
    edges = token_edges(docs, sae.d_sae, options=recipe.edges, reporter=inputs.reporter)
    windows = ContextWindows(
        inputs.documents,
        tokens_of=text.tokens,
        text_of=text.of,
        corpus=recipe.name,
        width=recipe.features.context_tokens,
    )
    k = recipe.features.tokens
    w_dec = sae.sae.W_dec.detach().float().cpu()
    inputs.reporter.note("describing features")
    used = feature_tables(
        FeatureInputs(
            sae_key=sae.key(model.name),
            d_sae=sae.d_sae,
            codes=codes,
            docs=docs,
            marginals=edges.marginals,
            domains=np.array(
                [inputs.documents[d].domain for d in np.unique(codes.document)], dtype=object
            ),
            logits=logit_weights(w_dec, model.unembedding(), k=k, reporter=inputs.reporter),
            windows=windows,
            background=WordBackground(windows.sample()),
            text_of=text.of,
            token_key=lambda token: f"{model.name}/{token}",
            options=recipe.features,
        )
    )
    tables = {
        "features": used.features,
        "edges": edge_table(edges, sae.key(model.name), top_k=recipe.edges.top_k),
        "feature_tokens": used.feature_tokens,
        "firings": used.firings,
    }
    return tables, edges.tested, used
