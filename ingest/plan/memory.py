"""What takes memory, of the host and of a CUDA device, while each part of a build runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest.plan import costs
from ingest.plan.needs import Need, Phase, code_bytes, making_bytes
from ingest.plan.pairs import FEEDS
from ingest.plan.sizes import documents_setting

if TYPE_CHECKING:
    from ingest.plan.sizes import BuildSize


#: Blocks that the preflight holds at once.
PREFLIGHT_BLOCKS = 24


def memory_phases(size: BuildSize) -> tuple[Phase, ...]:
    """Return what takes the host's memory while each part of a build runs."""
    host = not size.model.cuda
    always = (
        Need("Python and its libraries", costs.LIBRARIES),
        Need("documents and their tokens", size.text, lower=documents_setting(size)),
        *(_weights(size) if host else ()),
    )
    logits = Need("the unembedding", 4 * size.model.vocabulary * size.model.width)
    return (
        Phase("running the model", (*always, *(_batch(size) if host else ()), _shard(size))),
        Phase("measuring the SAEs", (*always, *(_preflight(size) if host else ()))),
        Phase("counting pairs", (*always, logits, *_counting(size))),
        Phase("describing features", (*always, logits, *_describing(size))),
        Phase("writing tables", (*always, logits, _joining(size))),
    )


def device_phases(size: BuildSize) -> tuple[Phase, ...]:
    """Return what takes the CUDA device's memory; nothing without one."""
    if not size.model.cuda:
        return ()
    return (
        Phase("running the model", (*_weights(size), *_batch(size))),
        Phase("measuring the SAEs", (*_weights(size), *_preflight(size))),
    )


def _weights(size: BuildSize) -> tuple[Need, ...]:
    saes = sum(sae.weights for sae in size.saes)
    return (
        Need("the model's weights", size.model.weights),
        Need("weights of the SAEs", saes, "Map fewer SAEs in one build."),
    )


def _batch(size: BuildSize) -> tuple[Need, ...]:
    """Activations of a batch at the hooks and in a block, and dense codes of one SAE."""
    from atlas.saes import DENSE_CELLS

    options = size.recipe.tokens
    tokens = max(options.batch_tokens, options.context_size)
    wide = (costs.STREAMS + len(size.saes)) * size.model.width + 3 * size.model.hidden
    cells = max(min(tokens * sae.features, max(DENSE_CELLS, sae.features)) for sae in size.saes)
    lower = ("tokens.batch_tokens", options.batch_tokens)
    return (
        Need("activations of one batch", tokens * wide * size.model.number, lower=lower),
        Need("dense SAE codes of one batch", cells * costs.DENSE, lower=lower),
    )


def _preflight(size: BuildSize) -> tuple[Need, ...]:
    """Dense codes of all blocks of the preflight, beside the activations."""
    features = max(sae.features for sae in size.saes)
    positions = PREFLIGHT_BLOCKS * size.recipe.tokens.context_size
    dense = positions * (features * costs.DENSE + size.model.width * 4 * costs.STREAMS)
    lower = ("tokens.context_size", size.recipe.tokens.context_size)
    return (Need("dense SAE codes of the blocks measured", dense, lower=lower),)


def _shard(size: BuildSize) -> Need:
    largest = [sae.largest_shard for sae in size.saes]
    made = making_bytes(size.largest_shard, largest)
    return Need("one shard of codes", made, lower=_documents_of_shard(size))


def _documents_of_shard(size: BuildSize) -> tuple[str, int]:
    return ("tokens.shard_documents", min(size.recipe.tokens.shard_documents, size.documents))


def _counting(size: BuildSize) -> tuple[Need, ...]:
    options = size.recipe.edges
    panel = max(search.largest_panel for search in size.searches)
    tests = round(panel * costs.KEPT)
    driver = max(
        search.survivors * costs.CHOOSING + search.expected_edges * costs.EDGE
        for search in size.searches
    )
    features = max(sae.features for sae in size.saes)
    together = 2 if any(edge.kind == FEEDS for s in size.searches for edge in s.edges) else 1
    codes = max(sae.largest_shard for sae in size.saes) * together
    reading = codes * costs.COUNTING + size.largest_shard * costs.COUNTED_ROW
    shards = min(size.threads + 1, size.shards)  # while activations are summed
    ahead = (shards - 1) * code_bytes(size.largest_shard, codes)
    edges = max(search.expected_edges for search in size.searches)
    needs = [
        Need("shards of codes", reading + ahead, lower=_documents_of_shard(size)),
        Need("a panel of pairs", panel * costs.CELL + tests * (costs.TESTING + costs.SUMS)),
        Need("near decoder vectors", costs.NEAR_BLOCK + features * costs.NEAR),
        Need("pairs that may become edges", driver, "Raise edges.min_expected or edges.min_npmi."),
        Need("activations of edges", edges * costs.VALUES * (shards + 1), "Lower edges.top_k."),
    ]
    if options.folds:
        lower = ("edges.folds", options.folds)
        summed = 2 * costs.SUMS * options.folds * edges
        needs.append(Need("sums by folds", summed, lower=lower))
    return tuple(needs)


def _describing(size: BuildSize) -> tuple[Need, ...]:
    model, options = size.model, size.recipe.features
    kept = options.contexts + (64 if options.bins else 0)
    logits = 4 * model.vocabulary * (model.width + costs.LOGIT_BLOCKS * costs.LOGIT_FEATURES)
    one = max(size.saes, key=lambda sae: sae.features)
    tables = one.features * (
        3 * options.tokens * costs.FEATURE_TOKEN
        + (options.contexts + options.bins * options.per_bin) * costs.FIRING
    )
    marked = max(sae.marked for sae in size.saes)
    reading = max(sae.largest_shard for sae in size.saes) * costs.DESCRIBING
    return (
        Need("one shard of codes", reading, lower=_documents_of_shard(size)),
        Need("a block of logit weights", logits),
        Need(
            "counts of tokens by feature", marked * costs.TOKEN_COUNT, lower=documents_setting(size)
        ),
        Need("places of firings", one.features * kept * costs.PLACE),
        Need("tables of features", tables, "Lower features.contexts or features.tokens."),
    )


def _joining(size: BuildSize) -> Need:
    width = size.recipe.features.context_tokens / 24
    return Need(
        "contexts of all SAEs",
        round(size.rows["contexts"] * costs.CONTEXT * width),
        "Lower features.contexts or edges.contexts.",
    )
