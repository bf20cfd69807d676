"""One training step of a TopK SAE: ours against SAELens's, in one run.

`python -m benchmarks.train_step --json` prints samples a second of both and their ratio, at the
shipped SAE's size (576 wide, 8,192 latents, 48 firing) and batches of 4,096.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time

import torch
from sae_lens.config import SAETrainerConfig
from sae_lens.saes.topk_sae import TopKTrainingSAE, TopKTrainingSAEConfig
from sae_lens.training.sae_trainer import SAETrainer

from ingest.sparse_topk import SparseTopKTrainer, SparseTopKTrainingSAE

BATCH = 4096


def trainer(ours: bool) -> SAETrainer:  # type: ignore[type-arg]
    """Make a trainer on the CPU, theirs with bfloat16 autocast."""
    config = TopKTrainingSAEConfig(
        d_in=576, d_sae=8192, k=48, device="cpu", normalize_activations="none"
    )
    options = SAETrainerConfig(
        total_training_samples=10**9,
        train_batch_size_samples=BATCH,
        lr_end=3e-4,
        autocast=not ours,
    )
    if ours:
        return SparseTopKTrainer(options, SparseTopKTrainingSAE(config), iter(()))
    return SAETrainer(options, TopKTrainingSAE(config), iter(()))


def rate(made: SAETrainer, batch: torch.Tensor, *, steps: int) -> float:  # type: ignore[type-arg]
    """Measure samples a second: the median over `steps`, after one to warm up."""
    made.step(batch)
    times = []
    for _ in range(steps):
        began = time.perf_counter()
        made.step(batch)
        times.append(time.perf_counter() - began)
    return BATCH / statistics.median(times)


def measure(steps: int = 5) -> dict[str, float]:
    """Measure both sides on the same batch."""
    torch.manual_seed(0)
    batch = torch.randn(BATCH, 576)
    theirs = rate(trainer(ours=False), batch, steps=steps)
    ours = rate(trainer(ours=True), batch, steps=steps)
    return {
        "ours_samples_per_s": round(ours),
        "saelens_samples_per_s": round(theirs),
        "ratio_saelens": round(ours / theirs, 2),
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    figures = measure()
    if parser.parse_args().json:
        sys.stdout.write(json.dumps(figures) + "\n")
    else:
        sys.stdout.write("\n".join(f"{name}: {value}" for name, value in figures.items()) + "\n")


if __name__ == "__main__":
    main()
