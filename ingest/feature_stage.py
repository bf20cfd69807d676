"""The stage that describes an SAE's features: what they fire on and what they write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from atlas.artifacts import write_table
from ingest.decoder import logit_weights, no_logit_weights
from ingest.feature_tables import FeatureInputs, feature_tables
from ingest.firing import FeatureScanner, FiringOptions, WindowActivations
from ingest.labels import WordBackground

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from atlas.progress import Reporter
    from atlas.recipe import FeaturesSection
    from ingest.contexts import ContextWindows
    from ingest.mapped import MappedSae


def make_features(
    folder: Path,
    sae: MappedSae,
    *,
    options: FeaturesSection,
    windows: ContextWindows,
    unembedding: torch.Tensor | None,
    model: str,
    reporter: Reporter,
) -> dict[str, Any]:
    """Write ``features``, ``feature_tokens``, ``firings`` and ``contexts`` of one SAE.

    Parameters
    ----------
    folder
        Folder of the stage.
    sae
        The SAE.
    options
        How much is kept of each feature.
    windows
        Cuts contexts out of the documents.
    unembedding
        Weights from the residual stream to logits, or None where they are not known.
    model
        Key of the model.
    reporter
        Told of the progress.

    Returns
    -------
    dict
        ``token_ids`` that the tables name.
    """
    reporter.note(f"describing features of {sae.name}")
    scanner = FeatureScanner(
        sae.d_sae,
        domains=[document.domain for document in windows.documents],
        options=FiringOptions(
            contexts=options.contexts,
            tokens=options.tokens,
            bins=options.bins,
            per_bin=options.per_bin,
            seed=options.seed,
        ),
    )
    for shard in sae.read():
        scanner.add(shard)
    found = scanner.result()
    contexts = windows.around(found.firings.document, found.firings.position)
    activations = WindowActivations(found.firings, start=contexts.start, stop=contexts.stop)
    for shard in sae.read():
        activations.add(shard)
    logits = no_logit_weights(sae.d_sae)
    if sae.w_dec is not None and unembedding is not None:
        logits = logit_weights(sae.w_dec, unembedding, k=options.tokens, reporter=reporter)
    made = feature_tables(
        FeatureInputs(
            sae_key=sae.key,
            statistics=found,
            contexts=contexts,
            activations=activations,
            logits=logits,
            background=WordBackground(windows.sample()),
            text_of=windows.text_of,
            token_key=lambda token: f"{model}/{token}",
        )
    )
    for name in ("features", "feature_tokens", "firings", "contexts"):
        write_table(folder / f"{name}.parquet", getattr(made, name))
    return {"token_ids": sorted(made.token_ids)}
