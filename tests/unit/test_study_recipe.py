"""Recipes of studies and the tables that their prompts come from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from atlas.errors import CorpusError, NotFoundError, RecipeError, UsageError
from queries.studies.prompt_tables import concept_prompts, document_prompts, task_prompts
from queries.studies.recipe import read_study, shipped_studies

NETWORK = """
kind = "network"
name = "pets"
title = "Pets"
model = "smollm2-135m"
saes = ["l18=./sae", "smollm2-135m-l12-4k"]

[prompts]
file = "pets.csv"
template = ["A {pet} is a", "Every {pet} is a"]
answer = " {class}"
id = "{pet}"
"""
PETS = "pet,class\ncat,mammal\nparrot,bird\ndog,mammal\n"
CONCEPT_ROWS = (
    "id,set,prompt,term,answer,match\n"
    'a,concept,"Her asthma, sadly, was",asthma, bad,b\n'
    "b,control,His luggage was,luggage,,a\n"
)


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_prompt_of_each_row_and_template_has_the_other_answers_as_foils(tmp_path: Path) -> None:
    table = written(tmp_path, "pets.csv", PETS)
    found = task_prompts(table, templates=("A {pet} is a",), answer=" {class}")["prompts"]
    assert [prompt.prompt for prompt in found] == ["A cat is a", "A parrot is a", "A dog is a"]
    assert [prompt.answer for prompt in found] == [" mammal", " bird", " mammal"]
    assert [prompt.foils for prompt in found] == [(" bird",), (" mammal",), (" bird",)]
    assert [prompt.group for prompt in found] == ["mammal", "bird", "mammal"]
    assert [prompt.id for prompt in found] == ["0", "1", "2"]
    several = task_prompts(
        table, templates=("A {pet} is a", "The {pet} is a"), answer=" {class}", name="{pet}"
    )["prompts"]
    assert [prompt.id for prompt in several][:3] == ["cat (0)", "cat (1)", "parrot (0)"]


@pytest.mark.parametrize(
    ("text", "template", "what"),
    [
        (PETS, "A {animal} is a", "no column 'animal'"),
        ("pet,class\ncat,mammal\n,bird\n", "A {pet}", "empty in row 1"),
        ("pet,class\ncat,mammal\ndog,mammal\n", "A {pet}", "All rows"),
        ("pet,class\n", "A {pet}", "no row"),
        ("pet,class\ncat,mammal\ncat,bird\n", "A {pet}", "called cat"),
    ],
)
def test_bad_tables_of_facts_say_what_is_wrong(
    tmp_path: Path, text: str, template: str, what: str
) -> None:
    table = written(tmp_path, "pets.csv", text)
    with pytest.raises(CorpusError, match=what):
        task_prompts(table, templates=(template,), answer=" {class}", name="{pet}")


def test_files_of_other_types_or_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="cannot be read"):
        task_prompts(tmp_path / "none.csv", templates=("A",), answer=" {b}")
    with pytest.raises(UsageError, match="type"):
        task_prompts(written(tmp_path, "a.txt", "x"), templates=("A",), answer=" {b}")


def test_prompts_of_a_concept_keep_their_terms_and_matches(tmp_path: Path) -> None:
    found = concept_prompts(written(tmp_path, "c.csv", CONCEPT_ROWS))
    assert [prompt.group for prompt in found["prompts"]] == ["concept", "control"]
    assert [prompt.answer for prompt in found["prompts"]] == [" bad", None]
    assert found["terms"] == {"a": "asthma", "b": "luggage"}
    assert found["matches"] == {"a": "b"}


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("asthma, bad", "flu, bad", "term is not in the prompt of a"),
        (",b\n", ",a\n", "match of a"),
        (",b\n", ",z\n", "match of a"),
        ("control", "concept", "must hold"),
        ("b,control", "a,control", "called a|match of a|must hold"),
    ],
)
def test_bad_prompts_of_a_concept_say_what_is_wrong(
    tmp_path: Path, old: str, new: str, what: str
) -> None:
    assert old in CONCEPT_ROWS
    table = written(tmp_path, "c.csv", CONCEPT_ROWS.replace(old, new))
    with pytest.raises(CorpusError, match=what):
        concept_prompts(table)


def test_documents_of_two_files_are_the_two_sets(tmp_path: Path) -> None:
    one = written(tmp_path, "one.jsonl", json.dumps({"text": "Lungs."}) + "\n")
    two = written(tmp_path, "two.csv", "text\nCourts.\nLaws.\n")
    found = document_prompts(one, two)
    groups = [(prompt.id, prompt.group, prompt.prompt) for prompt in found["prompts"]]
    assert groups == [
        ("concept-0", "concept", "Lungs."),
        ("control-0", "control", "Courts."),
        ("control-1", "control", "Laws."),
    ]
    assert len(document_prompts(one, two, limit=1)["prompts"]) == 2


def test_paths_of_a_recipe_are_relative_to_its_folder(tmp_path: Path) -> None:
    found = read_study(written(tmp_path, "pets.toml", NETWORK), kind="network")
    assert found.prompts.file == str((tmp_path / "pets.csv").resolve())
    assert found.saes == [f"l18={(tmp_path / 'sae').resolve()}", "smollm2-135m-l12-4k"]
    assert found.prompts.templates == ("A {pet} is a", "Every {pet} is a")


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('kind = "network"', 'kind = "net"', "kind"),
        ('title = "Pets"', 'titel = "Pets"', "title"),
        ('file = "pets.csv"', "", "file"),
        ('answer = " {class}"', "", "answer"),
        ('saes = ["l18=./sae", "smollm2-135m-l12-4k"]', "saes = []", "saes"),
        ('file = "pets.csv"', 'file = "pets.csv"\nconcept = "a.csv"', "together"),
    ],
)
def test_bad_recipes_say_what_is_wrong(tmp_path: Path, old: str, new: str, what: str) -> None:
    assert old in NETWORK
    with pytest.raises(RecipeError, match=what):
        read_study(written(tmp_path, "pets.toml", NETWORK.replace(old, new)))


def test_a_recipe_that_is_not_there_or_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no recipe"):
        read_study(tmp_path / "none.toml")
    with pytest.raises(RecipeError, match="network study"):
        read_study(written(tmp_path, "pets.toml", NETWORK), kind="concept")


def test_shipped_recipes_can_be_read_and_their_tables_are_there() -> None:
    recipes = {name: read_study(name) for name in shipped_studies()}
    assert {recipe.kind for recipe in recipes.values()} == {"network", "concept"}
    for name, recipe in recipes.items():
        assert recipe.name == name
        assert recipe.about
        assert Path(recipe.prompts.file or "").is_file()
