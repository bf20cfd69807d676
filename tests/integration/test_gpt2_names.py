"""The names of GPT-2 small and its SAEs, from a hub's cache that holds tiny ones of their format.

A hub's client finds what it has fetched before in a folder. Here a model of GPT-2's architecture
and two SAEs lie there under the real names, in the layout of the files that these names stand
for, so everything but the download is what runs for the real ones.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from atlas.errors import ModelError
from atlas.hooks import HookPoint
from atlas.lm import LanguageModel
from atlas.saes import load_sae
from queries.followups.attribution.attribute import AttributionRequest
from queries.followups.attribution.attribute import run as run_attribution
from queries.followups.interventions import FeatureRef
from queries.followups.lab import Lab, PromptText
from queries.studies.concept import run as concept
from queries.studies.network import run as network
from queries.studies.recipe import read_study
from tests import tiny

pytestmark = pytest.mark.lm

RELEASE = "gpt2-small-res-jb"
HOOKS = ("blocks.7.hook_resid_pre", "blocks.8.hook_resid_pre")
KEYS = tuple(f"gpt2/{hook}/res-jb-{hook.split('.')[1]}" for hook in HOOKS)
REVISION = "0" * 40
LAYERS = 9


def snapshot(hub: Path, repository: str) -> Path:
    """Make the folder in which a hub's client keeps a repository's files."""
    folder = hub / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(REVISION)
    files = folder / "snapshots" / REVISION
    files.mkdir(parents=True)
    return files


def write_sae(folder: Path, stream: torch.Tensor, *, hook: str) -> None:
    """Write an SAE as the release has them: before version 6 of SAELens, with a scaling of 1.

    Its latents are the principal directions of a stream without its mean, with both signs.
    """
    from safetensors.torch import save_file

    folder.mkdir()
    middle = stream.mean(dim=0)
    ways = torch.linalg.svd(stream - middle, full_matrices=False).Vh
    both = torch.cat([ways, -ways]).contiguous()
    width, d_in = both.shape
    weights = {
        "W_enc": both.T.contiguous(), "W_dec": both, "b_enc": torch.full((width,), -0.05),
        "b_dec": middle.contiguous(), "scaling_factor": torch.ones(width),
    }  # fmt: skip
    save_file(weights, folder / "sae_weights.safetensors")
    save_file({"sparsity": torch.full((width,), -2.0)}, folder / "sparsity.safetensors")
    config = {
        "model_name": "gpt2-small", "hook_point": hook, "hook_point_layer": int(hook.split(".")[1]),
        "hook_point_head_index": None, "dataset_path": "text", "is_dataset_tokenized": False,
        "context_size": 128, "use_cached_activations": False, "d_in": d_in, "d_sae": width,
        "expansion_factor": 2, "dtype": "torch.float32", "device": "cpu", "seed": 42,
        "b_dec_init_method": "geometric_median", "l1_coefficient": 8e-05, "lr": 0.0004,
    }  # fmt: skip
    (folder / "cfg.json").write_text(json.dumps(config))


def centred(stream: torch.Tensor) -> torch.Tensor:
    """Take off the mean over the stream's dimensions, which LayerNorm does not see."""
    return stream - stream.mean(dim=-1, keepdim=True)


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A hub's cache with the two repositories; the client is told of it, and not to ask."""
    from huggingface_hub import constants
    from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

    root = tmp_path_factory.mktemp("hub")
    folder = tiny.model(snapshot(root, "gpt2"), family="gpt2", layers=LAYERS)
    model = LanguageModel.load(str(folder), device="cpu", dtype=torch.float32)
    rows = model.tokenizer(tiny.texts(80), add_special_tokens=False)["input_ids"]
    streams = [model.residuals(torch.tensor([[0, *row]]), HOOKS) for row in rows]
    files = snapshot(root, get_pretrained_saes_directory()[RELEASE].repo_id)
    for hook in HOOKS:
        found = torch.cat([centred(stream[hook][0, 1:]) for stream in streams])
        write_sae(files / hook, found, hook=hook)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_CACHE", str(root))
        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        yield root


