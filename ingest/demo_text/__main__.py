"""Command line of the demo text's script; see the package's docstring."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path  # noqa: TC003  typer reads the annotations
from typing import Annotated

import typer

from atlas.errors import AtlasError
from atlas.progress import reporter


def main(
    out: Annotated[Path, typer.Option(help="Parquet file to write.")],
    seed: Annotated[int, typer.Option(help="Seed of all choices.")] = 0,
    per_topic: Annotated[int, typer.Option(min=1, help="Documents a topic.")] = 46,
    batch: Annotated[int, typer.Option(min=1, help="Texts written at once.")] = 64,
    threads: Annotated[
        int, typer.Option(min=1, help="Threads of torch; sums may round differently with more.")
    ] = 1,
) -> None:
    """Let the packaged model write the demo documents."""
    # The model is local; a hub that cannot be reached must not delay the start.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
    import torch

    from atlas.lm import LanguageModel
    from ingest.demo_text.build import make_demo_text

    torch.set_num_threads(threads)
    try:
        model = LanguageModel.load("smollm2-135m", device="cpu", dtype=torch.bfloat16)
        metadata = make_demo_text(
            out, model=model, seed=seed, per_topic=per_topic, batch=batch, reporter=reporter()
        )
    except AtlasError as error:
        sys.stderr.write(f"demo_text: {error}\n")
        raise SystemExit(error.exit_code) from None
    sys.stdout.write(json.dumps(metadata, indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)
