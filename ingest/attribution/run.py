"""A prompt set, a model and SAEs to tables of attributions and their edges, in one folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atlas.artifacts import write_json, write_table
from atlas.errors import CorpusError, UsageError
from atlas.progress import Reporter, SilentReporter
from ingest.attribution.aggregate import kept_features, prompts_needed
from ingest.attribution.edges import co_attribution, refuse_few
from ingest.attribution.metrics import get_metric
from ingest.attribution.options import AttributionOptions
from ingest.attribution.prompts import PromptSet, read_prompts
from ingest.attribution.record import run_record
from ingest.attribution.tables import Attributed, tables
from ingest.attribution.tokens import tokenise_prompts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atlas.lm import LanguageModel
    from atlas.saes import LoadedSae

RECORD = "attribution.json"
"""Written last: its presence says that the folder is whole."""


@dataclass(frozen=True)
class AttributionResult:
    """What a run made.

    Attributes
    ----------
    folder
        Where the tables and ``attribution.json`` lie.
    run_id
        Made of the prompt set's name and a hash of all that the result depends on.
    counts
        Prompts, features kept and left out, tested pairs, edges by sign.
    few_prompts
        Whether prompts are too few for the number of tested pairs.
    notes
        What a reader of the result should know, one line each.
    """

    folder: Path
    run_id: str
    counts: dict[str, int]
    few_prompts: bool
    notes: tuple[str, ...]


def run_attribution(
    prompts: str | Path,
    out: str | Path,
    *,
    model: str,
    saes: Sequence[str],
    options: AttributionOptions | None = None,
    name: str | None = None,
    device: str | None = None,
    reporter: Reporter | None = None,
) -> AttributionResult:
    """Load what is named, attribute, and write the tables; see `write_attribution`.

    Parameters
    ----------
    prompts
        File of prompts; see `ingest.attribution.prompts.read_prompts`.
    out
        Folder to write into.
    model
        Packaged model, local folder, or hub name. It runs in float32: gradients in bfloat16 are
        off by a few per cent.
    saes
        Shipped SAEs, local folders, or ``RELEASE:ID``, of any hooks of the model.
    options
        By default `AttributionOptions()`.
    name
        Name of the prompt set; by default the file's.
    device
        By default CUDA where there is a device.
    reporter
        Told of each step.

    Raises
    ------
    CorpusError, ModelError, UsageError
        What failed, on what, and what to do.
    """
    chosen = options or AttributionOptions()
    get_metric(chosen.metric)  # a misspelt name should fail before the model is loaded
    task = read_prompts(prompts, name=name)
    refuse_few(len(task.prompts))  # so should too few prompts
    from torch import float32

    from atlas.lm import LanguageModel
    from atlas.saes import load_sae

    told = reporter or SilentReporter()
    told.note(f"loading {model} and {len(saes)} SAE(s)")
    loaded = LanguageModel.load(model, device=device, dtype=float32)
    found = [load_sae(source, device=loaded.device) for source in saes]
    return write_attribution(task, out, model=loaded, saes=found, options=chosen, reporter=told)


def write_attribution(
    prompts: PromptSet,
    out: str | Path,
    *,
    model: LanguageModel,
    saes: Sequence[LoadedSae],
    options: AttributionOptions,
    reporter: Reporter | None = None,
) -> AttributionResult:
    """Attribute a task's metric to features, find edges, and write both.

    Written into `out` are ``co_attributed.parquet`` (edges), ``attributions.parquet`` (of the
    kept features), ``prompts.parquet``, ``splits.parquet`` (how much of the gradient times stream
    the SAEs explain) and, last, ``attribution.json``.

    Raises
    ------
    CorpusError
        Prompts are bad or too few, or no feature has an attribution in enough of them.
    ModelError
        Model and SAE do not belong together, or a gradient is not finite.
    UsageError
        No SAE or one twice is given, there is no such metric, or too many features are kept.
    """
    told = reporter or SilentReporter()
    ordered = _in_order(saes, model)
    figures = _preflight(prompts, model, ordered)
    run = _attribute(prompts, model, ordered, options=options, reporter=told)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECORD).unlink(missing_ok=True)
    made = tables(run, metric=options.metric, aggregation=options.aggregation)
    files = {
        f"{name}.parquet": write_table(folder / f"{name}.parquet", table)
        for name, table in made.items()
    }
    record = run_record(run, model, saes=ordered, options=options)
    record |= {"preflight": figures, "files": files}
    write_json(folder / RECORD, record)
    few, notes = record["few_prompts"], tuple(record["notes"])
    return AttributionResult(folder, record["run_id"], record["counts"], few, notes)


def _in_order(saes: Sequence[LoadedSae], model: LanguageModel) -> list[LoadedSae]:
    """Sort SAEs by key, which puts an edge's features in order across SAEs."""
    ordered = sorted(saes, key=lambda sae: sae.key(model.name))
    keys = [sae.key(model.name) for sae in ordered]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if not keys or twice:
        what = f"SAE {twice[0]} is given twice." if twice else "No SAE is given."
        raise UsageError(what, hint="Name one or more SAEs, each once (--sae).")
    return ordered


def _preflight(
    prompts: PromptSet, model: LanguageModel, saes: Sequence[LoadedSae]
) -> dict[str, Any]:
    """Refuse an SAE of another model, and measure the others on prompts."""
    from atlas.recipe import TokensSection
    from ingest.preflight import measure

    texts = [prompt.prompt for prompt in prompts.prompts[:24]]
    return {
        sae.key(model.name): measure(model, sae, texts, options=TokensSection()).to_json()
        for sae in saes
    }


def _attribute(
    prompts: PromptSet,
    model: LanguageModel,
    saes: Sequence[LoadedSae],
    *,
    options: AttributionOptions,
    reporter: Reporter,
) -> Attributed:
    from ingest.attribution.batches import attribute_prompts

    tokens = tokenise_prompts(
        prompts,
        model.tokenizer,
        bos=model.bos_token_id,
        context_size=getattr(model.hf_model.config, "max_position_embeddings", None),
        needs_foils=get_metric(options.metric).needs_foils,
    )
    for note in tokens.notes:
        reporter.note(note)
    found = attribute_prompts(model, saes, tokens, options=options, reporter=reporter)
    size = len(prompts.prompts)
    needed = prompts_needed(options.keep, size)
    features = kept_features(found.entries, needed)
    if len(features) == 0:
        raise CorpusError(
            f"No feature has an attribution in {needed} of {size} prompts.",
            hint="Keep features of fewer prompts (--keep 0.2, or union).",
        )
    reporter.note(f"correlating {len(features)} features")
    kept = found.entries.take(features)
    groups = [prompt.group for prompt in prompts.prompts]
    edges = co_attribution(kept.dense(size, features), options=options.edges, groups=groups)
    keys = tuple(sae.key(model.name) for sae in saes)
    return Attributed(prompts, tokens, keys, found, features, kept, edges)