@pytest.fixture(scope="module")
def lab(hub):
    """What the recipe names, loaded by these names."""
    return Lab.load(read_study("medical-gpt2").model, read_study("medical-gpt2").saes)


def test_the_release_has_what_the_recipes_name():
    from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

    release = get_pretrained_saes_directory()[RELEASE]
    assert release.model == "gpt2-small"
    for number, hook in zip((7, 8), HOOKS, strict=True):
        assert release.saes_map[hook] == hook
        assert release.neuronpedia_id[hook] == f"gpt2-small/{number}-res-jb"
        point = HookPoint.parse(hook)
        assert (point.layer, point.depth, point.after) == (number, number, False)
    for name in ("athletes-gpt2", "medical-gpt2"):
        recipe = read_study(name)
        assert recipe.model == "gpt2"
        for sae in recipe.saes:
            source = sae.partition("=")[2]
            assert source.partition(":")[0] == RELEASE
            assert source.partition(":")[2] in release.saes_map
    assert read_study("athletes-gpt2").saes == [f"res-jb={RELEASE}:{HOOKS[0]}"]


def test_model_and_saes_are_loaded_by_their_names(lab):
    assert lab.model.name == "gpt2"
    assert lab.model.n_layers == LAYERS
    assert tuple(lab.saes) == KEYS
    for key, hook in zip(KEYS, HOOKS, strict=True):
        sae = lab.saes[key]
        assert sae.hook.name == hook
        assert sae.source == f"{RELEASE}:{hook}"
        assert sae.sae.cfg.metadata.model_name == "gpt2-small"
        assert sae.sae.cfg.metadata.neuronpedia_id == f"gpt2-small/{sae.hook.layer}-res-jb"
        assert sae.sae.cfg.architecture() == "standard"
    assert lab.saes[KEYS[0]].weights_sha256 != lab.saes[KEYS[1]].weights_sha256


def test_each_sae_has_the_weights_of_its_own_layers_file(lab, hub):
    from safetensors.torch import load_file

    for key, hook in zip(KEYS, HOOKS, strict=True):
        (file,) = hub.glob(f"*GPT2-Small-SAEs*/snapshots/*/{hook}/sae_weights.safetensors")
        torch.testing.assert_close(lab.saes[key].sae.W_dec, load_file(file)["W_dec"])


def test_a_name_without_an_sae_is_an_error(hub):
    with pytest.raises(ModelError, match=r"blocks\.70\.hook_resid_pre"):
        load_sae(f"{RELEASE}:blocks.70.hook_resid_pre", device="cpu")
    # Nothing of this layer lies in the cache, and the hub may not be asked.
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_sae(f"{RELEASE}:blocks.3.hook_resid_pre", device="cpu")
    with pytest.raises(ModelError, match="cannot be loaded"):
        LanguageModel.load("gpt2-medium", device="cpu")


def by_hand(model: LanguageModel, tokens: list[int], *, layer: int, answer: int, foil: int):
    """The input of a block and the derivative of a difference of logits by it, by autograd."""
    vectors = model.hf_model.get_input_embeddings()(torch.tensor([tokens])).requires_grad_()
    with torch.enable_grad():
        out = model.hf_model(inputs_embeds=vectors, output_hidden_states=True, use_cache=False)
        stream = out.hidden_states[layer]
        (slope,) = torch.autograd.grad(out.logits[0, -1, answer] - out.logits[0, -1, foil], stream)
    return stream.detach()[0, 1:], slope[0, 1:]


