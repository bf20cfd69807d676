"""How a concept study was done, in words, from its request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from queries.studies.concept.pages.view import View, sae_name
from queries.studies.report import Method

if TYPE_CHECKING:
    from collections.abc import Iterator


def methods(view: View) -> list[Method]:
    """Return the methods of a study, a line each."""
    return [*_choosing(view), *_describing(view), *_causing(view)]


def _choosing(view: View) -> Iterator[Method]:
    request = view.request
    pairs = "matched pairs of prompts, which stay together," if request.matches else "prompts"
    yield Method(
        "Prompts",
        f"{len(request.prompts)} prompts. {request.train_share:.0%} of the {pairs} were drawn for "
        f"the training half (seed {request.seed}); the others are held out, and all that is done "
        "to activations is done on them.",
    )
    yield Method(
        "Filter",
        f"Partition SHAP values of tokens, at most {request.shap.max_evals} masked prompts each, "
        "of the log odds of the next token; a run of absent tokens becomes one '...'. A prompt is "
        f"kept where its term is among the first {request.shap.top} tokens by size.",
        "Lundberg and Lee, A unified approach to interpreting model predictions, 2017",
    )
    yield Method(
        "Activations",
        f"Every SAE ({'; '.join(sae_name(key) for key in view.saes)}) encodes the stream of its "
        f"own hook. BOS and positions whose norm exceeds {request.sink_ratio:g} times the median "
        f"are left out. A feature's value in a prompt is its {request.statistic} over the tokens.",
    )
    yield Method(
        "Contrast",
        f"Features that fire in at least {request.min_prompts} training prompts of whichever set "
        f"are tested: at least {request.permutations} permutations of {view.unit}, Hedges' g with "
        f"BCa bootstrap intervals ({request.resamples} draws), AUC with intervals by DeLong. "
        "Benjamini-Hochberg runs over all tested features of all SAEs together, at "
        f"{request.fdr:g}. Those found are tested again on the held-out half, with correction over "
        "them alone. Nothing is dropped as an outlier.",
        "Benjamini and Hochberg, 1995; DeLong, DeLong and Clarke-Pearson, 1988; Efron, 1987",
    )


def _describing(view: View) -> Iterator[Method]:
    request = view.request
    sources = sorted(set(view.frame("logit_weights")["rate_source"]))
    yield Method(
        "Logit weights",
        "Moments over the vocabulary of the decoder's directions times the unembedding, the final "
        f"norm's gain folded in. Firing rates are from the {' and the '.join(sources)}. A token's "
        "standardised weight is its weight less its mean over all features, over its standard "
        "deviation.",
    )
    yield Method(
        "Groups and maps",
        f"k-means of unit decoder directions, 2 to {request.maps.most} groups, the number by mean "
        f"silhouette (cosine), {request.maps.seeds} seeds; t-SNE and UMAP by cosine with seed "
        f"{request.seed}. At most {request.maps.features} confirmed features of each SAE.",
        "Rousseeuw, 1987; van der Maaten and Hinton, 2008; McInnes, Healy and Melville, 2018",
    )
    yield Method(
        "Subgraph",
        "Edges between confirmed features that fire in the same concept prompts: Fisher's exact "
        "test, one-sided, Benjamini-Hochberg over pairs, and phi of at least 0.3. Communities by "
        f"Leiden on phi, {request.maps.seeds} seeds. Where a build is given, its edges among the "
        "features are counted beside those among random features of like firing rate.",
        "Traag, Waltman and van Eck, 2019",
    )


def _causing(view: View) -> Iterator[Method]:
    causes = view.request.causes
    yield Method(
        "Patching",
        f"The first {causes.features} confirmed features of each SAE, together and each alone, in "
        f"at most {causes.pairs} held-out pairs whose prompts have as many tokens. The SAE's error "
        "stays the control prompt's.",
    )
    yield Method(
        "Attention",
        f"Weights from the last token in at most {causes.attention} held-out prompts of each set, "
        "against what the head does not give BOS spread evenly.",
    )
    yield Method(
        "SHAP values of features",
        f"Shapley values in {causes.shap} held-out concept prompts; exact where {causes.max_evals} "
        "coalitions suffice, else over drawn orders, each forward and backward.",
    )
    strengths = ", ".join(f"{strength:g}" for strength in causes.strengths)
    yield Method(
        "Steering",
        f"At strength 1 each feature gets its mean activation over the tokens at which it fires in "
        f"the concept's training prompts, at every token; strengths {strengths}. Ablation sets it "
        "to 0. Controls are drawn among features that do not differ between the sets on the "
        "training half (p above 0.05), near in the share of concept prompts in which they fire and "
        f"in their activation; {causes.controls} sets, whose mean is what the features are "
        "compared with, prompt by prompt, by sign flips.",
    )
