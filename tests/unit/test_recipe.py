from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from atlas.errors import RecipeError
from atlas.recipe import (
    AnalysisSection,
    CodesSection,
    CorpusSection,
    EdgesSection,
    FeaturesSection,
    MappedModelSection,
    SaeSection,
    TokensSection,
    digest,
    load_build_recipe,
    load_train_recipe,
)
from atlas.shipped import shipped_recipes
from ingest.brought import ALL, KINDS, LATENTS, ONLY_FIRING

GOOD = """
name = "x"
[model]
name = "smollm2-135m"
[[corpus]]
source = "demo:hpo"
[[sae]]
source = "some-sae"
"""

BROUGHT = """
name = "x"
[model]
name = "texts"
tokenizer = "./tok"
[[sae]]
name = "a"
hook = "layers.3.mlp"
[sae.codes]
path = "a.parquet"
d_sae = 8
documents = "~/d.parquet"
mask_tokens = [0, "<bos>"]
[[sae]]
name = "b"
hook = "layers.5.mlp"
source = "some-sae"
[sae.codes]
path = "caches/b"
"""

DOCS = Path(__file__).parents[2] / "docs"


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
        ("[[sae]]\nname = 'b'\n", "sae.1: source is missing"),
        ("[[sae]]\nsource = 'b'\nhook = 'c'\n", "sae.1: hook goes with [sae.codes]"),
        ("[[sae]]\nname = 'b'\nhook = 'c'\ncodes = {path = 'd'}\n", "every [[sae]] or for none"),
        ("[[sae]]\nname = 'b'\nhook = 'c'\ncodes = {pth = 'd'}\n", "did you mean 'path'"),
        ("[[sae]]\nsource='b'\nname='b'\n[[sae]]\nsource='c'\nname='b'\n", "the same name"),
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


def test_sources_of_brought_codes_are_resolved_and_the_models_name_is_not(tmp_path):
    (tmp_path / "texts").mkdir()
    recipe = load_build_recipe(write(tmp_path, BROUGHT))
    assert recipe.brought
    assert recipe.model.name == "texts"
    assert recipe.model.tokenizer == str(tmp_path / "tok")
    a, b = (section.codes for section in recipe.sae)
    assert a.path == str(tmp_path / "a.parquet")
    assert a.documents == str(Path("~/d.parquet").expanduser())
    assert (b.path, b.documents) == (str(tmp_path / "caches" / "b"), None)
    assert recipe.sae[1].source == "some-sae"
    assert (a.mask_tokens, b.positions) == ([0, "<bos>"], "all")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[model]", "[[corpus]]\nsource = 't'\n[model]", "corpus: [[corpus]] does not go with"),
        ("[model]", "[tokens]\nsink_ratio = 2.0\n[model]", "tokens.sink_ratio does nothing"),
        ('hook = "layers.3.mlp"', "", "sae.0: brought codes need a name and a hook"),
        ('name = "a"', "", "sae.0: brought codes need a name and a hook"),
        ('name = "a"', 'name = "a/b"', "sae.0: name 'a/b' has to be"),
        ('name = "a"', 'name = "b"', "two SAEs have the same name"),
        ("d_sae = 8", "d_sae = 0", "sae.0.codes.d_sae: input should be greater"),
        ("d_sae = 8", "positions = 'some'", "sae.0.codes.positions: input should be 'all' or"),
        ("d_sae = 8", "format = 'pt'", "sae.0.codes.format"),
        ("d_sae = 8", "d_sa = 8", "did you mean 'd_sae'"),
    ],
)
def test_a_wrong_recipe_of_brought_codes_says_what_is_wrong(tmp_path, old, new, said):
    assert old in BROUGHT
    with pytest.raises(RecipeError) as caught:
        load_build_recipe(write(tmp_path, BROUGHT.replace(old, new, 1)))
    assert said in str(caught.value)


def test_a_recipe_without_text_or_with_a_tokenizer_of_its_own_is_refused(tmp_path):
    with pytest.raises(RecipeError, match=r"corpus: a .*is needed"):
        load_build_recipe(write(tmp_path, GOOD.replace('[[corpus]]\nsource = "demo:hpo"', "")))
    with pytest.raises(RecipeError, match=r"model\.tokenizer goes with"):
        load_build_recipe(write(tmp_path, GOOD.replace("[[corpus]]", 'tokenizer="t"\n[[corpus]]')))


def test_the_recipe_knows_the_choices_that_the_reader_knows():
    fields = CodesSection.model_fields
    choices = {name: fields[name].annotation.__args__ for name in ("format", "latents")}
    assert choices == {"format": KINDS, "latents": LATENTS}
    assert fields["positions"].annotation.__args__ == (ALL, ONLY_FIRING)


@pytest.mark.parametrize(
    ("section", "kind"),
    [
        ("[model]", MappedModelSection),
        ("[[corpus]]", CorpusSection),
        ("[[sae]]", SaeSection),
        ("[tokens]", TokensSection),
        ("[edges]", EdgesSection),
        ("[features]", FeaturesSection),
        ("[analysis]", AnalysisSection),
    ],
)
def test_the_documentation_lists_every_key_with_its_default(section, kind):
    rows, current = {}, ""
    for line in (DOCS / "builds.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|") or len(cells) != 4:
            continue
        current = cells[0].strip("`") or current
        for key in re.findall(r"`(\w+)`", cells[1]):
            rows[current, key] = cells[2]
    listed = {key: default for (where, key), default in rows.items() if where == section}
    assert list(listed) == [name for name in kind.model_fields if name != "codes"]
    for name, default in listed.items():
        wanted = kind.model_fields[name].get_default()
        if isinstance(wanted, str | int | float):
            assert json.loads(default.strip("`")) == wanted, name


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
