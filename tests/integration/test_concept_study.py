"""A study of a concept on a tiny model whose concept is known."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

from atlas.errors import CorpusError, NotFoundError, UsageError
from atlas.lm import LanguageModel
from atlas.progress import SilentReporter
from atlas.saes import load_sae
from queries.followups.evidence import open_evidence, save_evidence
from queries.followups.lab import Lab, PromptText
from queries.followups.replay import replay
from queries.studies.concept.estimate import estimate
from queries.studies.concept.filtering import next_tokens, prompt_table, token_shap
from queries.studies.concept.links import link_table
from queries.studies.concept.report import write_study_report
from queries.studies.concept.request import Causes, ConceptRequest, Maps, TokenShap
from queries.studies.concept.run import run
from queries.studies.concept.setting import Setting, term_places
from tests import tiny

pytestmark = pytest.mark.lm

WHO = {"concept": ("patient", "doctor"), "control": ("judge", "court")}
WHAT = {"concept": ("pain", "fever", "blood"), "control": ("law", "trial", "guilty")}
WHERE = {"concept": ("heart", "lung"), "control": ("band", "team")}
#: Latents of the planted SAE: a word each, then one for each of these groups of words.
LATENTS = 30
CLASSES = [words[group] for group in ("concept", "control") for words in (WHO, WHAT, WHERE)]
PLANTED = {LATENTS + k for k in range(3)}


def word(name):
    """Token of a word, and its latent."""
    return 2 + tiny.WORDS.index(name)


def texts():
    found = []
    for group in ("concept", "control"):
        for k, (who, what, where) in enumerate(
            itertools.product(WHO[group], WHAT[group], WHERE[group])
        ):
            for turn in range(2):
                text = f"the {who} has {what} the {where}"
                found.append(
                    PromptText(
                        id=f"{group}-{k}-{turn}",
                        prompt=text if turn else f"a {who} had {what} a {where}",
                        answer=" body" if group == "concept" else " wins",
                        group=group,
                    )
                )
    return tuple(found)


def planted_model(folder):
    """A model whose blocks do little, and whose medical words are likely after one another."""
    from transformers import AutoModelForCausalLM

    tiny.model(folder)
    made = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        for block in made.model.layers:
            block.self_attn.o_proj.weight *= 0.01
            block.mlp.down_proj.weight *= 0.01
        vectors = made.model.embed_tokens.weight
        medical = [word(name) for some in ("concept",) for part in (WHO, WHAT, WHERE)
                   for name in part[some]]  # fmt: skip
        made.lm_head.weight[[word("body"), word("pain"), word("fever")]] += vectors[medical].sum(
            dim=0
        )
    made.save_pretrained(folder)
    return folder


def planted_sae(folder, vectors, hook="blocks.0.hook_resid_pre"):
    """An SAE in which latent k is the word of token k, read off the embeddings."""
    from sae_lens.saes.sae import SAEMetadata
    from sae_lens.saes.standard_sae import StandardSAE, StandardSAEConfig

    made = StandardSAE(
        StandardSAEConfig(
            d_in=32, d_sae=LATENTS + len(CLASSES), device="cpu", dtype="float32",
            metadata=SAEMetadata(model_name="tiny", hook_name=hook, prepend_bos=True),
        )
    )  # fmt: skip
    some = vectors[2 : 2 + LATENTS]
    reads = torch.linalg.pinv(some)
    groups = [[word(name) - 2 for name in names] for names in CLASSES]
    made.W_dec.data = torch.cat([some, torch.stack([some[k].mean(dim=0) for k in groups])])
    made.W_enc.data = torch.cat(
        [reads, torch.stack([reads[:, k].sum(dim=1) for k in groups], dim=1)], dim=1
    )
    made.b_enc.data.fill_(-0.5)
    made.b_dec.data.zero_()
    made.save_model(folder)
    return folder


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    root = tmp_path_factory.mktemp("concept")
    folder = planted_model(root / "model")
    model = LanguageModel.load(str(folder), device="cpu", dtype=torch.float32)
    vectors = model.hf_model.get_input_embeddings().weight.detach()
    torch.manual_seed(0)
    hook = "blocks.2.hook_resid_pre"
    stream = model.residuals(torch.randint(2, 32, (40, 20)), [hook])[hook]
    saes = [
        load_sae(str(planted_sae(root / "words", vectors)), device="cpu"),
        load_sae(str(tiny.sae(root / "deep", hook=hook, stream=stream.reshape(-1, 32))),
                 device="cpu"),
    ]  # fmt: skip
    return Lab.of(model, saes, batch_tokens=256)


def request(lab, **options):
    prompts = texts()
    # The blocks do little, so that what comes next turns on the last word.
    terms = {text.id: text.prompt.split()[-1] for text in prompts}
    defaults = {
        "name": "toy", "prompts": prompts, "terms": terms, "saes": tuple(lab.saes),
        "matches": {text.id: text.id.replace("concept", "control") for text in prompts
                    if text.group == "concept"},
        "permutations": 499, "resamples": 100, "min_prompts": 3,
        "shap": TokenShap(max_evals=14), "maps": Maps(seeds=4),
        "causes": Causes(features=4, alone=2, controls=2, prompts=12, attention=4, shap=1,
                         max_evals=24, strengths=(1.0,)),
    }  # fmt: skip
    return ConceptRequest(**(defaults | options))


class Killed(SilentReporter):
    """Notes what begins, and stops like a killed process before a stage."""

    def __init__(self, before=None):
        self.before, self.lines = before, []

    def note(self, line):
        self.lines.append(line)
        if line == self.before:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def found(lab, work):
    """A study that was killed before its patching, and run again."""
    with pytest.raises(KeyboardInterrupt):
        run(lab, request(lab), work=work, reporter=Killed("patching"))
    told = Killed()
    evidence = run(lab, request(lab), work=work, reporter=told)
    done = {line.removesuffix(": done before") for line in told.lines if "done before" in line}
    assert {"next", "tokens-0", "activations", "contrast", "weights-0", "subgraph"} <= done
    assert "patching" in told.lines
    return evidence


def rows(found, name):
    return found.tables[name].to_pylist()


def test_planted_features_are_confirmed_and_no_other_of_their_sae(lab, found):
    words = next(key for key in lab.saes if key.endswith("words"))
    frame = found.tables["contrast"].to_pandas()
    sure = frame[frame["confirmed"] & (frame["selection"] == "all") & (frame["sae"] == words)]
    assert set(sure["index"]) == PLANTED
    # Nothing that one of the words alone does is found: it is in too few of the prompts.
    assert set(frame[frame["sae"] == words]["index"]) >= PLANTED | {word("heart") - 2}
    row = next(row for row in rows(found, "findings") if row["name"].startswith("features of the"))
    concerns = {r["feature"] for r in rows(found, "concerns") if r["finding"] == row["number"]}
    assert {f"{words}/{k}" for k in PLANTED} <= concerns
    fires = {row["token"] for row in rows(found, "fires_on") if row["feature"] == f"{words}/32"}
    assert fires >= {"heart", "lung"}


def test_each_sae_reads_the_stream_of_its_own_hook(lab, found):
    frame = found.tables["activations"].to_pandas()
    for key, sae in lab.saes.items():
        mine = frame[frame["sae"] == key]
        wrong = 0
        for number, text in enumerate(texts()[::7]):
            tokens = torch.tensor([Setting.of(lab, request(lab)).prompts[7 * number].tokens])
            part = mine[mine["prompt"] == 7 * number].set_index("feature")
            hooks = [sae.hook.name, next(s.hook.name for s in lab.saes.values() if s is not sae)]
            streams = lab.model.residuals(tokens, hooks)
            acts = [sae.sae.encode(streams[hook][0, 1:]).numpy() for hook in hooks]
            fires = np.flatnonzero(acts[0].max(axis=0) > 0)
            assert part.index.tolist() == fires.tolist(), (key, text.id)
            np.testing.assert_allclose(part["mean"], acts[0].mean(axis=0)[fires], rtol=1e-4)
            np.testing.assert_allclose(part["max"], acts[0].max(axis=0)[fires], rtol=1e-4)
            assert (part["peak"] == acts[0].argmax(axis=0)[fires]).all()
            assert (part["tokens"] == (acts[0] > 0).sum(axis=0)[fires]).all()
            wrong += not np.array_equal(fires, np.flatnonzero(acts[1].max(axis=0) > 0))
        assert wrong  # another layer's stream would have given other features


def test_the_filter_keeps_prompts_that_turn_on_their_term(lab, found):
    known = {row["prompt"]: row for row in rows(found, "prompt_rows")}
    assert all(row["kept"] for row in known.values())
    assert sum(row["term_rank"] == 1 for row in known.values()) > 40
    assert {row["selection"] for row in rows(found, "confirmation")} == {"all", "filtered"}
    shown = [row for row in rows(found, "explanations") if row["players"] == "tokens"]
    assert len(shown) == len(known)
    names = {row["prompt"]: row["names"] for row in shown}
    assert [name.strip() for name in names["concept-0-0"]] == "a patient had pain a heart".split()
    setting = Setting.of(lab, request(lab, terms={text.id: text.prompt.split()[1]
                                                  for text in texts()}))  # fmt: skip
    tables = token_shap(setting, [0, 30], found_next(setting), reporter=SilentReporter())
    ranks = [row["term_rank"] for row in tables["ranks"].to_pylist()]
    assert min(ranks) > 1
    from dataclasses import replace

    few = replace(setting, request=request(lab, terms=setting.request.terms,
                                           shap=TokenShap(top=min(ranks) - 1)))  # fmt: skip
    row = prompt_table(few, {"next": found_next(setting), **tables}).to_pylist()[0]
    assert row["kept"] is False
    assert row["reason"] == f"its term is number {ranks[0]} of 6 tokens, behind the first " + str(
        min(ranks) - 1
    )


def found_next(setting):
    return next_tokens(setting)["next"]


def test_the_features_cause_the_concepts_words(found):
    steered = {(row["set"].split("/")[-1], row["action"]): row for row in rows(found, "steering")}
    for action, sign in (("add", 1), ("ablate", -1)):
        row = steered["words", action]
        assert row["as_expected"], row
        assert sign * row["difference"] > 0
        assert row["features"] == len(PLANTED)
    effect = next(row for row in rows(found, "effects")
                  if row["intervention"] == steered["words", "add"]["intervention"])  # fmt: skip
    assert effect["metric"] == "concept_log_probability"
    assert effect["change"] == pytest.approx(steered["words", "add"]["change"])
    controls = found.tables["controls"].to_pandas()
    assert not set(controls[controls["sae"].str.endswith("words")]["control"]) & PLANTED
    patched = {row["name"]: row for row in rows(found, "patch_summary")}
    assert any(name.startswith("control 1 of ") for name in patched)
    key = next(key for key in lab_keys(found) if key.endswith("words"))
    assert patched[f"features of {key}"]["prompts"] == 12


def lab_keys(found):
    return [sae["key"] for sae in found.identity["saes"]]


def test_tables_of_parts_are_numbered_as_one(found):
    numbers = [row["number"] for row in rows(found, "interventions")]
    assert numbers == list(range(1, len(numbers) + 1))
    kinds = {row["number"]: row["kind"] for row in rows(found, "interventions")}
    assert {kinds[row["intervention"]] for row in rows(found, "patch_summary")} == {"patch"}
    assert {kinds[row["intervention"]] for row in rows(found, "steering")} == {"add", "ablate"}
    explained = [row["number"] for row in rows(found, "explanations")]
    assert explained == list(range(1, len(explained) + 1))
    players = {row["explanation"] for row in rows(found, "players")}
    kind = {row["number"]: row["players"] for row in rows(found, "explanations")}
    assert {kind[number] for number in players} == {"features"}


def test_replay_gives_the_same(lab, found, tmp_path):
    stored = open_evidence(save_evidence(found, tmp_path))
    again = replay(stored, lab=lab)
    assert again.same, again.differences
    size = sum(file.stat().st_size for file in (tmp_path / found.id).iterdir())
    assert size < 2e6


def test_the_report_is_made_from_the_stored_tables(found, tmp_path):
    stored = open_evidence(save_evidence(found, tmp_path / "kept"))
    page = write_study_report(stored, tmp_path / "report").read_text("utf-8")
    for words in ("Prompts and the filter", "Features of the concept", "Activation patching",
                  "Attention to the term", "SHAP values of features", "Causes: steering",
                  "Indices of features are from 0", "held out", "Benjamini-Hochberg"):  # fmt: skip
        assert words in page
    assert page.count("<svg") >= 8
    assert page.count("Correction:") >= page.count("<svg")
    other = write_study_report(stored, tmp_path / "again").read_text("utf-8")
    assert other == page


def test_documents_without_terms_are_contrasted_and_what_needs_terms_is_left_out(lab):
    plain = tuple(text.model_copy(update={"answer": None}) for text in texts())
    asked = request(lab, prompts=plain, terms={}, matches={}, max_tokens=5)
    found = run(lab, asked)
    frame = found.tables["contrast"].to_pandas()
    words = frame[frame["sae"].str.endswith("words") & frame["confirmed"]]
    # The last word is cut off, and with it the latent of places.
    assert set(words["index"]) == PLANTED - {32}
    notes = " | ".join(found.notes)
    assert "no prompt has a term" in notes
    assert "48 of 48 prompts are cut after 5 tokens" in notes
    assert "no words of the concept" in notes
    assert not found.tables["term_heads"].num_rows
    write_study_report(found, Path(tempfile.mkdtemp()))


def test_an_estimate_names_every_step(lab):
    steps = estimate(lab, request(lab))
    assert steps[0]["step"] == "next tokens and activations"
    assert all(row["seconds"] > 0 for row in steps)
    assert {type(row["passes"]) for row in steps} == {int}


def test_terms_are_found_wherever_they_stand(lab):
    tokenizer = lab.model.tokenizer
    assert term_places(tokenizer, "the heart has the heart", "heart") == (1, 4)
    assert term_places(tokenizer, "the heart has", "heart has") == (1, 2)
    assert term_places(tokenizer, "the heart", "") == ()


def test_an_sae_of_neuronpedia_has_a_list(lab):
    setting = Setting.of(lab, request(lab))
    key = next(iter(lab.saes))
    assert {row["neuronpedia"] for row in link_table(setting, {key: [3]}).to_pylist()} == {None}
    metadata = lab.saes[key].sae.cfg.metadata
    metadata.neuronpedia_id = "gpt2-small/8-res-jb"
    try:
        row = link_table(setting, {key: [3]}).to_pylist()[0]
    finally:
        metadata.neuronpedia_id = None
    assert "%22index%22%3A%20%223%22" in row["url"]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"saes": ("tiny/a/b",)}, NotFoundError, "not loaded"),
        ({"saes": ()}, UsageError, "no SAE"),
        ({"matches": {"concept-0-0": "concept-0-1"}}, UsageError, "matched with"),
        ({"matches": {"concept-0-0": "control-0-0", "concept-0-1": "control-0-0"}}, UsageError,
         "same control"),
        ({"terms": {"concept-0-0": "fever"}}, UsageError, "is not in"),
        ({"terms": {"nobody": "fever"}}, UsageError, "is not in"),
        ({"train_share": 0.01}, UsageError, "training half"),
        ({"prompts": (PromptText(id="a", prompt="the", group="other"),)}, UsageError, "group"),
        ({"prompts": (PromptText(id="a", prompt=" ", group="concept"),), "terms": {},
          "matches": {}}, CorpusError, "cannot be used"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(lab, options, error, words):
    with pytest.raises(error, match=words):
        Setting.of(lab, request(lab, **options))
