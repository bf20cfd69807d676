"""Writes the Python methods and the page of the catalogue from the headers of its files.

``python -m queries.codegen`` writes them, ``--check`` only says whether they are up to date (exit
code 1 where not). A method is what its header says: a parameter, a default, a range or a column
is changed there, and nowhere else.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import fill, indent
from typing import TYPE_CHECKING

from queries.catalogue import catalogue
from queries.catalogue_page import WIDTH, meaning, page
from queries.header import GROUPS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from queries.header import Parameter, QuerySpec

ROOT = Path(__file__).parents[1]
API = ROOT / "atlas" / "api"

CLASSES = {
    "feature": "Feature",
    "features": "Features",
    "community": "Community",
    "communities": "Communities",
    "run": "Run",
    "runs": "Runs",
    "row": "Row",
    "rows": "Table",
}
"""What the header says a row is -> class of the result."""

_TYPES = {
    "feature": "FeatureName",
    "features": "Sequence[FeatureName]",
    "community": "CommunityName",
    "run": "RunName",
    "integer": "int",
    "float": "float",
    "boolean": "bool",
}
_NOTE = "# Written by `python -m queries.codegen` from queries/cypher; change the headers there.\n"


def modules() -> dict[Path, str]:
    """Return the text of each generated module, not yet formatted."""
    found = {}
    for group in GROUPS:
        specs = [spec for spec in catalogue().values() if spec.group == group]
        found[API / "catalogue" / f"{group}.py"] = _group(group, specs)
        found[API / "aio" / f"{group}.py"] = _async_group(group, specs)
    found[API / "catalogue" / "__init__.py"] = _package("catalogue", "Queries", "", "a method each")
    found[API / "aio" / "__init__.py"] = _package(
        "aio", "AsyncQueries", "Async", "a coroutine each"
    )
    found[API / "chains.py"] = _chains()
    return found


def written() -> dict[Path, str]:
    """Return the text of each generated file as it is to be in the repository."""
    found = {path: _formatted(text) for path, text in modules().items()}
    return found | {ROOT / "docs" / "catalogue.md": page()}


def _formatted(text: str) -> str:
    command = [sys.executable, "-m", "ruff"]
    options = ["--quiet", "--stdin-filename", "atlas/api/generated.py", "-"]
    fixed = subprocess.run(
        [*command, "check", "--fix-only", *options],
        input=text,
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    ).stdout
    done = subprocess.run(
        [*command, "format", *options],
        input=fixed,
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return done.stdout


def _group(group: str, specs: Sequence[QuerySpec]) -> str:
    methods = "\n".join(indent(_method(spec), "    ") for spec in specs)
    return (
        f'"""The catalogue\'s queries about {group}, a method each."""\n\n{_NOTE}\n'
        f"{_imports()}\n\n"
        f"class {group.title()}Part(Asking):\n"
        f'    """Queries about {group}."""\n\n{methods}\n'
    )


def _async_group(group: str, specs: Sequence[QuerySpec]) -> str:
    methods = "\n".join(indent(_async_method(spec), "    ") for spec in specs)
    imports = _imports().replace("asking import Asking", "asking import AsyncAsking")
    return (
        f'"""The catalogue\'s queries about {group}, a coroutine each."""\n\n{_NOTE}\n'
        f"{imports}\n\n"
        f"class Async{group.title()}Part(AsyncAsking):\n"
        f'    """Queries about {group}."""\n\n{methods}\n'
    )


def _imports() -> str:
    return (
        "from __future__ import annotations\n\n"
        "from typing import TYPE_CHECKING, Literal\n\n"
        "from atlas.api.asking import Asking\n\n"
        "if TYPE_CHECKING:\n"
        "    from collections.abc import Sequence\n\n"
        "    from atlas.api.asking import CommunityName, FeatureName, RunName\n"
        "    from atlas.api.objects import (\n"
        "        Communities, Community, Feature, Features, Run, Runs\n    )\n"
        "    from atlas.api.table import Table\n"
        "    from atlas.graph.reader import Row\n"
    )


def _package(package: str, name: str, prefix: str, what: str) -> str:
    parts = [f"{prefix}{group.title()}Part" for group in GROUPS]
    imports = "\n".join(
        f"from atlas.api.{package}.{group} import {part}"
        for group, part in zip(GROUPS, parts, strict=True)
    )
    return (
        f'"""The queries of the catalogue, {what}."""\n\n{_NOTE}\n'
        f"from __future__ import annotations\n\n{imports}\n\n__all__ = [{name!r}]\n\n\n"
        f"class {name}(\n    {', '.join(parts)}\n):\n"
        f'    """What the graph is asked."""\n'
    )


def _method(spec: QuerySpec) -> str:
    head = f"def {spec.name}({_signature(spec, spec.parameters, 'self')}) -> {_result(spec)}:"
    given = "".join(f", {p.name}={p.name}" for p in spec.parameters)
    call = f'found: {_result(spec)} = self._ask("{spec.name}"{given})\n    return found'
    doc = [f'Ask for "{spec.title}".', "", _wrapped(spec.purpose, "")]
    if spec.parameters:
        doc += ["", "Parameters", "----------"]
        for parameter in spec.parameters:
            doc += [parameter.name, _wrapped(meaning(parameter), "    ")]
    columns = ", ".join(f"``{column.name}``" for column in spec.columns)
    doc += ["", "Returns", "-------", _result(spec), _wrapped(f"Columns {columns}.", "    ")]
    text = "\n".join(doc)
    if "\\" in text:
        raise ValueError(f"{spec.name}.cypher: a backslash in the header")
    return f"{head}\n{indent(_quoted(text), '    ')}\n    {call}\n"


