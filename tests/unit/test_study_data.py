"""The tables and recipes of the shipped studies: what stands in them, and that they fit."""

from __future__ import annotations

import csv
import re
from collections import Counter
from statistics import mean

import pytest

from atlas.shipped import DATA, shipped_saes
from queries.studies.prompt_tables import CONCEPT, CONTROL, concept_prompts, task_prompts
from queries.studies.recipe import read_study, shipped_studies

STUDIES = DATA / "studies"
TABLES = sorted(path.name for path in STUDIES.glob("*.csv"))
SPORTS = {"baseball", "basketball", "football", "hockey", "soccer"}
TYPOGRAPHIC = re.compile("[\u2018\u2019\u201c\u201d\u2032\u2033\u2013\u2014\u00a0`]")


def table(name):
    with (STUDIES / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def medical():
    return table("medical.csv")


@pytest.fixture(scope="module")
def matched(medical):
    by_id = {row["id"]: row for row in medical}
    return [(row, by_id[row["match"]]) for row in medical if row["set"] == CONCEPT]


def frame(row):
    """A prompt with its term left open."""
    return row["prompt"].replace(row["term"], "{}")


@pytest.mark.parametrize("name", TABLES)
def test_cells_are_plain_text(name):
    raw = (STUDIES / name).read_bytes().decode("utf-8")
    assert "\r" not in raw
    assert raw.endswith("\n")
    rows = table(name)
    assert all(None not in row and None not in row.values() for row in rows)  # as wide as the head
    for row in rows:
        for column, cell in row.items():
            assert not TYPOGRAPHIC.search(cell), cell
            assert "  " not in cell
            assert cell == cell.rstrip(), cell
            assert column == "answer" or cell == cell.lstrip(), cell


def test_there_are_a_hundred_medical_prompts_and_as_many_controls(medical):
    assert Counter(row["set"] for row in medical) == {CONCEPT: 100, CONTROL: 100}
    assert len({row["id"] for row in medical}) == 200
    assert len({row["prompt"] for row in medical}) == 200
    assert len({row["term"].lower() for row in medical}) == 200
    assert all(row["topic"] for row in medical)


def test_matches_are_complete_both_ways(medical):
    by_id = {row["id"]: row for row in medical}
    for row in medical:
        other = by_id[row["match"]]
        assert other["match"] == row["id"]
        assert other["set"] != row["set"]
        assert other["frame"] == row["frame"]


def test_a_term_stands_once_in_the_middle_of_its_prompt(medical):
    for row in medical:
        found = re.findall(rf"\b{re.escape(row['term'])}(?!\w)", row["prompt"])
        assert len(found) == 1, row["id"]
        before, after = row["prompt"].split(row["term"])
        assert len(before.split()) >= 2, row["id"]
        assert len(after.split()) >= 3, row["id"]


def test_prompts_are_short_and_open(medical):
    for row in medical:
        assert 9 <= len(row["prompt"].split()) <= 17, row["id"]
        assert row["prompt"][-1].isalpha(), row["id"]
        assert not row["answer"] or re.fullmatch(r" [a-z]+", row["answer"]), row["id"]
        assert row["answer"].strip() != row["term"]


def test_a_pair_is_alike_but_for_what_it_is_about(matched):
    words = [len(one["prompt"].split()) - len(other["prompt"].split()) for one, other in matched]
    letters = [len(one["term"]) - len(other["term"]) for one, other in matched]
    assert max(map(abs, words)) <= 1
    assert max(map(abs, letters)) <= 4
    assert abs(mean(words)) < 0.1
    assert abs(mean(letters)) < 1
    for one, other in matched:
        assert len(one["term"].split()) == len(other["term"].split()), one["id"]
        mine, theirs = frame(one).split(), frame(other).split()
        assert sum(a == b for a, b in zip(mine, theirs, strict=False)) >= len(mine) / 3, one["id"]


def test_no_frame_is_used_more_than_four_times(medical):
    for group in (CONCEPT, CONTROL):
        rows = [row for row in medical if row["set"] == group]
        frames = Counter(row["frame"] for row in rows)
        assert len(frames) >= 25
        assert max(frames.values()) <= 4
        assert max(Counter(map(frame, rows)).values()) <= 4


def test_no_control_is_about_illness(matched):
    terms = {one["term"].lower() for one, _ in matched}
    clinic = {"doctor", "nurse", "hospital", "patient", "disease", "surgeon", "drug", "vaccine"}
    for _, control in matched:
        words = set(re.findall(r"[a-z]+", control["prompt"].lower()))
        assert not words & (terms | clinic), control["id"]


def test_the_medical_prompts_are_read_as_a_study_reads_them(medical):
    found = concept_prompts(STUDIES / "medical.csv")
    assert len(found["prompts"]) == len(found["terms"]) == 200
    assert len(found["matches"]) == 100
    assert {p.group for p in found["prompts"]} == {CONCEPT, CONTROL}
    answers = {row["id"]: row["answer"] or None for row in medical}
    assert {p.id: p.answer for p in found["prompts"]} == answers


def test_athletes_are_of_five_sports():
    rows = table("athletes.csv")
    assert {row["sport"] for row in rows} == SPORTS
    assert len({row["athlete"] for row in rows}) == len(rows)
    assert min(Counter(row["sport"] for row in rows).values()) >= 40
    for row in rows:
        assert row["source"].endswith("records")
        assert not re.search(r"\d|,", row["athlete"])


def test_countries_have_one_capital_each():
    rows = table("capitals.csv")
    assert len(rows) >= 120
    assert (
        len({row["country"] for row in rows}) == len({row["capital"] for row in rows}) == len(rows)
    )
    assert min(Counter(row["continent"] for row in rows).values()) >= 5


def test_diseases_are_of_many_organs():
    rows = table("organs.csv")
    assert len({row["disease"].lower() for row in rows}) == len(rows)
    assert min(Counter(row["organ"] for row in rows).values()) >= 5
    assert not any(row["organ"].rstrip("s") in row["disease"].split() for row in rows)


def test_a_task_has_each_row_as_a_prompt_with_all_other_answers_as_foils():
    found = task_prompts(
        STUDIES / "athletes.csv",
        templates=("Fact: {athlete} plays the sport of",),
        answer=" {sport}",
        name="{athlete}",
    )["prompts"]
    assert len(found) == len(table("athletes.csv"))
    for prompt in found:
        assert {prompt.answer, *prompt.foils} == {f" {sport}" for sport in SPORTS}
        assert prompt.answer not in prompt.foils


@pytest.mark.parametrize("name", sorted(shipped_studies()))
def test_a_shipped_recipe_names_what_is_there(name):
    recipe = read_study(name)
    assert recipe.name == name
    assert recipe.title
    assert recipe.about
    assert recipe.prompts.file is not None
    assert (STUDIES / recipe.prompts.file).is_file()
    for sae in recipe.saes:
        assert sae.rpartition("=")[2] in shipped_saes() or sae.count(":") == 1


@pytest.mark.parametrize("name", sorted(shipped_studies()))
def test_the_prompts_of_a_shipped_recipe_can_be_made(name):
    found = read_study(name)._prompts()["prompts"]
    assert len(found) >= 100
    assert len({prompt.id for prompt in found}) == len(found)
