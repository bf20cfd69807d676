"""`atlas attribute`: attributions of a task to features, and the edges between them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from atlas.cli.output import print_json, print_table
from atlas.progress import reporter


def register(app: typer.Typer) -> None:
    """Add the command of this module to `app`."""
    app.command()(attribute)


def attribute(
    prompts: Annotated[
        Path, typer.Argument(help="A .jsonl, .csv or .parquet file: prompt, answer, foils.")
    ],
    *,
    model: Annotated[str, typer.Option(help="Packaged model, local folder, or hub name.")],
    sae: Annotated[
        list[str], typer.Option(help="Shipped SAE, local folder, or RELEASE:ID; repeat for more.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to write the tables into.")],
    metric: Annotated[
        str, typer.Option(help="logit-diff, log-prob or logit, at the prompt's last token.")
    ] = "logit-diff",
    aggregation: Annotated[
        str, typer.Option(help="first, last, max or sum over the prompt's positions.")
    ] = "sum",
    keep: Annotated[
        str, typer.Option(help="intersection, union, or the least share of prompts.")
    ] = "0.5",
    steps: Annotated[
        int, typer.Option(help="Steps of integrated gradients; 0 is the plain gradient.")
    ] = 0,
    test: Annotated[str, typer.Option(help="Tested r: pearson, spearman or both.")] = "both",
    min_r: Annotated[float, typer.Option(help="Least absolute correlation of an edge.")] = 0.3,
    within_groups: Annotated[
        bool, typer.Option("--within-groups", help="Remove the means of groups of prompts first.")
    ] = False,
    fdr: Annotated[float, typer.Option(help="False-discovery rate over all pairs.")] = 0.05,
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples.")] = 200,
    resample: Annotated[str, typer.Option(help="What is drawn: prompt or group.")] = "prompt",
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
    batch_tokens: Annotated[int, typer.Option(help="Most tokens in one pass.")] = 1024,
    name: Annotated[str | None, typer.Option(help="Name of the prompt set.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 ...")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Attribute a task to features and join those whose attributions rise and fall together."""
    from ingest.attribution.options import AttributionOptions, EdgeOptions, make_options
    from ingest.attribution.run import run_attribution

    edges = make_options(
        EdgeOptions,
        test=test,
        min_r=min_r,
        within_groups=within_groups,
        fdr=fdr,
        resamples=resamples,
        resample=resample,
        seed=seed,
    )
    options = make_options(
        AttributionOptions,
        metric=metric,
        aggregation=aggregation,
        keep=keep,
        steps=steps,
        batch_tokens=batch_tokens,
        edges=edges,
    )
    result = run_attribution(
        prompts,
        out,
        model=model,
        saes=sae,
        options=options,
        name=name,
        device=device,
        reporter=reporter(),
    )
    summary = {
        "run_id": result.run_id,
        "folder": str(result.folder),
        **result.counts,
        "few_prompts": result.few_prompts,
        "notes": list(result.notes),
    }
    if as_json:
        print_json(summary)
    else:
        print_table([{"what": key, "value": value} for key, value in summary.items()])
