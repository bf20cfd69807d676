"""What a build costs beside the model: the whole build against its forward pass, in one run.

`python -m benchmarks.pipeline --json` maps the shipped SAE of layer 18 of SmolLM2-135M on text
that the model wrote, and times

- the truncated forward pass and the SAE encoder's matrix product alone, on every third of the
  same batches, scaled up by their tokens;
- the whole build from text to Parquet (codes, sums, tests, tables), without loading;
- our truncated forward pass against plain transformers cut at the same layer, same dtype and
  batch, and against TransformerLens's run_with_cache over the whole model: as it is called in
  tutorials, with the dtype that it loads by default, and in the dtype that ours runs in.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from atlas import models
from atlas.progress import SilentReporter
from atlas.recipe import BuildRecipe
from benchmarks._figures import print_figures
from ingest.blocks import batches, tokenize
from ingest.inputs import BuildInputs
from ingest.pipeline import build_inputs

if TYPE_CHECKING:
    from collections.abc import Callable

    from atlas.lm import LanguageModel

HOOK = "blocks.18.hook_resid_pre"
RECIPE = {
    "name": "benchmark",
    "model": {"name": "smollm2-135m"},
    "sae": [{"source": "smollm2-135m-l18-8k", "name": "l18"}],
}
DOCUMENTS = 2070
EACH = 3  # every third batch is timed for the forward pass alone


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--documents", type=int, default=DOCUMENTS, help="documents to map")
    options = parser.parse_args()
    figures = measure(options.documents)
    print_figures(figures, as_json=options.json)


def measure(documents: int = DOCUMENTS) -> dict[str, Any]:
    """Measure everything; under five minutes on two cores."""
    corpus = [{"source": "demo:written", "limit": documents}]
    recipe = BuildRecipe.model_validate({**RECIPE, "corpus": corpus})
    inputs = BuildInputs(recipe, SilentReporter())
    model = inputs.model
    _ = inputs.saes, inputs.documents
    with tempfile.TemporaryDirectory() as warm:  # compiles the kernels, reads every file once
        short = recipe.corpus[0].model_copy(update={"limit": 20})
        few = recipe.model_copy(update={"corpus": [short]})
        other = BuildInputs(few, SilentReporter())
        other.__dict__["model"], other.__dict__["saes"] = model, inputs.saes
        build_inputs(other, home=Path(warm))
    alone, tokens = forward_and_encoder(inputs)
    with tempfile.TemporaryDirectory() as home:
        began = time.perf_counter()
        result = build_inputs(inputs, home=Path(home))
        whole = time.perf_counter() - began
    return {
        "documents": documents,
        "tokens": tokens,
        "positions": result.counts["positions"],
        "tested_pairs": result.counts["tested_pairs"],
        "forward_and_encoder_seconds": round(alone, 1),
        "build_seconds": round(whole, 1),
        "overhead_ratio": round(whole / alone - 1, 3),
        "tokens_per_s": round(tokens / whole),
        **forward_figures(model),
    }


def forward_and_encoder(inputs: BuildInputs) -> tuple[float, int]:
    """Time the truncated forward pass and the encoder's product; return seconds and tokens."""
    model, weights = inputs.model, inputs.saes[0].sae.W_enc
    options = inputs.recipe.tokens
    blocks = list(
        tokenize(
            [document.text for document in inputs.documents],
            model.tokenizer,
            context_size=options.context_size,
            bos=model.bos_token_id,
        )
    )
    tokens, timed_tokens, seconds = sum(len(block.tokens) for block in blocks), 0, 0.0
    every = []
    for first in range(0, len(blocks), options.shard_documents):
        some = blocks[first : first + options.shard_documents]
        every += batches(some, batch_tokens=options.batch_tokens, pad=model.bos_token_id)
    for batch in every[EACH // 2 :: EACH]:
        began = time.perf_counter()
        stream = model.residuals(batch.tokens, [HOOK])[HOOK]
        with torch.inference_mode():
            stream.flatten(0, 1).to(weights.dtype) @ weights
        seconds += time.perf_counter() - began
        timed_tokens += int(batch.lengths.sum())
    return seconds * tokens / timed_tokens, tokens


def forward_figures(model: LanguageModel, *, rounds: int = 4) -> dict[str, float]:
    """Compare forward passes on one batch of 16 blocks of 256 tokens, turn by turn."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(5, 40_000, (16, 256), generator=generator)
    cut = plain_transformers(model)
    ours_times, cut_times = [], []
    for _ in range(rounds):
        ours_times.append(timed(lambda: model.residuals(tokens, [HOOK])))
        cut_times.append(timed(lambda: cut(tokens)))
    ours = tokens.numel() / statistics.median(ours_times)
    theirs = tokens.numel() / statistics.median(cut_times)
    default, same = (cache_rate(tokens[:4], **how) for how in ({}, {"dtype": model.dtype}))
    return {
        "forward_tokens_per_s": round(ours),
        "transformers_tokens_per_s": round(theirs),
        "forward_vs_transformers": round(ours / theirs, 3),
        "run_with_cache_tokens_per_s": round(default),
        "forward_vs_run_with_cache": round(ours / default, 2),
        "forward_vs_run_with_cache_same_dtype": round(ours / same, 2),
    }


def timed(work: Callable[[], Any]) -> float:
    """Return the seconds that `work` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def plain_transformers(model: LanguageModel) -> Callable[[torch.Tensor], Any]:
    """Return the forward pass of transformers alone, with the blocks after the hook cut off."""
    from transformers import AutoModel

    cut = AutoModel.from_pretrained(models.pull("smollm2-135m"), dtype=model.dtype).eval()
    cut.layers = cut.layers[:18]

    def run(tokens: torch.Tensor) -> Any:
        with torch.inference_mode():
            return cut(tokens, use_cache=False)

    run(torch.zeros(1, 8, dtype=torch.int64))
    return run


def cache_rate(tokens: torch.Tensor, **how: Any) -> float:
    """Return tokens/s of TransformerLens's run_with_cache over the whole model, loaded `how`."""
    from transformer_lens.model_bridge import TransformerBridge

    bridge = TransformerBridge.boot_transformers(str(models.pull("smollm2-135m")), **how)
    with torch.inference_mode():
        bridge.run_with_cache(tokens[:1])
        times = [timed(lambda: bridge.run_with_cache(tokens)) for _ in range(2)]
    return tokens.numel() / statistics.median(times)


if __name__ == "__main__":
    main()
