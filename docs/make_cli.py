"""Write the reference of the command line from the commands: `python docs/make_cli.py`."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import typer

from atlas.cli import app

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).parent / "reference" / "cli.md"
#: Its commands are the queries, which have a page of their own.
QUERIES = "atlas query"
_ABOUT = """\
# Commands

<!-- Written by `python docs/make_cli.py` from the commands. -->

`atlas COMMAND --help` says the same. Results go to standard output, as tables, or as JSON with
`--json`; progress and errors go to standard error. The exit code is 0 for done, 1 for failed and 2
for wrong use. An option that may be given several times is marked with *repeat*.

`atlas --home FOLDER COMMAND` works on the atlas in a folder (database and builds); without it
`ATLAS_HOME` says which, else it is the one in your data folder. `NEO4J_URI`, `NEO4J_USERNAME`,
`NEO4J_PASSWORD` and `NEO4J_DATABASE` name another database than the managed one:
[the database](../database.md).
"""
_NAMES = {"str": "text", "int": "integer", "float": "number", "Path": "path", "bool": ""}


def page() -> str:
    """Return the page."""
    parts = [_ABOUT]
    for name, command in _commands("atlas", typer.main.get_command(app)):
        parts.append("\n".join(_entry(name, command)) + "\n")
    return "\n".join(parts)


def _commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Yield a command's subcommands, at every depth, by their whole names."""
    for part, below in sorted(command.commands.items()):
        whole = f"{name} {part}"
        if below.hidden:
            continue
        if not hasattr(below, "commands") or below.invoke_without_command:
            yield whole, below
        if hasattr(below, "commands") and whole != QUERIES:
            yield from _commands(whole, below)


def _entry(name: str, command: Any) -> Iterator[str]:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option" and not one.hidden]
    yield f"## {name}"
    yield ""
    yield "```text"
    yield _usage(name, arguments, options=bool(options))
    yield "```"
    yield ""
    yield _text(command.help or "")
    if name == QUERIES:
        yield ""
        yield "Each query is a command of its own: [the catalogue](../catalogue.md). All of them"
        yield "also take `--json`, `--csv`, `--column`, `--timeout`, `--max-rows` and `--mib`:"
        yield "[asking the atlas](../queries.md)."
    yield from _table("argument", [(_argument(one), one) for one in arguments])
    yield from _table("option", [(_spelling(one), one) for one in options])


def _usage(name: str, arguments: list[Any], *, options: bool) -> str:
    named = [_argument(one) for one in arguments]
    shown = [
        text if one.required else f"[{text}]" for text, one in zip(named, arguments, strict=True)
    ]
    if name == QUERIES:
        shown.append("[NAME]")
    return " ".join([name, *(["[OPTIONS]"] if options else []), *shown])


def _argument(argument: Any) -> str:
    name: str = argument.metavar or argument.name.upper()
    return f"{name}..." if argument.nargs == -1 else name


def _spelling(option: Any) -> str:
    names = [*option.opts, *option.secondary_opts]
    kind = "" if option.is_flag else option.metavar or _kind(option)
    return ", ".join(names) + (f" {kind.upper()}" if kind else "")


def _kind(option: Any) -> str:
    """Return the type of an option's value, one word."""
    annotation = option.type_descriptor.annotation
    inner = [one for one in getattr(annotation, "__args__", ()) if one is not type(None)]
    name = getattr(inner[0] if inner else annotation, "__name__", "value")
    return _NAMES.get(name, name.lower())


def _table(head: str, rows: list[tuple[str, Any]]) -> Iterator[str]:
    if not rows:
        return
    yield ""
    yield f"| {head} | default | |"
    yield "|---|---|---|"
    for spelling, one in rows:
        told = _text(getattr(one, "help", None) or "").replace("\n", " ").replace("|", "\\|")
        repeat = " *repeat*" if one.multiple and "epeat" not in told else ""
        yield f"| `{spelling}` | {_default(one)} | {told}{repeat} |"


def _default(one: Any) -> str:
    if one.required:
        return "must be given"
    value = one.default
    if value is None or value is False or value in ("", (), []) or callable(value):
        return ""
    if value is True:
        return f"`{one.opts[0]}`" if one.secondary_opts else "yes"
    if isinstance(value, (list, tuple)):
        return "`" + " ".join(map(str, value)) + "`"
    return f"`{value}`"


def _text(text: str) -> str:
    """Return a help text as paragraphs of Markdown."""
    whole = dedent(text.replace("\b", "")).strip()
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", whole)]
    return "\n\n".join(paragraphs).replace("<", "&lt;")


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), "utf-8")
