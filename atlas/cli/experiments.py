"""`atlas patch`, `atlas trace`, `atlas explain` and `atlas attention`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from atlas.cli import followups as shared
from atlas.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from queries.followups.evidence import Evidence
    from queries.followups.lab import Lab

Page = Annotated[
    Path | None, typer.Option(help="Write a page with the picture, self-contained HTML.")
]
Option = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="Another field of the request (JSON or text); repeat."),
]

PATCHES = {
    "patch_summary": ("name", "what", "feature", "metric", "clean", "corrupt", "patched", "share")
}
CIRCUIT = {
    "circuit_nodes": ("kind", "feature", "position", "token", "activation", "influence"),
    "faithfulness": ("prompt", "set", "size", "faithfulness", "completeness"),
}
PLAYERS = {"players": ("explanation", "player", "value", "error", "activation")}
HEADS = {
    "heads": ("prompt", "layer", "head", "key_position", "key_token", "weight", "on_bos"),
    "looked_at": ("prompt", "layer", "head", "rank", "feature", "value"),
}


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    app.command()(patch)
    app.command()(trace)
    app.command()(explain)
    app.command()(attention)


def patch(
    *,
    prompt: shared.Prompt = None,
    answer: shared.Answer = None,
    prompts: shared.Prompts = None,
    corrupt: Annotated[
        list[str], typer.Option(help="Corrupt prompt of each prompt, of as many tokens; in order.")
    ],
    feature: Annotated[
        list[str] | None, typer.Option(help="A feature; all that are named are one set.")
    ] = None,
    option: Option = None,
    store: shared.Store = True,
    model: shared.Model = None,
    sae: shared.Sae = None,
    as_json: shared.Json = False,
) -> None:
    """Patch activations of clean prompts into corrupt ones, and measure what comes back."""
    from atlas.progress import reporter

    with shared.opened(model, sae) as bench:
        found = bench.patch(
            shared.prompts_of(prompts, prompt, answer),
            corrupt,
            sets={"named": feature} if feature else None,
            store=store,
            reporter=reporter(quiet=as_json),
            **_options(option),
        )
    shared.print_found(found, tables=PATCHES, as_json=as_json)


def trace(
    *,
    prompt: shared.Prompt = None,
    answer: shared.Answer = None,
    prompts: shared.Prompts = None,
    option: Option = None,
    page: Page = None,
    export: Annotated[
        Path | None, typer.Option(help="Write the first circuit as circuit-tracer JSON.")
    ] = None,
    store: shared.Store = True,
    model: shared.Model = None,
    sae: shared.Sae = None,
    as_json: shared.Json = False,
) -> None:
    """Find the circuits of prompts over the features of all SAEs, and test them by ablation."""
    from atlas.progress import reporter
    from queries.followups.circuits.file import write_circuit
    from queries.followups.circuits.picture import circuit_page, draw_circuit

    with shared.opened(model, sae) as bench:
        found = bench.trace(
            shared.prompts_of(prompts, prompt, answer),
            store=store,
            reporter=reporter(quiet=as_json),
            **_options(option),
        )
    if page is not None:
        page.write_text(circuit_page(draw_circuit(found.evidence)), encoding="utf-8")
    if export is not None:
        write_circuit(found.evidence, export)
    shared.print_found(found, tables=CIRCUIT, as_json=as_json)


def explain(
    *,
    prompt: shared.Prompt = None,
    answer: shared.Answer = None,
    prompts: shared.Prompts = None,
    players: Annotated[str, typer.Option(help="tokens, features or communities.")] = "features",
    of: Annotated[str, typer.Option(help="A metric, or a feature that is explained.")] = "logit",
    feature: Annotated[
        list[str] | None, typer.Option(help="A feature that plays; repeat. Default: who matters.")
    ] = None,
    option: Option = None,
    page: Page = None,
    store: shared.Store = True,
    model: shared.Model = None,
    sae: shared.Sae = None,
    as_json: shared.Json = False,
) -> None:
    """Share what the model says among tokens, features or communities (SHAP values)."""
    from atlas.progress import reporter
    from queries.followups.shapley.page import shap_page

    with shared.opened(model, sae) as bench:
        found = bench.explain(
            shared.prompts_of(prompts, prompt, answer),
            players=players,
            of=of,
            features=feature or (),
            store=store,
            reporter=reporter(quiet=as_json),
            **_options(option),
        )
    if page is not None:
        page.write_text(shap_page(found.evidence), encoding="utf-8")
    shared.print_found(found, tables=PLAYERS, as_json=as_json)


def attention(
    *,
    prompt: shared.Prompt = None,
    prompts: shared.Prompts = None,
    option: Option = None,
    page: Page = None,
    model: shared.Model = None,
    sae: shared.Sae = None,
    as_json: shared.Json = False,
) -> None:
    """List where attention heads look, and the features that fire there.

    The page shows every head on the first prompt.
    """
    from atlas.progress import reporter

    with shared.opened(model, sae) as bench:
        found = bench.attention(
            shared.prompts_of(prompts, prompt, None),
            reporter=reporter(quiet=as_json),
            **_options(option),
        )
        if page is not None:
            page.write_text(_every_head(bench.lab(), found.evidence), encoding="utf-8")
    shared.print_found(found, tables=HEADS, as_json=as_json)


def _every_head(lab: Lab, found: Evidence) -> str:
    """Draw all heads of all blocks on the first prompt; the features beside it are its own."""
    from queries.followups.attention.attend import attention_weights
    from queries.followups.attention.picture import attention_page
    from queries.followups.lab import PromptText

    text = PromptText.model_validate(dict(found.prompts[0]))
    tokens, layers = lab.prompts([text])[0][0].tokens, range(len(lab.model.blocks))
    firing: dict[int, list[str]] = {}
    for row in found.tables["firing"].to_pylist():
        if row["prompt"] == text.id:
            said = f"{row['feature']}: {row['activation']:.1f}"
            firing.setdefault(row["position"], []).append(said)
    return attention_page(
        attention_weights(lab.model, tokens, layers=layers).numpy(),
        [lab.text(token) for token in tokens],
        layers=layers,
        features=firing,
        title=text.prompt,
    )


def _options(given: Sequence[str] | None) -> dict[str, Any]:
    """Read ``NAME=VALUE``; a value that is no JSON is a text."""
    found: dict[str, Any] = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--option {text!r} has no value.", hint="Give NAME=VALUE.")
        try:
            found[name.replace("-", "_")] = json.loads(value)
        except ValueError:
            found[name.replace("-", "_")] = value
    return found
