"""Train TopK SAEs with SAELens's trainer from activations harvested once to disk."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sae_lens.config import SAETrainerConfig
from sae_lens.saes.sae import SAEMetadata
from sae_lens.saes.topk_sae import TopKTrainingSAEConfig
from safetensors import safe_open
from safetensors.torch import save_file

from atlas.errors import ArtifactError
from atlas.progress import Reporter, SilentReporter
from ingest.sparse_topk import SparseTopKTrainer, SparseTopKTrainingSAE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atlas.recipe import TrainedSaeSection


def load_activations(folder: Path, hook: str, limit: int) -> torch.Tensor:
    """Load up to `limit` harvested positions of a hook.

    Returns
    -------
    torch.Tensor
        bfloat16 ``[positions, d_model]`` (about 1.2 GB a million positions of width 576).

    Raises
    ------
    ArtifactError
        The harvest holds fewer positions than `limit`.
    """
    parts: list[torch.Tensor] = []
    rows = 0
    for path in sorted(folder.glob("acts-*.safetensors")):
        with safe_open(path, framework="pt") as shard:
            if hook in shard.keys() and rows < limit:  # noqa: SIM118 - not a dict
                parts.append(shard.get_tensor(hook)[: limit - rows])
                rows += len(parts[-1])
    if rows < limit:
        raise ArtifactError(
            f"The harvest in {folder} holds {rows:,} positions of {hook}, {limit:,} are wanted.",
            hint="Run the harvest to its end, or lower `positions` in the recipe.",
        )
    return torch.cat(parts)


def shuffled_batches(
    data: torch.Tensor, *, batch: int, seed: int, skip: int = 0
) -> Iterator[torch.Tensor]:
    """Yield float32 batches ``[batch, d_model]`` for ever, each epoch in a new order.

    The order depends on `seed` alone, so a resumed run skips the `skip` batches already seen.
    """
    per_epoch = len(data) // batch
    for epoch in range(skip // per_epoch, 10**9):
        order = np.random.default_rng([seed, epoch]).permutation(len(data))
        first = skip - epoch * per_epoch if epoch == skip // per_epoch else 0
        for number in range(first, per_epoch):
            rows = np.sort(order[number * batch : (number + 1) * batch])
            yield data[torch.from_numpy(rows)].float()


def train(
    section: TrainedSaeSection,
    data: torch.Tensor,
    *,
    model_name: str,
    context_size: int,
    out: Path,
    reporter: Reporter | None = None,
) -> Path:
    """Train one SAE and write it in SAELens's format.

    Parameters
    ----------
    section
        The SAE's part of the recipe.
    data
        bfloat16 ``[positions, d_model]``.
    model_name, context_size
        Recorded in the SAE's metadata.
    out
        Folder; gets ``checkpoints/`` (a rerun resumes from the newest) and the final
        ``cfg.json`` and ``sae_weights.safetensors`` (fp16).

    Returns
    -------
    Path
        `out`.
    """
    torch.manual_seed(section.seed)
    sae = _new_sae(section, data, model_name, context_size)
    total = math.ceil(section.epochs * len(data) / section.batch) * section.batch
    steps = total // section.batch
    config = SAETrainerConfig(
        total_training_samples=total,
        train_batch_size_samples=section.batch,
        lr=section.lr,
        lr_end=section.lr / 100,
        lr_warm_up_steps=min(300, steps // 10),
        lr_decay_steps=int(steps * section.decay_share),
        dead_feature_window=section.dead_window,
        feature_sampling_window=10**9,
        n_batches_for_norm_estimate=20,
        n_checkpoints=section.checkpoints,
        checkpoint_path=str(out / "checkpoints"),
    )
    trainer = SparseTopKTrainer(config, sae, iter(()))
    _resume(trainer, out / "checkpoints")
    # A fresh run takes its first batches to estimate the scale of the activations.
    seen = trainer.n_training_samples // section.batch
    seen += config.n_batches_for_norm_estimate if seen else 0
    trainer.data_provider = shuffled_batches(
        data, batch=section.batch, seed=section.seed, skip=seen
    )
    trainer.reporter = reporter or SilentReporter()
    trainer.fit()
    _save(trainer.sae, out)
    return out


def _new_sae(
    section: TrainedSaeSection, data: torch.Tensor, model_name: str, context_size: int
) -> SparseTopKTrainingSAE:
    metadata = SAEMetadata(
        model_name=model_name, hook_name=section.hook, context_size=context_size, prepend_bos=True
    )
    config = TopKTrainingSAEConfig(
        d_in=data.shape[1],
        d_sae=section.d_sae,
        k=section.k,
        dtype="float32",
        device="cpu",
        apply_b_dec_to_input=True,
        normalize_activations="expected_average_only_in",
        rescale_acts_by_decoder_norm=True,
        aux_loss_coefficient=1 / 32,
        # With SAELens's default of 0.1 one Adam step is a large part of a weight, and more than
        # half of the latents die within the first million samples; with 1 none does.
        decoder_init_norm=1.0,
        metadata=metadata,
    )
    sae = SparseTopKTrainingSAE(config)
    sample = data[torch.randperm(len(data))[:65536]].float()
    scale = math.sqrt(data.shape[1]) / float(sample.norm(dim=-1).mean())
    sae.b_dec.data = sample.mean(dim=0) * scale
    return sae


def _resume(trainer: SparseTopKTrainer, folder: Path) -> None:
    names = [p for p in folder.glob("*") if p.name.isdigit() and (p / "complete").is_file()]
    if not names:
        return
    newest = max(names, key=lambda p: int(p.name))
    trainer.sae.load_weights_from_checkpoint(newest)
    trainer.sae.W_enc.data = trainer.sae.W_enc.data.T.contiguous().T
    trainer.load_trainer_state(newest)
    done = trainer.n_training_samples
    trainer.checkpoint_thresholds = [t for t in trainer.checkpoint_thresholds if t > done]


def _save(sae: SparseTopKTrainingSAE, out: Path) -> None:
    """Write the inference SAE with fp16 weights; SAELens loads it as float32."""
    sae.W_enc.data = sae.W_enc.data.contiguous()
    weights, config = sae.save_inference_model(out)
    with safe_open(weights, framework="pt") as handle:
        tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
    save_file({name: t.to(torch.float16).contiguous() for name, t in tensors.items()}, weights)
    values: dict[str, Any] = json.loads(Path(config).read_text())
    Path(config).write_text(json.dumps(values, indent=1, sort_keys=True) + "\n")
