"""Harvest residual activations to disk, once, for training SAEs.

Each shard is one safetensors file with the unmasked positions of some token blocks: for every
hook a bfloat16 tensor ``[positions, d_model]``. A rerun skips the shards that are there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file

from ingest.blocks import TokenBlock, batches, keep_mask

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from atlas.lm import LanguageModel


@dataclass(frozen=True)
class HarvestPlan:
    """What to harvest.

    Attributes
    ----------
    hooks
        Hook names; all are read in one pass.
    positions
        Unmasked positions wanted a hook; hooks that need fewer stop being written early.
    context_size
        Tokens a block, BOS included.
    batch_tokens
        Tokens a forward pass.
    shard_blocks
        Blocks a shard.
    """

    hooks: tuple[str, ...]
    positions: tuple[int, ...]
    context_size: int = 256
    batch_tokens: int = 8192
    shard_blocks: int = 512


def harvest(
    model: LanguageModel,
    blocks: Sequence[TokenBlock],
    *,
    plan: HarvestPlan,
    out: Path,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, int]:
    """Run the model over `blocks` and write activations under `out`.

    Parameters
    ----------
    model
        The language model.
    blocks
        Token blocks in the order in which to take them.
    plan
        Hooks, amounts and sizes.
    out
        Folder; gets ``acts-00000.safetensors`` ... and ``harvest.json``.
    progress
        Called with (positions done, positions wanted) after each shard.

    Returns
    -------
    dict
        Hook to the number of positions written.
    """
    out.mkdir(parents=True, exist_ok=True)
    written = dict.fromkeys(plan.hooks, 0)
    wanted = dict(zip(plan.hooks, plan.positions, strict=True))
    for number, start in enumerate(range(0, len(blocks), plan.shard_blocks)):
        if all(written[hook] >= wanted[hook] for hook in plan.hooks):
            break
        path = out / f"acts-{number:05d}.safetensors"
        meta = path.with_suffix(".json")
        if not meta.is_file():
            hooks = [hook for hook in plan.hooks if written[hook] < wanted[hook]]
            _write_shard(model, blocks[start : start + plan.shard_blocks], hooks, plan, path)
        for hook, count in json.loads(meta.read_text()).items():
            written[hook] += count
        if progress is not None:
            progress(max(written.values()), max(wanted.values()))
    (out / "harvest.json").write_text(json.dumps({"written": written, "hooks": list(plan.hooks)}))
    return written


def _write_shard(
    model: LanguageModel,
    blocks: Sequence[TokenBlock],
    hooks: Sequence[str],
    plan: HarvestPlan,
    path: Path,
) -> None:
    rows: dict[str, list[torch.Tensor]] = {hook: [] for hook in hooks}
    for batch in batches(blocks, batch_tokens=plan.batch_tokens, pad=model.bos_token_id):
        streams = model.residuals(batch.tokens, hooks)
        for hook in hooks:
            stream = streams[hook]
            keep = keep_mask(stream, batch.lengths)
            rows[hook].append(stream[keep].to(torch.bfloat16).cpu())
    tensors = {hook: torch.cat(parts) for hook, parts in rows.items()}
    partial = path.with_suffix(".partial")
    save_file(tensors, partial)
    partial.replace(path)
    counts = {hook: int(tensor.shape[0]) for hook, tensor in tensors.items()}
    path.with_suffix(".json").write_text(json.dumps(counts))