def test_attributions_are_taken_at_each_saes_own_block(lab):
    texts = (PromptText(id="p", prompt="the doctor has the", answer=" heart", foils=(" music",)),)
    rows = run_attribution(lab, AttributionRequest(prompts=texts, metric="logit_diff", top=1000))
    found = rows.tables["attributions"].to_pandas()
    task = lab.prompts(texts)[0][0]
    for key, layer in zip(KEYS, (7, 8), strict=True):
        stream, slope = by_hand(
            lab.model, list(task.tokens), layer=layer, answer=task.target, foil=task.foils[0]
        )
        sae = lab.saes[key].sae
        wanted = (sae.encode(stream) * (slope @ sae.W_dec.T)).numpy()
        features = found[(found["sae"] == key) & (found["kind"] == "feature")]
        index = features["feature"].map(lambda name: FeatureRef.parse(name).index)
        ours = np.zeros_like(wanted)
        ours[features["position"], index] = features["attribution"]
        np.testing.assert_allclose(ours, wanted, atol=1e-4)
        assert np.abs(wanted).max() > 1e-3


RECIPE = """
kind = "{kind}"
name = "small-{kind}"
title = "Small"
model = "gpt2"
saes = [{saes}]

[prompts]
file = "table.csv"
{prompts}

[parameters]
{parameters}
"""


def study(folder: Path, kind: str, *, saes: list[str], prompts: str, parameters: str, table: str):
    """Write a recipe and its table, and read the recipe."""
    (folder / "table.csv").write_text(table)
    named = ", ".join(json.dumps(sae) for sae in saes)
    text = RECIPE.format(kind=kind, saes=named, prompts=prompts, parameters=parameters)
    (folder / "recipe.toml").write_text(text)
    return read_study(folder / "recipe.toml", kind=kind)


def test_a_network_study_runs_from_a_recipe_that_names_them(hub, tmp_path):
    rng = np.random.default_rng(0)
    rows = [",".join([*rng.choice(tiny.WORDS[2:14], 3, replace=False), answer])
            for answer in ("blood", "music", "law") for _ in range(12)]  # fmt: skip
    recipe = study(
        tmp_path, "network", saes=read_study("athletes-gpt2").saes,
        table="\n".join(["a,b,c,answer", *dict.fromkeys(rows)]) + "\n",
        prompts="""
template = "the {a} {b} of {c}"
answer = " {answer}"
id = "{a} {b} {c} {answer}\"""",
        parameters="""
keep = "all"
features = 0.3
published_r = 0.5
bootstraps = 3
seeds = 2
greedy_bootstraps = 2
rank_bootstraps = 3
null_graphs = 5
steered_prompts = 6
steered_features = 6
sets = 2
set_sizes = [2]
factors = [2.0]
tested_factors = [2.0]
graph_factors = [2.0]
other_factors = [2.0]
permutations = 99
resamples = 99
edges = {fdr = 0.2, resamples = 10}""",
    )  # fmt: skip
    lab = Lab.load(recipe.model, recipe.saes)
    request = recipe.request(lab)
    assert request.sae == f"gpt2/{HOOKS[0]}/res-jb"
    found = network.run(lab, request)
    assert found.identity["saes"][0]["source"] == recipe.saes[0]
    features = found.tables["attributions"]["feature"].to_numpy()
    assert 0 <= features.min() <= features.max() < lab.saes[request.sae].d_sae
    on = found.tables["on"]["feature"].to_pylist()
    assert {FeatureRef.parse(name).sae for name in on} == {request.sae}


