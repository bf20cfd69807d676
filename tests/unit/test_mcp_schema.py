"""The schemas, answers, texts and prompts of the MCP server; its protocol needs a database."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from atlas.errors import NotFoundError, UsageError
from atlas.mcp import serve
from atlas.mcp.answers import Limits, encode, head, page
from atlas.mcp.glossary import TERMS, glossary, listing, source
from atlas.mcp.prompts import PROMPTS, prompt
from atlas.mcp.schemas import SKIP, input_schema, output_schema
from atlas.mcp.tools import CYPHER, GRAPH_SCHEMA, Toolbox, definitions
from queries.catalogue import bind, catalogue
from queries.header import GROUPS, TYPES, parse

jsonschema = pytest.importorskip("jsonschema")

HEADER = """\
// Title: Sample
// Purpose: Rows of every type.
// Group: features
// Result: {result}
// Parameters:
//   feature: feature -- Key of the feature.
//   others: features -- Others.
//   limit: integer 1..100 = 20 -- Most rows.
//   least: float -1..1 = 0.5 -- Least.
//   deep: boolean = true -- Deep.
//   kind: choice a|b = a -- Kind.
//   maybe: choice? c|d -- Kind, or null.
//   run: run? -- Run.
//   text: fulltext = word -- Words.
// Columns:
//   key: string -- Key.
//   n: integer -- Number.
//   share: float -- Share.
//   dead: boolean -- Dead.
//   tokens: list -- Tokens.
//   scores: map -- Scores.
// Example:
//   :param {{}}
//   atlas query sample
// Phrase: Sample of $feature
// Graph:
//   MATCH (n) RETURN n
RETURN 1
"""
GOOD = {"feature": 3, "others": ["heart 3", 4]}


def sample(result: str = "rows") -> Any:
    """Return a query with a parameter and a column of each sort."""
    return parse("sample", HEADER.format(result=result))


def properties() -> dict[str, Any]:
    return input_schema(sample())["properties"]


def test_an_argument_has_type_range_default_and_meaning() -> None:
    found = properties()
    assert found["limit"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 100,
        "default": 20,
        "description": "Most rows.",
    }
    assert found["least"]["type"] == "number"
    assert (found["least"]["minimum"], found["least"]["maximum"]) == (-1.0, 1.0)
    assert found["deep"]["default"] is True
    assert found["kind"] == {
        "type": "string",
        "enum": ["a", "b"],
        "default": "a",
        "description": "Kind.",
    }
    assert found["maybe"]["anyOf"] == [{"type": "string", "enum": ["c", "d"]}, {"type": "null"}]
    assert found["run"]["default"] is None
    assert "default" not in found["feature"]
    assert found["feature"]["description"].startswith("The feature. Its key, SAE/index")
    assert found["others"]["items"] == {"anyOf": found["feature"]["anyOf"]}


def test_what_must_be_given_and_nothing_else() -> None:
    schema = input_schema(sample())
    assert schema["required"] == ["feature", "others"]
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("change", "good"),
    [
        ({}, True),
        ({"feature": "heart"}, True),
        ({"limit": 100, "least": 1, "kind": "b", "maybe": None, "run": "x"}, True),
        ({"feature": True}, False),
        ({"feature": 1.5}, False),
        ({"others": []}, False),
        ({"others": "heart"}, False),
        ({"limit": 0}, False),
        ({"limit": "20"}, False),
        ({"least": 1.5}, False),
        ({"deep": 1}, False),
        ({"kind": "c"}, False),
        ({"maybe": "a"}, False),
        ({"limit": None}, False),
        ({"text": 5}, False),
        ({"other": 1}, False),
    ],
)
def test_the_schema_takes_what_the_catalogue_takes(change: dict[str, Any], good: bool) -> None:
    values = GOOD | change
    assert jsonschema.Draft202012Validator(input_schema(sample())).is_valid(values) is good
    if good:
        assert bind(sample(), values)["feature"] == values["feature"]
    else:
        with pytest.raises(UsageError):
            bind(sample(), values)


def test_a_single_row_has_nothing_to_skip() -> None:
    assert SKIP in properties()
    single = sample("feature")
    assert SKIP not in input_schema(single)["properties"]
    rows = output_schema(single)["properties"]["rows"]
    assert (rows["minItems"], rows["maxItems"]) == (1, 1)


def test_the_columns_are_described() -> None:
    row = output_schema(sample())["properties"]["rows"]["items"]
    assert row["required"] == ["key", "n", "share", "dead", "tokens", "scores"]
    assert row["properties"]["share"] == {"type": ["number", "null"], "description": "Share."}
    good = {"key": "k", "n": 1, "share": 2, "dead": None, "tokens": [], "scores": {}}
    answer = page([good], Limits()).to_json()
    validator = jsonschema.Draft202012Validator(output_schema(sample()))
    assert validator.is_valid(answer)
    assert not validator.is_valid(page([good | {"n": "one"}], Limits()).to_json())
    assert not validator.is_valid(page([{"key": "k"}], Limits()).to_json())


@pytest.mark.parametrize("made", definitions(), ids=lambda made: made["name"])
def test_every_tool_has_valid_schemas(made: dict[str, Any]) -> None:
    for schema in (made["input_schema"], made["output_schema"]):
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["type"] == "object"
    assert re.fullmatch(r"[a-z_]{1,64}", made["name"])
    assert made["title"]
    assert made["description"]
    assert all(part["description"] for part in made["input_schema"]["properties"].values())


def test_one_tool_for_each_query() -> None:
    names = [made["name"] for made in definitions()]
    assert names == [*catalogue(), CYPHER, GRAPH_SCHEMA]
    assert all(SKIP not in spec.parameter_names for spec in catalogue().values())


def test_tools_of_some_groups() -> None:
    names = {made["name"] for made in definitions(["communities"])}
    assert {"communities", "community_members", CYPHER} <= names
    assert "feature" not in names
    with pytest.raises(UsageError, match=r"no group of queries 'music'.*features"):
        definitions(["music"])


def test_every_sort_of_parameter_has_a_schema() -> None:
    for kind in TYPES:
        limits = " a|b" if kind == "choice" else ""
        text = HEADER.format(result="rows").replace(
            "//   limit: integer 1..100 = 20 --", f"//   limit: {kind}{limits} --"
        )
        found = input_schema(parse("sample", text))
        jsonschema.Draft202012Validator.check_schema(found)
        assert "limit" in found["required"]


def numbered(count: int) -> list[dict[str, Any]]:
    return [{"n": number} for number in range(count)]


def test_what_fits_is_whole() -> None:
    answer = page(numbered(3), Limits())
    assert (answer.rows, answer.total, answer.next_skip, answer.note) == (
        numbered(3),
        3,
        None,
        None,
    )


def test_pages_join_to_the_whole() -> None:
    rows, found, skip, calls = numbered(1000), [], 0, 0
    while skip is not None:
        answer = page(rows, Limits(rows=300), skip=skip)
        assert answer.total == 1000
        found += answer.rows
        skip, calls = answer.next_skip, calls + 1
        assert (skip is None) == (answer.note is None)
    assert found == rows
    assert calls == 4


def test_bytes_are_kept() -> None:
    rows = [{"text": "é" * 300} for _ in range(10)]
    answer = page(rows, Limits(kib=2))
    assert answer.next_skip == len(answer.rows) == 3
    assert len(encode(answer.rows).encode()) <= 2 * 1024
    assert answer.note is not None
    assert "rows 1 to 3 of 10" in answer.note
    assert "skip=3" in answer.note


def test_a_limit_that_is_reached_is_told() -> None:
    assert "limit of 3" in str(page(numbered(3), Limits(), limit=3).note)
    assert page(numbered(2), Limits(), limit=3).note is None
    assert "only 3 rows" in str(page(numbered(3), Limits(), skip=7).note)


def test_a_row_that_is_too_large_is_shortened_where_it_is_largest() -> None:
    row = {
        "key": "k",
        "scores": {"vector": [0.123456789] * 5000, "n": 1},
        "contexts": [{"text": "word " * 2000}],
        "tokens": ["a", "b"],
    }
    answer = page([row, {"key": "next"}], Limits(kib=4))
    assert answer.shortened == ["scores", "contexts"]
    assert len(encode(answer.rows).encode()) <= 4 * 1024 + 2
    kept = answer.rows[0]
    assert (kept["key"], kept["tokens"], kept["scores"]["n"]) == ("k", ["a", "b"], 1)
    assert kept["contexts"][0]["text"].startswith("word word")
    assert "shortened: scores, contexts" in str(answer.note)
    assert answer.next_skip == 1
    assert len(row["scores"]["vector"]) == 5000, "what was given stays as it was"  # type: ignore[arg-type,index]


def test_a_row_that_cannot_be_shortened_is_refused() -> None:
    row = {f"column_{number}": number for number in range(200)}
    with pytest.raises(UsageError, match="single row takes more than 1 KiB"):
        page([row], Limits(kib=1))


def test_numbers_are_json() -> None:
    row = {"x": 1 / 3, "nan": float("nan"), "far": [float("inf"), 1e-300], "n": 2**60, "b": True}
    found = page([row], Limits()).rows[0]
    assert found == {"x": 0.333333, "nan": None, "far": [None, 1e-300], "n": 2**60, "b": True}
    assert found["b"] is True
    json.loads(encode(found))


def test_a_stream_is_read_no_further_than_it_is_shown() -> None:
    taken = []

    def rows() -> Any:
        for number in range(10**9):
            taken.append(number)
            yield {"n": number}

    answer = head(rows(), Limits(rows=5))
    assert answer.rows == numbered(5)
    assert len(taken) == 6
    assert answer.total is None
    assert "first 5 rows and there are more" in str(answer.note)
    assert head(iter(numbered(5)), Limits(rows=5)).total == 5


@pytest.mark.parametrize("limits", [{"seconds": 0}, {"rows": 0}, {"kib": -1}])
def test_wrong_limits(limits: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="Give more than 0"):
        Limits(**limits)


def test_the_glossary_has_every_column_and_says_what_words_mean() -> None:
    text = glossary()
    for spec in catalogue().values():
        for column in spec.columns:
            assert column.meaning in text
    assert all(f"**{term}**" in text for term in TERMS)


def test_the_listing_has_every_query_once() -> None:
    named = re.findall(r"^- `(\w+)`\(", listing(), flags=re.MULTILINE)
    assert sorted(named) == list(catalogue())
    assert len(GROUPS) >= listing().count("\n## ")
    for spec in catalogue().values():
        assert spec.cypher in source(spec)


@pytest.mark.parametrize("spec", PROMPTS, ids=lambda spec: spec.name)
def test_prompts_name_tools_and_parameters_that_are_there(spec: Any) -> None:
    text = spec.fill({argument.name: f"the {argument.name}" for argument in spec.arguments})
    assert "$" not in text
    assert all(f"the {argument.name}" in text for argument in spec.arguments)
    tools = re.findall(r"`(\w+)`", text)
    assert tools
    assert set(tools) <= set(catalogue())
    known = {name for tool in tools for name in catalogue()[tool].parameter_names}
    assert set(re.findall(r"\b(\w+)=", text)) <= known


def test_prompts_refuse_what_they_do_not_take() -> None:
    with pytest.raises(UsageError, match="needs a and b"):
        prompt("compare_features").fill({})
    with pytest.raises(UsageError, match="no argument 'c'"):
        prompt("compare_features").fill({"c": "1"})
    with pytest.raises(NotFoundError, match="There are: explain_feature"):
        prompt("explain")
    assert "about 8 communities" in prompt("tour_of_communities").fill({})
    # A value is put in as it is, dollar signs and all.
    assert 'feature="$US 5"' in prompt("explain_feature").fill({"feature": "$US 5"})


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("atlas.mcp.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'sae-feature-atlas\[mcp\]'"):
        serve(lambda: pytest.fail("it connects"), Limits())


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("nonsense", {}, "no tool 'nonsense'"),
        ("neighbours", {}, "needs feature"),
        ("neighbours", {"feature": 1, "limit": "many"}, "limit of neighbours is 'many'"),
        ("neighbours", {"feature": 1, "limit": 1.5}, "limit of neighbours is 1.5"),
        ("neighbours", {"feature": 1, "skip": -1}, "skip is -1"),
        ("neighbours", {"feature": 1, "skip": True}, "skip is True"),
        ("feature", {"feature": 1, "skip": 0}, "no parameter 'skip'"),
        ("cypher", {}, "needs a statement"),
        ("cypher", {"statement": "  "}, "needs a statement"),
        ("cypher", {"statement": "RETURN 1", "parameters": [1]}, "an object"),
        ("cypher", {"query": "RETURN 1"}, "no parameter 'query'"),
        ("graph_schema", {"x": 1}, "no parameter 'x'"),
    ],
)
def test_wrong_calls_need_no_database(name: str, arguments: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Toolbox(lambda: pytest.fail("it connects"), Limits()).call(name, arguments)
