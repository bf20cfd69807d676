"""The files for Neo4j Bloom and Browser: their structure, from a schema written by hand."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from atlas.bloom.browser import SAVED_COLUMNS, cypher_file, grass, saved_cypher
from atlas.bloom.looks import HIDDEN, LINES, LOOKS, PALETTE, colours, text_colour
from atlas.bloom.perspective import compose
from atlas.bloom.schema import GraphSchema, Scales, data_type, milliseconds
from atlas.bloom.suggestions import DATA_TYPES, literal, picked, suggestion
from queries.catalogue import catalogue
from queries.header import parse

CREATED = 1_735_689_600_000  # 2025-01-01, midnight UTC
SCHEMA = GraphSchema(
    labels={
        "Community": {"key": "string", "label": "string", "size": "bigint", "stability": "number"},
        "Feature": {
            "community": "string",
            "dead": "boolean",
            "decoder": "array",
            "firing_rate": "number",
            "key": "string",
            "label": "string",
            "n": "bigint",
            "pagerank": "number",
            "top_tokens": "array",
        },
        "Ghost": {},
        "Run": {"key": "string"},
        "Strange": {"key": "string", "other": "string"},
    },
    types={
        "CO_OCCURS": {"key": "string", "kind": "string", "phi": "number"},
        "MEMBER_OF": {},
        "ODD": {"key": "string"},
    },
    segments=(("Feature", "CO_OCCURS", "Feature"), ("Feature", "MEMBER_OF", "Community")),
    counts={"CO_OCCURS": 60, "MEMBER_OF": 24, "ODD": 0},
    indexes=(
        {
            "name": "feature_text",
            "type": "FULLTEXT",
            "labels": ["Feature"],
            "properties": ["label", "top_tokens"],
            "provider": "fulltext-1.0",
            "state": "ONLINE",
        },
        {
            "name": "feature_key",
            "type": "RANGE",
            "labels": ["Feature"],
            "properties": ["key"],
            "provider": "range-1.0",
            "state": "ONLINE",
        },
    ),
)
SCALES = Scales(
    CREATED, pagerank=(0.15, 2.5), sizes=(3.0, 80.0), communities=("r/leiden/1", "r/leiden/2")
)

TOP = {
    "name": str,
    "id": str,
    "version": str,
    "createdAt": int,
    "lastEditedAt": int,
    "categories": list,
    "labels": dict,
    "relationshipTypes": list,
    "palette": dict,
    "templates": list,
    "sceneActions": list,
    "hiddenRelationshipTypes": list,
    "hiddenCategories": list,
    "hideUncategorisedData": bool,
    "isAuto": bool,
    "type": str,
    "maxLimitToastMsgEnabled": bool,
    "parentPerspectiveId": type(None),
    "metadata": dict,
}
PHRASE = {
    "name": str,
    "id": str,
    "createdAt": int,
    "text": str,
    "cypher": str,
    "isUpdateQuery": type(None),
    "isWriteTransactionChecked": type(None),
    "params": list,
    "hasCypherErrors": bool,
}
PARAMETER = {
    "name": str,
    "dataType": str,
    "collapsed": bool,
    "suggestionLabel": (str, type(None)),
    "suggestionProp": (str, type(None)),
    "suggestionBoolean": bool,
    "cypher": (str, type(None)),
}
ACTION = {
    "name": str,
    "id": str,
    "createdAt": int,
    "cypher": str,
    "isUpdateQuery": type(None),
    "isWriteTransactionChecked": type(None),
    "categories": list,
    "relationshipTypes": type(None),
    "hasCypherErrors": bool,
}
CATEGORY = {
    "id": int,
    "name": str,
    "labels": list,
    "properties": list,
    "createdAt": int,
    "lastEditedAt": int,
    "color": str,
    "size": (int, float),
    "icon": str,
    "textSize": int,
    "textAlign": str,
    "captions": list,
    "captionKeys": list,
    "styleRules": list,
}
RELATIONSHIP_TYPE = {
    "id": str,
    "name": str,
    "properties": list,
    "color": str,
    "size": (int, float),
    "textSize": int,
    "textAlign": str,
    "captions": list,
    "captionKeys": list,
    "styleRules": list,
}
RULE = {
    "id": str,
    "type": str,
    "size": (int, float),
    "minSize": (int, float),
    "maxSize": (int, float),
    "applyColor": bool,
    "applySize": bool,
    "applyCaption": bool,
    "captions": list,
    "color": str,
    "basedOn": str,
    "valuesMapper": list,
    "existingValues": list,
    "minSizeValue": str,
    "maxSizeValue": str,
    "minColorValue": str,
    "maxColorValue": str,
    "isTimeZoneConvertEnabled": bool,
    "selectedTimeZone": str,
}
WRITES = re.compile(r"\b(CREATE|MERGE|SET|DELETE|REMOVE|DROP|FOREACH|LOAD CSV)\b")


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return compose(SCHEMA, SCALES, queries=catalogue())


def check(value: dict[str, Any], keys: dict[str, Any]) -> None:
    assert set(keys) <= set(value), set(keys) - set(value)
    for key, kind in keys.items():
        assert isinstance(value[key], kind), (key, value[key])


def category(made: dict[str, Any], name: str) -> dict[str, Any]:
    return next(found for found in made["categories"] if found["name"] == name)


def test_the_top_level(made: dict[str, Any]) -> None:
    check(made, TOP)
    assert set(made) == set(TOP)
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert made["createdAt"] == CREATED
    assert made["palette"]["colors"] == list(PALETTE)
    assert 0 <= made["palette"]["currentIndex"] < len(PALETTE)
    assert made["metadata"]["stats"]["relationshipTypes"] == SCHEMA.counts


def test_equal_atlases_have_equal_perspectives(made: dict[str, Any]) -> None:
    assert compose(SCHEMA, SCALES, queries=catalogue()) == made
    later = compose(SCHEMA, replace(SCALES, created=CREATED + 1), queries=catalogue())
    grown = compose(
        replace(SCHEMA, counts={**SCHEMA.counts, "ODD": 1}), SCALES, queries=catalogue()
    )
    named = compose(SCHEMA, SCALES, queries=catalogue(), name="another")
    assert len({made["id"], later["id"], grown["id"], named["id"]}) == 4


def test_every_label_is_a_category(made: dict[str, Any]) -> None:
    assert [found["name"] for found in made["categories"]] == sorted(SCHEMA.labels)
    assert [found["id"] for found in made["categories"]] == list(range(1, 6))
    assert set(made["labels"]) == set(SCHEMA.labels)
    for found in made["categories"]:
        check(found, CATEGORY)
        properties = SCHEMA.labels[found["name"]]
        assert found["labels"] == [found["name"]]
        assert {p["name"]: p["dataType"] for p in found["properties"]} == properties
        assert re.fullmatch(r"#[0-9A-F]{6}", found["color"])
        assert any(caption["isCaption"] for caption in found["captions"])
        shown = {caption["key"] for caption in found["captions"]}
        assert shown == {found["name"], *properties} - set(HIDDEN)
    excluded = [p["name"] for p in category(made, "Feature")["properties"] if p["exclude"]]
    assert excluded == ["decoder"]


@pytest.mark.parametrize(
    ("label", "captions"),
    [("Feature", ["label"]), ("Strange", ["key"]), ("Ghost", ["Ghost"]), ("Run", ["key"])],
)
def test_captions(made: dict[str, Any], label: str, captions: list[str]) -> None:
    found = category(made, label)["captions"]
    assert [caption["key"] for caption in found if caption["isCaption"]] == captions


def test_every_relationship_type_is_there(made: dict[str, Any]) -> None:
    assert [found["name"] for found in made["relationshipTypes"]] == sorted(SCHEMA.types)
    for found in made["relationshipTypes"]:
        check(found, RELATIONSHIP_TYPE)
        assert found["id"] == found["name"]
        first = found["captions"][0]
        assert (first["key"], first["type"], first["isCaption"]) == (
            found["name"],
            "relationship",
            True,
        )


def test_style_rules(made: dict[str, Any]) -> None:
    rules = [
        rule
        for found in [*made["categories"], *made["relationshipTypes"]]
        for rule in found["styleRules"]
    ]
    for rule in rules:
        check(rule, RULE)
        assert rule["applyColor"] != rule["applySize"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    based = [rule["basedOn"] for rule in category(made, "Feature")["styleRules"]]
    assert based == [
        "n_bigint",
        "firing_rate_number",
        "community_string",
        "community_string",
        "pagerank_number",
    ]


def test_rules_of_features(made: dict[str, Any]) -> None:
    dead, dense, first, second, size = category(made, "Feature")["styleRules"]
    assert (dead["condition"], dead["conditionValue"], dead["rangeValue"]) == ("between", 0, 0)
    assert (dense["conditionValue"], dense["rangeValue"]) == (0.1, 1)
    assert [rule["conditionValue"] for rule in (first, second)] == list(SCALES.communities)
    assert len({rule["color"] for rule in (dead, dense, first, second)}) == 4
    assert (size["type"], size["minSizeValue"], size["maxSizeValue"]) == ("range", "0.15", "2.5")
    assert size["minSize"] < size["maxSize"]


def test_rules_of_communities_and_edges(made: dict[str, Any]) -> None:
    stable, unstable, size = category(made, "Community")["styleRules"]
    assert (stable["conditionValue"], stable["rangeValue"]) == (0.75, 1)
    assert (unstable["conditionValue"], unstable["rangeValue"]) == (0, 0.75)
    assert (size["minSizeValue"], size["maxSizeValue"]) == ("3", "80")
    edges = next(t for t in made["relationshipTypes"] if t["name"] == "CO_OCCURS")
    *kinds, width = edges["styleRules"]
    assert [rule["conditionValue"] for rule in kinds] == ["token", "topic", "exclusive"]
    assert (width["type"], width["basedOn"], width["maxSizeValue"]) == (
        "range",
        "phi_number",
        "0.5",
    )
    # No property, no rule.
    member = next(t for t in made["relationshipTypes"] if t["name"] == "MEMBER_OF")
    assert member["styleRules"] == []


def test_before_an_analysis_there_are_no_ranges() -> None:
    made = compose(SCHEMA, Scales(CREATED), queries=catalogue())
    based = [rule["basedOn"] for rule in category(made, "Feature")["styleRules"]]
    assert based == ["n_bigint", "firing_rate_number"]


def test_metadata(made: dict[str, Any]) -> None:
    assert made["metadata"]["pathSegments"][0] == {
        "source": "Feature",
        "relationshipType": "CO_OCCURS",
        "target": "Feature",
    }
    native, fulltext = made["metadata"]["indexes"]
    assert native == {
        "label": "Feature",
        "type": "native",
        "propertyKeys": [{"key": "key", "metadataProp": False}],
    }
    assert (fulltext["type"], fulltext["tokenNames"]) == ("full-text", ["Feature"])
    assert fulltext["provider"] == {"key": "fulltext", "version": "1.0"}


def test_there_is_a_phrase_for_every_query(made: dict[str, Any]) -> None:
    assert [phrase["text"] for phrase in made["templates"]] == [
        spec.phrase for spec in catalogue().values()
    ]
    assert len(made["templates"]) >= 20
    for name in ("id", "text", "name"):
        values = [phrase[name].casefold() for phrase in made["templates"]]
        assert len(set(values)) == len(values), f"two phrases have the same {name}"


@pytest.mark.parametrize("name", sorted(catalogue()))
def test_a_phrase(made: dict[str, Any], name: str) -> None:
    spec = catalogue()[name]
    phrase = next(found for found in made["templates"] if found["text"] == spec.phrase)
    check(phrase, PHRASE)
    assert re.fullmatch(r"tmpl:\d+", phrase["id"])
    assert not WRITES.search(phrase["cypher"])
    # Parentheses in a phrase break Bloom's search bar.
    assert not set("()[]{}|;") & set(phrase["text"])
    named = re.findall(r"\$\w+", phrase["text"])
    assert len(set(named)) == len(named)
    assert [parameter["name"] for parameter in phrase["params"]] == named
    assert set(re.findall(r"\$\w+", phrase["cypher"])) == set(named)
    for parameter in phrase["params"]:
        check(parameter, PARAMETER)
        assert parameter["dataType"] in {"String", *DATA_TYPES.values()}
        from_index = parameter["suggestionLabel"] and parameter["suggestionProp"]
        assert bool(from_index) != bool(parameter["cypher"]), "one suggestion"
        # A suggestion may use what was picked before.
        used = set(re.findall(r"\$[a-z_]\w*", parameter["cypher"] or ""))
        assert used <= set(named[: named.index(parameter["name"])])


def test_scene_actions(made: dict[str, Any]) -> None:
    of = {found["id"]: found["name"] for found in made["categories"]}
    assert len({action["id"] for action in made["sceneActions"]}) == len(made["sceneActions"])
    for action in made["sceneActions"]:
        check(action, ACTION)
        assert set(re.findall(r"\$\w+", action["cypher"])) == {"$nodes"}
        assert of[action["categories"][0]] in action["cypher"]
        assert not WRITES.search(action["cypher"])
    names = {action["name"] for action in made["sceneActions"]}
    assert {"Neighbours", "Shortest path", "Members of a community"} <= names
    # Queries about the whole graph, or about a text, are about no node.
    assert not {"Hubs", "Search"} & names


def test_an_action_takes_the_selected_node(made: dict[str, Any]) -> None:
    action = next(found for found in made["sceneActions"] if found["name"] == "Neighbours")
    assert "{key: bloom_selection.key}" in action["cypher"]
    assert "{kind: 'token'}" in action["cypher"], "the rest has its default"


HEADER = """// Title: Toy
// Purpose: A query of the test.
// Group: features
// Result: rows
// Parameters:
//   feature: feature -- One.
//   features: features -- Some.
//   token: token -- A token.
//   text: fulltext -- Words.
//   run: run -- A run.
//   kind: choice token|topic = topic -- Kind.
//   limit: integer 1..7 = 4 -- Most rows.
//   share: float 0.1..0.3 -- A share.
//   deep: boolean = true -- Yes or no.
//   word: string -- A word.
// Columns:
//   n: integer -- A number.
// Table: n
// Example:
//   :param {word: 'it', feature: 'x'}
//   atlas query toy
// Phrase: Toy $feature $features $token $text $run $kind $limit $share $deep $word
// Graph:
//   MATCH (f:Feature {key: $feature}) WHERE f.key IN $features OR f.t IN $token
//   RETURN f LIMIT 1
RETURN 1 AS n
"""
TOY = parse("toy", HEADER)


def suggested(name: str) -> str:
    return suggestion(next(p for p in TOY.parameters if p.name == name), TOY)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("kind", "['topic', 'token']"),
        ("limit", "[4, 1, 2, 3, 5]"),
        ("share", "[0.1, 0.2, 0.3]"),
        ("deep", "[true, false]"),
    ],
)
def test_values_are_suggested_default_first(name: str, values: str) -> None:
    assert suggested(name) == f"UNWIND {values} AS suggestion\nRETURN suggestion"


def test_other_suggestions() -> None:
    assert "MATCH (x:Feature)" in suggested("feature")
    assert "+ '|' + x.key" in suggested("feature")
    assert "MATCH (x:Run)" in suggested("run")
    assert "example.word" in suggested("word")
    types = {
        p["name"]: p["dataType"]
        for p in compose(SCHEMA, SCALES, queries={"toy": TOY})["templates"][0]["params"]
    }
    assert types["$limit"] == "Integer"
    assert types["$share"] == "Float"
    assert types["$deep"] == "Boolean"
    assert types["$feature"] == "String"


def test_the_second_feature_is_one_beside_the_first() -> None:
    spec = catalogue()["shortest_path"]
    first, second = (suggestion(p, spec) for p in spec.phrase_parameters)
    assert "$" not in first.replace("'$'", "")
    assert "x.key <> last(split($a, '|'))" in second
    assert "ORDER BY place, " in second


def test_a_key_is_completed_from_its_index(made: dict[str, Any]) -> None:
    phrase = next(p for p in made["templates"] if p["text"] == catalogue()["circuit"].phrase)
    (parameter,) = phrase["params"]
    assert (parameter["suggestionLabel"], parameter["suggestionProp"]) == (
        "AttributionGraph",
        "key",
    )


def test_statements_take_what_is_picked() -> None:
    cypher = picked(TOY.graph, TOY.phrase_parameters)
    assert "{key: last(split($feature, '|'))}" in cypher
    assert "[picked IN split($features, ',')" in cypher, "not taken for $feature"
    assert "f.t IN [$token, ' ' + $token]" in cypher


def test_a_vector_is_that_of_a_label() -> None:
    spec = parse("toy", HEADER.replace("word: string", "word: meaning"))
    cypher = picked("CALL f($word)", spec.phrase_parameters)
    assert "{key: last(split($word, '|'))}" in cypher
    assert "RETURN meant.label_embedding" in cypher


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (3, "3"),
        (0.5, "0.5"),
        ("it's \\", r"'it\'s \\'"),
        (["a", 1], "['a', 1]"),
    ],
)
def test_literals(value: Any, text: str) -> None:
    assert literal(value) == text


@pytest.mark.parametrize(
    ("types", "name"),
    [
        (["String"], "string"),
        (["Long"], "bigint"),
        (["Double"], "number"),
        (["Long", "Double"], "number"),
        (["Long", "String"], "string"),
        (["FloatArray"], "array"),
        (["Boolean"], "boolean"),
        (["Date"], "Date"),
        ([], "string"),
    ],
)
def test_data_types(types: list[str], name: str) -> None:
    assert data_type(types) == name


def test_times() -> None:
    assert milliseconds("2025-01-01T00:00:00+00:00") == CREATED
    assert milliseconds("2025-01-01") == CREATED
    assert milliseconds("2025-01-01T01:00:00+01:00") == CREATED
    assert milliseconds(datetime(2025, 1, 1, tzinfo=UTC)) == CREATED


def test_colours() -> None:
    many = colours(24)
    assert len(set(many)) == 24
    assert colours(5) == many[:5]
    assert text_colour("#FFFFFF") == "#000000"
    assert text_colour("#0072B2") == "#FFFFFF"
    for look in [*LOOKS.values(), *LINES.values()]:
        assert re.fullmatch(r"#[0-9A-F]{6}", look.colour)


def read_grass(text: str) -> dict[str, dict[str, str]]:
    """Read a style sheet as Neo4j Browser does: single quotes, no comments."""
    rules: dict[str, dict[str, str]] = {}
    selector = body = ""
    quoted = inside = False
    for sign in text:
        if sign == "'":
            quoted = not quoted
        elif sign == "{" and not quoted:
            inside = True
        elif sign == "}" and not quoted:
            pairs = [part.split(":") for part in body.split(";") if part.strip()]
            assert all(len(pair) == 2 for pair in pairs), body
            rules[selector] = {name.strip(): value.strip() for name, value in pairs}
            selector, body, inside = "", "", False
        elif inside:
            body += sign
        elif not sign.isspace():
            selector += sign
    assert not quoted
    assert not inside
    assert not selector
    return rules


def test_the_style_sheet() -> None:
    rules = read_grass(grass(SCHEMA))
    assert set(rules) == {
        "node",
        "relationship",
        *(f"node.{label}" for label in SCHEMA.labels),
        *(f"relationship.{kind}" for kind in SCHEMA.types),
    }
    assert rules["node.Feature"]["caption"] == "{label}"
    assert rules["node.Ghost"]["caption"] == "<type>"
    assert rules["relationship.CO_OCCURS"]["caption"] == "<type>"
    assert rules["node.Community"]["diameter"] == "100px"
    for selector, properties in rules.items():
        assert re.fullmatch(r"#[0-9A-F]{6}", properties["color"]), selector


def test_saved_cypher() -> None:
    specs = list(catalogue().values())
    rows = list(csv.DictReader(io.StringIO(saved_cypher(specs))))
    assert tuple(rows[0]) == SAVED_COLUMNS
    assert [row["id"] for row in rows] == [str(number) for number in range(len(rows))]
    folders = {row["id"]: row for row in rows if row["isFolder"] == "true"}
    queries = [row for row in rows if row["isFolder"] == "false"]
    assert len(queries) == 2 * len(specs)
    assert len(folders) == len({spec.group for spec in specs})
    assert all(row["parentId"] in folders for row in queries)
    assert all(not row["query"] and not row["parentId"] for row in folders.values())
    by_name = {row["name"]: row for row in queries}
    assert len(by_name) == len(queries), "two queries have the same title"
    for spec in specs:
        table, picture = by_name[spec.title], by_name[f"{spec.title}, as a graph"]
        assert folders[table["parentId"]]["name"].endswith(spec.group)
        assert table["query"].startswith(f"// {spec.title}\n")
        assert table["query"].endswith(f"\n{spec.cypher}")
        assert picture["query"].endswith(f"\n{spec.graph}")
        if spec.parameters:
            assert f"\n// First: {spec.example.splitlines()[0]}\n" in table["query"]


def test_the_cypher_file() -> None:
    specs = list(catalogue().values())
    text = cypher_file(specs)
    for spec in specs:
        assert f"{spec.example.splitlines()[0]};\n{spec.cypher.rstrip(';')};\n" in text
    assert max(len(line) for line in text.splitlines() if line.startswith("//")) <= 100
