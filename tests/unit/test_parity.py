"""A command is a thin wrapper of a method: the same names and the same defaults."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest

from atlas import Atlas
from atlas.cli import app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

METHODS = {
    "algorithm": "algorithm",
    "analyse": "analyse",
    "backbone": "backbone",
    "bloom export": "export_bloom",
    "concepts add": "add_concepts",
    "export": "export",
    "import circuit": "import_circuit",
    "import neuronpedia": "import_neuronpedia",
    "label": "label",
    "layout": "layout",
    "load": "load",
    "runs diff": "diff_runs",
    "runs drop": "drop_run",
    "runs list": "runs",
    "runs show": "run",
    "verify": "verify",
}
# What a terminal gives differently: repeated options, a list asked for instead, a progress bar.
OTHER_NAMES = {"kinds": "kind", "features": "feature", "ontologies": "ontology", "saes": "sae"}
OTHER_NAMES |= {"parameters": "param", "folder": "out"}
ONLY_IN_PYTHON = {"self", "reporter", "settings", "mark", "labeller", "labeller_name", "selection"}


def commands(group: Any = app, prefix: str = "") -> Iterator[tuple[str, Callable[..., None]]]:
    for command in group.registered_commands:
        name = command.name or command.callback.__name__.replace("_", "-")
        yield f"{prefix}{name}", command.callback
    for inner in group.registered_groups:
        if inner.name != "query":  # made from the headers, and tested with the catalogue
            yield from commands(inner.typer_instance, f"{prefix}{inner.name} ")


FUNCTIONS = dict(commands())


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_command_has_its_methods_options_and_defaults(name: str) -> None:
    options = inspect.signature(FUNCTIONS[name]).parameters
    parameters = inspect.signature(getattr(Atlas, METHODS[name])).parameters
    for parameter in parameters.values():
        if parameter.name in ONLY_IN_PYTHON:
            continue
        option = options.get(parameter.name) or options.get(OTHER_NAMES.get(parameter.name, ""))
        assert option is not None, f"{name} lacks {parameter.name}"
        if option.name == parameter.name and (name, option.name) != ("algorithm", "name"):
            assert option.default == parameter.default, (name, option.name)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_command_prints_json(name: str) -> None:
    assert "as_json" in inspect.signature(FUNCTIONS[name]).parameters