def _async_method(spec: QuerySpec) -> str:
    head = f"async def {spec.name}({_signature(spec, spec.parameters, 'self')}) -> {_result(spec)}:"
    given = "".join(f", {p.name}={p.name}" for p in spec.parameters)
    call = f'found: {_result(spec)} = await self._ask("{spec.name}"{given})\n    return found'
    doc = _quoted(f'Ask for "{spec.title}"; see `atlas.Atlas.{spec.name}`.')
    return f"{head}\n{indent(doc, '    ')}\n    {call}\n"


def _chains() -> str:
    classes = []
    for kind, title in (
        ("feature", "a feature"),
        ("features", "several features"),
        ("community", "a community"),
        ("run", "a run"),
    ):
        specs = [spec for spec in catalogue().values() if _begins_from(spec, kind)]
        methods = "\n".join(indent(_chain(spec, kind), "    ") for spec in specs)
        own = "keys(self) -> list[str]" if kind == "features" else "key(self) -> str"
        classes.append(
            f'class {CLASSES[kind]}Queries:\n    """Queries that begin from {title}."""\n\n'
            f"    @property\n    def {own}:\n"
            '        """What the queries are asked with."""\n'
            "        raise NotImplementedError\n\n"
            f"    def _asking(self) -> Any:\n        raise NotImplementedError\n\n{methods}"
        )
    return (
        f'"""The queries of the catalogue that begin from a feature, a community or a run."""\n\n'
        f"{_NOTE}\n"
        + _imports()
        .replace("from atlas.api.asking import Asking\n\n", "")
        .replace("TYPE_CHECKING, Literal", "TYPE_CHECKING, Any, Literal")
        + "\n\n"
        + "\n\n".join(classes)
    )


def chain_name(spec: QuerySpec, kind: str) -> str:
    """Return the name of a query as a method of what it begins from.

    ``feature_concepts`` of a feature is ``concepts``, ``community_members`` of one ``members``.
    """
    name = spec.name.removeprefix(f"{kind}_").removesuffix("_of")
    return name.removesuffix(f"_{kind}") if name != kind else name


def _begins_from(spec: QuerySpec, kind: str) -> bool:
    """Return whether a query is asked of one `kind`; a run must be what it is about."""
    if spec.name == kind or not spec.parameters:
        return False
    first = spec.parameters[0]
    return first.type == kind and (first.required or kind != "run") and not first.nullable


def _chain(spec: QuerySpec, kind: str) -> str:
    _, *rest = spec.parameters
    own = "self.keys" if kind == "features" else "self.key"
    given = "".join(f", {p.name}={p.name}" for p in rest)
    first = spec.parameters[0].name
    return (
        f"def {chain_name(spec, kind)}({_signature(spec, rest, 'self')}) -> {_result(spec)}:\n"
        + indent(_quoted(f'Ask for "{spec.title}"; see `atlas.Atlas.{spec.name}`.'), "    ")
        + f"\n    found: {_result(spec)} = self._asking().{spec.name}({first}={own}{given})"
        + "\n    return found\n"
    )


def _signature(spec: QuerySpec, parameters: Iterable[Parameter], first: str) -> str:
    """Return a parameter list: what must be given in place, options by keyword."""
    parts, keyword = [first], False
    for parameter in parameters:
        if not parameter.required and not keyword:
            parts.append("*")
            keyword = True
        default = "" if parameter.required else f" = {parameter.default!r}"
        parts.append(f"{parameter.name}: {_annotation(parameter)}{default}")
    if keyword and any(p.required for p in _after_first_option(parameters)):
        raise ValueError(f"{spec.name}.cypher: a required parameter after an option")
    return ", ".join(parts)


def _after_first_option(parameters: Iterable[Parameter]) -> list[Parameter]:
    listed = list(parameters)
    first = next(i for i, parameter in enumerate(listed) if not parameter.required)
    return listed[first:]


def _annotation(parameter: Parameter) -> str:
    if parameter.choices:
        kind = f"Literal[{', '.join(repr(choice) for choice in parameter.choices)}]"
    else:
        kind = _TYPES.get(parameter.type, "str")
    return f"{kind} | None" if parameter.nullable else kind


def _result(spec: QuerySpec) -> str:
    return CLASSES[spec.result]


def _wrapped(text: str, margin: str) -> str:
    width = WIDTH - 4
    return fill(text, width, initial_indent=margin, subsequent_indent=margin)


def _quoted(text: str) -> str:
    return f'"""{text}\n"""' if "\n" in text else f'"""{text}"""'


def main() -> int:
    """Write the modules, or with ``--check`` say which are not up to date."""
    stale = [path for path, text in written().items() if _read(path) != text]
    if "--check" not in sys.argv[1:]:
        for path in stale:
            path.parent.mkdir(exist_ok=True)
            path.write_text(written()[path], "utf-8")
    for path in stale:
        sys.stdout.write(f"{path.relative_to(ROOT)}\n")
    return int("--check" in sys.argv[1:] and bool(stale))


def _read(path: Path) -> str | None:
    return path.read_text("utf-8") if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
