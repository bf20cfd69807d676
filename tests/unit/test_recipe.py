from __future__ import annotations

import pytest

from atlas.errors import RecipeError
from atlas.recipe import digest, load_build_recipe, load_train_recipe
from atlas.shipped import shipped_recipes

GOOD = """
name = "x"
[model]
name = "smollm2-135m"
[[corpus]]
source = "demo:hpo"
[[sae]]
source = "some-sae"
"""


def write(tmp_path, text):
    path = tmp_path / "r.toml"
    path.write_text(text)
    return path


def test_defaults_and_digest_do_not_depend_on_spelling(tmp_path):
    first = load_build_recipe(write(tmp_path, GOOD))
    second = load_build_recipe(write(tmp_path, GOOD + "[edges]\nfdr = 0.05\n"))
    assert first.edges.min_expected == 5.0
    assert digest(first) == digest(second)
    third = load_build_recipe(write(tmp_path, GOOD + "[edges]\nfdr = 0.01\n"))
    assert digest(first) != digest(third)
    assert digest(first, exclude={"edges"}) == digest(third, exclude={"edges"})


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ("[edges]\nmin_npm = 0.1\n", "did you mean 'min_npmi'"),
        ("[edgs]\nfdr = 0.1\n", "did you mean 'edges'"),
        ("[edges]\nfdr = 1.5\n", "edges.fdr: input should be less than 1"),
        ("[edges]\ntop_k = 1.5\n", "edges.top_k"),
        ("[edges]\ntop_k = '5'\n", "edges.top_k"),
        ("[[sae]]\nsorce = 'x'\n", "did you mean 'source'"),
        ("[tokens]\nskip_positions = -1\n", "tokens.skip_positions"),
        ("x = [1\n", "is not TOML"),
    ],
)
def test_a_wrong_recipe_says_what_is_wrong(tmp_path, extra, said):
    text = extra + GOOD if extra.startswith("x =") else GOOD + extra
    with pytest.raises(RecipeError, match="Recipe") as caught:
        load_build_recipe(write(tmp_path, text))
    assert said in str(caught.value)
    assert caught.value.exit_code == 2


def test_missing_and_binary_files_are_named(tmp_path):
    with pytest.raises(RecipeError, match="cannot be read"):
        load_build_recipe(tmp_path / "none.toml")
    bad = tmp_path / "b.toml"
    bad.write_bytes(b"name = '\xff'")
    with pytest.raises(RecipeError, match="cannot be read"):
        load_build_recipe(bad)


def test_relative_sources_are_relative_to_the_recipe(tmp_path):
    (tmp_path / "texts").mkdir()
    recipe = load_build_recipe(write(tmp_path, GOOD.replace("demo:hpo", "texts")))
    assert recipe.corpus[0].source == str(tmp_path / "texts")
    assert recipe.sae[0].source == "some-sae"
    recipe = load_build_recipe(write(tmp_path, GOOD.replace("demo:hpo", "./missing")))
    assert recipe.corpus[0].source == str(tmp_path / "missing")


def test_two_trained_saes_of_one_name_are_refused(tmp_path):
    sae = "[[sae]]\nname='a'\nhook='blocks.1.hook_resid_pre'\nd_sae=4\nk=1\npositions=5\n"
    text = "[model]\nname='m'\n[[corpus]]\nsource='demo:hpo'\n" + sae
    assert load_train_recipe(write(tmp_path, text)).sae[0].batch == 4096
    with pytest.raises(RecipeError, match="same name"):
        load_train_recipe(write(tmp_path, text + sae))


def test_shipped_recipes_load():
    shipped = shipped_recipes()
    assert load_build_recipe(shipped["demo"]).name == "demo"
    assert len(load_train_recipe(shipped["train-smollm2"]).sae) == 2
