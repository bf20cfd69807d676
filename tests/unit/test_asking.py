"""Questions asked of readers that answer from a table: the same text, in turn and with await."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

import pytest

from atlas.errors import BudgetError, NotFoundError, UsageError
from atlas.graph.asking import Request, ask, ask_async
from atlas.graph.budget import Budget, Meter
from queries.catalogue import question
from queries.lucene import fuzzy
from queries.resolve import feature_key, feature_keys, looks_like_key, token_texts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from atlas.graph.asking import Question
    from atlas.graph.reader import Row

WHOLE = "toy/blocks.1.hook_resid_pre/planted/3"


class Table:
    """Answers a statement by the first rule whose text is part of it, and keeps what was asked."""

    def __init__(self, rules: Mapping[str, list[Row]]) -> None:
        self.rules = rules
        self.asked: list[tuple[str, Mapping[str, Any]]] = []

    def read(
        self, text: str, parameters: Mapping[str, Any] | None = None, *, what: str = "query"
    ) -> list[Row]:
        self.asked.append((text, parameters or {}))
        return next((rows for part, rows in self.rules.items() if part in text), [])


class AsyncTable(Table):
    async def read(  # type: ignore[override]
        self, text: str, parameters: Mapping[str, Any] | None = None, *, what: str = "query"
    ) -> list[Row]:
        await asyncio.sleep(0)
        return Table.read(self, text, parameters)


def adding() -> Question[int]:
    first = yield Request("one", {"x": 1})
    second = yield Request("two", {"x": first[0]["n"]})
    return int(first[0]["n"] + second[0]["n"])


def test_a_question_gets_its_rows_in_turn() -> None:
    rules: dict[str, list[Row]] = {"one": [{"n": 3}], "two": [{"n": 4}]}
    table = Table(rules)
    assert ask(table, adding()) == 7
    assert table.asked == [("one", {"x": 1}), ("two", {"x": 3})]
    waiting = AsyncTable(rules)
    assert asyncio.run(ask_async(waiting, adding())) == 7  # type: ignore[arg-type]
    assert waiting.asked == table.asked


def test_a_whole_key_costs_one_read() -> None:
    table = Table({"CO_OCCURS": [{"key": "x"}]})
    assert ask(table, question("neighbours", {"feature": WHOLE})) == [{"key": "x"}]
    assert len(table.asked) == 1


def test_a_whole_key_that_is_none_is_found_out_where_there_are_no_rows() -> None:
    with pytest.raises(NotFoundError, match=r"no SAE 'toy/blocks\.1\.hook_resid_pre/planted'"):
        ask(Table({}), question("neighbours", {"feature": WHOLE}))
    known = Table({"UNWIND $keys": [{"key": WHOLE}]})
    assert ask(known, question("neighbours", {"feature": WHOLE})) == []
    assert len(known.asked) == 2


def test_part_of_a_key_that_looks_whole_is_asked_again() -> None:
    """A model's name may have a slash, so that the end of a key looks like one."""
    part = "model/hook/sae/3"

    class Later(Table):
        def read(
            self, text: str, parameters: Mapping[str, Any] | None = None, *, what: str = "query"
        ) -> list[Row]:
            super().read(text, parameters)
            if "CO_OCCURS" in text:
                found = (parameters or {})["feature"] == f"org/{part}"
                return [{"key": "neighbour"}] if found else []
            if "MATCH (s:Sae)" in text:
                return [{"key": "org/model/hook/sae"}]
            return [{"key": k} for k in (parameters or {})["keys"] if k == f"org/{part}"]

    assert ask(Later({}), question("neighbours", {"feature": part})) == [{"key": "neighbour"}]


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        (WHOLE, True),
        ("org/model/hook/sae/12", True),
        ("hook/sae/12", False),
        ("12", False),
        (12, False),
        ("a/b/c/d", False),
    ],
)
def test_what_looks_like_a_key(name: str | int, whole: bool) -> None:
    assert looks_like_key(name) == whole


def test_a_missing_feature_of_several_is_named() -> None:
    class Half(Table):
        def read(
            self, text: str, parameters: Mapping[str, Any] | None = None, *, what: str = "query"
        ) -> list[Row]:
            keys = (parameters or {}).get("keys", [])
            return [{"key": key} for key in keys if key == WHOLE]

    with pytest.raises(NotFoundError, match="no SAE"):
        ask(Half({}), question("features", {"features": [WHOLE, "toy/other/sae/9"]}))


def test_several_features_are_looked_up_together() -> None:
    keys = [f"toy/h/s/{index}" for index in range(50)]
    table = Table({"UNWIND $keys": [{"key": key} for key in keys]})
    assert ask(table, feature_keys(keys)) == keys
    assert len(table.asked) == 1


def test_the_nearest_are_named() -> None:
    row = {"key": "toy/h/s/1", "label": "heart", "top_tokens": [" heart"]}
    with pytest.raises(NotFoundError, match=r"The nearest: toy/h/s/1 \(heart\)"):
        ask(Table({"feature_text": [row]}), feature_key("hart"))


def test_a_number_beyond_all_is_no_index() -> None:
    with pytest.raises(NotFoundError, match="No feature has the key"):
        ask(Table({}), feature_key("9" * 5000))


def test_a_token_has_the_spellings_that_there_are() -> None:
    assert ask(Table({"IN $texts": [{"text": " cat"}, {"text": "cat"}]}), token_texts("cat")) == [
        " cat",
        "cat",
    ]
    both = Table({"IN $texts": [{"text": " cat"}, {"text": "cat"}]})
    assert ask(both, token_texts(" cat")) == [" cat"]
    with pytest.raises(NotFoundError, match=r"The nearest: ' cat', ' cats'"):
        ask(Table({"token_text": [{"text": " cat"}, {"text": " cats"}]}), token_texts("kat"))


def test_fuzzy_words() -> None:
    assert fuzzy("Hart (disease") == "hart~ hart* disease~ disease*"
    assert fuzzy("((*") == ""


def test_a_budget_is_more_than_nothing() -> None:
    wrongs = ({"seconds": 0}, {"rows": -1}, {"mib": 0.0}, {"seconds": math.inf}, {"seconds": "5"})
    for wrong in wrongs:
        with pytest.raises(UsageError, match="more than 0"):
            Budget(**wrong)  # type: ignore[arg-type]


def test_a_meter_counts_rows_and_bytes() -> None:
    meter = Meter(Budget(rows=2), "query x")
    meter.check(2, {})
    with pytest.raises(BudgetError, match="query x: the result has more than 2 rows"):
        meter.check(3, {})
    small = Meter(Budget(mib=1), "query x")
    small.check(1, {"text": "a" * 500_000})
    with pytest.raises(BudgetError, match="first 2 rows take more than 1 MiB"):
        small.check(2, {"text": ["a" * 600_000]})