def test_a_concept_study_runs_from_a_recipe_that_names_them(hub, tmp_path):
    rng = np.random.default_rng(0)
    rows = ["id,set,prompt,term,answer,match"]
    for number in range(20):
        before, after = (" ".join(rng.choice(["the", "a", "of", "in", "and"], 2)) for _ in "12")
        for name, group, term, answer, match in (
            ("m", "concept", "heart", "body", "c"),
            ("c", "control", "music", "note", "m"),
        ):
            text = f"{before} {term} {after} the"
            rows.append(f"{name}{number},{group},{text},{term}, {answer},{match}{number}")
    recipe = study(
        tmp_path, "concept", saes=read_study("medical-gpt2").saes,
        table="\n".join(rows) + "\n", prompts="",
        parameters="""
permutations = 499
fdr = 0.4
resamples = 30
min_prompts = 3
shap = {max_evals = 8}
maps = {features = 8, most = 3, seeds = 2}
[parameters.causes]
features = 2
alone = 1
pairs = 4
prompts = 4
controls = 1
attention = 4
shap = 1
max_evals = 8""",
    )  # fmt: skip
    lab = Lab.load(recipe.model, recipe.saes)
    found = concept.run(lab, recipe.request(lab))
    frame = found.tables["contrast"].to_pandas()
    assert set(frame["sae"]) == set(KEYS)
    best = frame[frame["confirmed"]]
    assert len(best)
    # What a layer's SAE says is of that layer's stream: a confirmed feature, encoded by hand.
    for key in set(best["sae"]):
        row = best[best["sae"] == key].sort_values("rank_order").iloc[0]
        sae = lab.saes[key]
        task = lab.prompts([recipe.request(lab).prompts[0]])[0][0]
        stream = lab.model.residuals(torch.tensor([task.tokens]), [sae.hook.name])[sae.hook.name]
        acts = sae.sae.encode(stream[0, 1:])[:, int(row["index"])]
        own = found.tables["activations"].to_pandas()
        own = own[(own["sae"] == key) & (own["prompt"] == 0) & (own["feature"] == row["index"])]
        assert float(own["max"].sum()) == pytest.approx(float(acts.max()), abs=1e-3)


def centre_writing_weights(model: torch.nn.Module) -> None:
    """Take the mean over dimensions off everything that a GPT-2 writes to its stream."""
    decoder = model.transformer
    with torch.no_grad():
        for vectors in (decoder.wte.weight, decoder.wpe.weight):
            vectors.sub_(vectors.mean(dim=-1, keepdim=True))
        for block in decoder.h:
            for layer in (block.attn.c_proj, block.mlp.c_proj):
                layer.weight -= layer.weight.mean(dim=-1, keepdim=True)
                layer.bias -= layer.bias.mean()


def test_an_sae_of_centred_weights_reads_the_plain_models_stream(lab, hub):
    """The release was trained on weights that write no mean, which the model does not notice."""
    from sae_lens import SAE
    from transformers import GPT2LMHeadModel

    tokens = torch.tensor([lab.prompts([PromptText(id="p", prompt=tiny.texts(1)[0])])[0][0].tokens])
    (folder,) = hub.glob("models--gpt2/snapshots/*")
    other = GPT2LMHeadModel.from_pretrained(folder).eval()
    unembedding = other.lm_head.weight.detach().clone()
    other.lm_head.weight = torch.nn.Parameter(unembedding)  # no longer that of the embedding
    centre_writing_weights(other)
    with torch.no_grad():
        out = other(tokens, output_hidden_states=True)
    torch.testing.assert_close(out.logits, lab.model.logits(tokens), atol=1e-3, rtol=1e-4)
    plain = lab.model.residuals(tokens, HOOKS)
    for key, hook in zip(KEYS, HOOKS, strict=True):
        ours, layer = lab.saes[key].sae, lab.saes[key].hook.layer
        stream = out.hidden_states[layer][0, 1:]
        torch.testing.assert_close(stream, centred(plain[hook][0, 1:]), atol=1e-3, rtol=1e-4)
        published = SAE.from_pretrained(RELEASE, hook)
        wanted = published.encode(stream)
        assert (published.encode(plain[hook][0, 1:]) - wanted).abs().max() > 1e-3
        torch.testing.assert_close(ours.encode(plain[hook][0, 1:]), wanted, atol=1e-3, rtol=1e-3)
        rebuilt = ours.decode(ours.encode(plain[hook][0, 1:]))
        torch.testing.assert_close(rebuilt, published.decode(wanted), atol=1e-3, rtol=1e-3)
