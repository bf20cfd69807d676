"""Steering, texts, preflight and measured promotion on tiny models, against plain loops."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from atlas.errors import CorpusError, ModelError, NotFoundError, UsageError
from atlas.lm import LanguageModel
from atlas.saes import load_sae
from ingest.decoder import logit_weights
from queries.followups.contexts import PeakContext, TokenTexts
from queries.followups.evidence import intervention_tables
from queries.followups.interventions import FeatureRef, Intervention
from queries.followups.lab import Lab, PromptText, TaskPrompt
from queries.followups.preflight import preflight
from queries.followups.promotion import promote as promotion
from queries.followups.promotion.promote import PromotionRequest
from queries.followups.steering import steer as steering
from queries.followups.steering.drawing import Draw, GenerationSettings
from queries.followups.steering.generation import generate
from queries.followups.steering.steer import SteeringRequest, at_strengths, sweep
from queries.followups.steering.texts import distinct_pairs, log_probabilities
from tests import naive_followups, tiny

pytestmark = pytest.mark.lm

HOOKS = ("blocks.1.hook_resid_pre", "blocks.2.hook_resid_post")
TEXTS = ["the heart pumps blood", "a patient has pain", "the court", "music of the band"]
PROMPTS = tuple(
    PromptText(id=f"p{k}", prompt=text, answer=" and", foils=(" in",), group=f"g{k % 2}")
    for k, text in enumerate(TEXTS)
)


def made(root, family):
    folder = tiny.model(root / "model", family=family)
    model = LanguageModel.load(str(folder), device="cpu", dtype=torch.float32)
    torch.manual_seed(0)
    streams = model.residuals(torch.randint(2, 32, (40, 20)), HOOKS)
    saes = [
        load_sae(
            str(tiny.sae(root / f"s{k}", hook=hook, stream=streams[hook][:, 1:].reshape(-1, 32))),
            device="cpu",
        )
        for k, hook in enumerate(HOOKS)
    ]
    return Lab.of(model, saes, batch_tokens=128)


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def either(request, tmp_path_factory):
    return made(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    return made(tmp_path_factory.mktemp("steered"), "llama")


def tokens(lab):
    return [prompt.tokens for prompt in lab.prompts(PROMPTS)[0]]


def firing(lab, sae, number=2):
    """Features that fire at most tokens of the prompts."""
    key = list(lab.saes)[sae]
    prepared = lab.engine.prepare(tokens(lab))
    counts = (prepared.codes[key].values > 0).sum(axis=0)
    return [FeatureRef(key, int(i), maximum=3.0, mean=0.4) for i in counts.argsort()[::-1][:number]]


@pytest.fixture(scope="module")
def found(lab):
    low, high = firing(lab, 0), firing(lab, 1)
    request = SteeringRequest(
        prompts=PROMPTS,
        sets={  # not in the order of their names
            "one": Intervention("add", (low[0],)),
            "both hooks": (Intervention("add", (low[1],)), Intervention("clamp", (high[0],))),
            "without": Intervention("ablate", tuple(high)),
        },
        strengths=(0.0, 4.0),
        metrics=("logit", "logit_diff", "kl", "perplexity"),
        generate=GenerationSettings(max_new_tokens=6, n=2, temperature=1.0),
        each_prompt=True,
    )
    return request, steering.run(lab, request)


def test_a_steering_run_is_its_sweep_summed_up(lab, found):
    request, evidence = found
    tables = evidence.tables
    assert tables["interventions"]["kind"].to_pylist() == ["several"] * 2 + ["add"] * 2 + ["ablate"]
    assert tables["interventions"]["strength"].to_pylist() == [0.0, 4.0, 0.0, 4.0, 1.0]
    assert tables["on"].num_rows == 1 + 1 + 2 + 2 + 2
    assert tables["sets"].to_pylist()[1] == {"intervention": 2, "set": "both hooks", "strength": 4}
    rows = tables["rows"].to_pandas()
    assert len(rows) == 5 * 4 * 4
    effects = tables["effects"].to_pandas()
    over, each = effects[effects.prompt.isna()], effects[effects.prompt.notna()]
    assert (len(over), len(each)) == (5 * 4, 5 * 4 * 4)
    mine = rows[(rows.set == "both hooks") & (rows.strength == 4) & (rows.metric == "logit")]
    row = over[(over.intervention == 2) & (over.metric == "logit")].iloc[0]
    groups = mine.change.to_numpy().reshape(2, 2).mean(axis=0)  # p0 and p2, p1 and p3
    expected = stats.ttest_1samp(groups, 0)
    assert row.change == pytest.approx(groups.mean())
    assert row.p == pytest.approx(expected.pvalue)
    assert (row.prompts, row.target) == (4, "and")
    steered = naive_followups.logits(
        lab.model, lab.saes, list(tokens(lab)[1]),
        at_strengths(request.sets, [4.0])["both hooks", 4.0],
    )  # fmt: skip
    answer = lab.prompts(PROMPTS)[0][1].target
    assert mine.value.iloc[1] == pytest.approx(float(steered[-1, answer]), abs=1e-3)
    assert abs(mine.change).max() > 0.1
    zero = over[over.intervention == 3]
    assert (zero.change == 0).all()
    assert set(zero.flag) == {"4 of 4 unchanged"}
    assert (zero.p == 1).all()
    assert "2 groups of prompts are few" in " ".join(evidence.notes)
    checks = {row["name"]: row for row in tables["preflight"].to_pylist()}
    assert all(0 <= checks[name]["value"] < 1e-4 for name in ("zero", "clamp", "whole"))
    assert checks["zero"]["runs"] == 5 * 4


def test_a_request_survives_json_and_gives_the_same_again(lab, found):
    """Files and the graph keep keys sorted, whatever order the sets were given in."""
    request, evidence = found
    kept = json.dumps(evidence.request, sort_keys=True)
    again = SteeringRequest.model_validate(json.loads(kept))
    assert again == request
    second = steering.run(lab, again)
    assert second.id == evidence.id
    for name, table in evidence.tables.items():
        if name != "preflight":
            assert second.tables[name].equals(table), name


def test_strength_zero_writes_the_same_text(found):
    texts = found[1].tables["texts"].to_pandas()
    assert len(texts) == 5 * 4 * 2
    same = texts.unsteered == texts.steered
    assert same[(texts.set == "one") & (texts.strength == 0)].all()
    assert not same[(texts.set == "both hooks") & (texts.strength == 4)].all()
    # An arm changes nothing about the text beside it, and samples differ.
    assert (texts.groupby(["prompt", "sample"]).unsteered.nunique() == 1).all()
    assert (texts.groupby("prompt").unsteered.nunique() == 2).any()


GENERATED = [
    {"kind": "add", "strength": 3.0},
    {"kind": "add", "strength": 1.0, "unit": "global_max", "positions": "firing"},
    {"kind": "clamp", "strength": 4.0, "positions": "last"},
    {"kind": "clamp", "strength": 5.0, "positions": "first"},
    {"kind": "scale", "strength": -3.0},
    {"kind": "ablate", "positions": "firing"},
    {"kind": "project"},
    {"kind": "add", "strength": 6.0, "positions": "chosen", "chosen": (0, -1)},
]


@pytest.mark.parametrize("settings", [
    GenerationSettings(max_new_tokens=4, temperature=0.0),
    GenerationSettings(max_new_tokens=4, temperature=1.3, n=2, seed=3),
    GenerationSettings(max_new_tokens=4, temperature=0.9, top_p=0.6, seed=4),
], ids=["greedy", "sampled", "nucleus"])  # fmt: skip
def test_texts_are_those_of_whole_passes(either, settings):
    low, high = firing(either, 0), firing(either, 1)
    arms = [(), *((Intervention(features=tuple(low), **some),) for some in GENERATED)]
    arms.append((Intervention("clamp", (low[0],), 3.0), Intervention("scale", (high[0],), -2.0)))
    some = tokens(either)[:2]
    texts = generate(either.engine, some, arms, settings)
    assert len(texts) == len(arms) * 2 * settings.n
    for (a, p, sample), text in texts.items():
        if (a + p + sample) % 2:  # half of them, for time
            continue
        expected = by_whole_passes(either, some[p], arms[a], settings, sample)
        assert text.tokens == expected, (a, p, sample, arms[a])
    moved = {a for a, p, s in texts if texts[a, p, s] != texts[0, p, s]}
    assert len(moved) > len(arms) / 2


def by_whole_passes(lab, prompt, arm, settings, sample):
    """Write on with a whole pass a token, and no keys and values."""
    places = {"first": (0,), "last": (len(prompt) - 2,)}
    fixed = []
    for what in arm:
        chosen = places.get(what.positions, what.chosen)
        chosen = tuple(place % (len(prompt) - 1) for place in chosen)
        if chosen:
            what = replace(what, positions="chosen", chosen=chosen)  # noqa: PLW2901
        fixed.append(what)
    crc = zlib.crc32(np.array(prompt, np.int64).tobytes())
    rng = np.random.default_rng((settings.seed, sample, crc))
    written = list(prompt)
    for _ in range(settings.max_new_tokens):
        last = naive_followups.logits(lab.model, lab.saes, written, tuple(fixed))[-1].double()
        if settings.temperature:
            last = last / settings.temperature
            order = last.argsort(descending=True)
            mass = last.softmax(0)[order].cumsum(0)
            number = int((mass < settings.top_p).sum()) + 1
            noise = torch.from_numpy(-np.log(rng.standard_exponential(len(last))))
            allowed = torch.full_like(last, -torch.inf)
            allowed[order[:number]] = last[order[:number]]
            last = allowed + noise
        token = int(last.argmax())
        if token == lab.model.tokenizer.eos_token_id:
            break
        written.append(token)
    return tuple(written[len(prompt) :])


def test_resampling_and_the_local_maximum_go_on_in_texts(lab):
    feature = firing(lab, 0)[0]
    settings = GenerationSettings(max_new_tokens=4, temperature=0.0)
    some = tokens(lab)
    acts = lab.engine.prepare(some).codes[feature.sae].of_features([feature.index])[0, :, 0]
    peak = float(acts[1 : len(some[0])].max())
    pair = [
        (Intervention("add", (feature,), 2.0, "local_max"),),
        (Intervention("add", (feature,), 2.0 * peak),),
        (Intervention("ablate", (feature,), mode="resample", seed=1),),
    ]
    texts = generate(lab.engine, some, pair, settings)
    assert texts[0, 0, 0] == texts[1, 0, 0]
    assert texts[2, 1, 0] == generate(lab.engine, some, pair[2:], settings)[0, 1, 0]


def test_draws_are_those_of_the_softmax():
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0]])
    settings = GenerationSettings(temperature=0.7)
    draw = Draw(settings, [(0, 0, 0)])
    counts = np.bincount([int(draw(logits)[0]) for _ in range(4000)], minlength=4)
    expected = (logits[0].double() / 0.7).softmax(0).numpy() * 4000
    assert stats.chisquare(counts, expected).pvalue > 1e-3
    narrow = Draw(GenerationSettings(temperature=0.7, top_p=0.8), [(0, 0, 0)])
    assert {int(narrow(logits)[0]) for _ in range(500)} == {0, 1}
    same = Draw(settings, [(1, 2, 3), (1, 2, 3), (1, 2, 4)])
    drawn = torch.stack([same(torch.zeros(3, 50)) for _ in range(20)])
    assert torch.equal(drawn[:, 0], drawn[:, 1])
    assert not torch.equal(drawn[:, 0], drawn[:, 2])


def test_fluency_is_that_of_the_unsteered_model(lab):
    prompt, after = tokens(lab)[0], (5, 9, 5, 9)
    plain = lab.model.logits(torch.tensor([[*prompt, *after]]))[0].double().log_softmax(1)
    expected = np.mean([float(plain[len(prompt) - 1 + k, t]) for k, t in enumerate(after)])
    pairs = [(prompt, after), (prompt, ()), (tokens(lab)[2], (7,))]
    found = log_probabilities(lab.model, pairs, 64)
    assert found[0] == pytest.approx(expected, abs=1e-5)
    assert found[1] is None
    assert found[2] < 0
    assert distinct_pairs(after) == pytest.approx(2 / 3)
    assert distinct_pairs((5,)) is None


def test_texts_that_break_off_are_flagged(lab):
    request = SteeringRequest(
        prompts=PROMPTS[:2],
        sets={"x": Intervention("add", (firing(lab, 0)[0],))},
        strengths=(1.0, 1e39),
        generate=GenerationSettings(max_new_tokens=3),
    )
    tables = steering.run(lab, request).tables
    texts = tables["texts"].to_pandas()
    assert texts.flag.isna().tolist() == [True, True, False, False]
    assert (texts.tokens_steered[2:] == 0).all()
    effects = tables["effects"].to_pandas()
    assert set(effects.flag[effects.intervention == 2]) == {"2 of 2 not finite"}
    assert effects.change[effects.intervention == 2].isna().all()


def test_what_cannot_be_steered_is_refused(lab):
    what = Intervention("add", (firing(lab, 0)[0],))

    def request(**changed):
        values = {"prompts": PROMPTS, "sets": {"x": what}, "strengths": (1.0,)}
        return SteeringRequest(**{**values, **changed})

    far = replace(what, positions="chosen", chosen=(2,))
    other = Intervention("add", (FeatureRef("other/blocks.0.hook_resid_pre/s", 1),))
    for changed, error, message in [
        ({"prompts": ()}, UsageError, "no prompt"),
        ({"sets": {}}, UsageError, "nothing to steer with"),
        ({"strengths": ()}, UsageError, "nothing to steer with"),
        ({"sets": {"x": other}}, NotFoundError, "not loaded"),
        ({"sets": {"x": far}}, UsageError, "Prompt p2 has 2 tokens; it has no position 2"),
        ({"metrics": ("size",)}, UsageError, "no metric 'size'"),
        ({"prompts": (PromptText(id="a", prompt="the"),)}, UsageError, "has no target"),
        ({"prompts": (PromptText(id="a", prompt="the " * 200),)}, CorpusError, "the model reads"),
        ({"generate": GenerationSettings(max_new_tokens=125)}, UsageError, "Lower max_new_tokens"),
    ]:
        with pytest.raises(error, match=message):
            steering.run(lab, request(**changed))
    with pytest.raises(ValueError, match="give n=1"):
        GenerationSettings(temperature=0, n=2)


def test_a_set_of_ablations_is_there_once(lab):
    one, two = firing(lab, 0)
    sets = {
        "out": Intervention("ablate", (one,)),
        "mixed": (Intervention("ablate", (one,)), Intervention("add", (two,))),
    }
    arms = at_strengths(sets, (1.0, 2.0))
    assert list(arms) == [("out", 1.0), ("mixed", 1.0), ("mixed", 2.0)]
    assert [one.strength for one in arms["mixed", 2.0]] == [1.0, 2.0]
    prompts = [TaskPrompt("a", tokens(lab)[0], 5)]
    table = sweep(lab.engine, prompts, sets=sets, strengths=(1.0, 2.0), metrics=("logit",))
    assert table["set"].to_pylist() == ["out", "mixed", "mixed"]
    assert intervention_tables([*arms.values()])["interventions"]["kind"][1].as_py() == "several"


def test_the_preflight_sees_a_decoder_that_is_not_the_one_in_use(lab):
    feature = firing(lab, 0)[0]
    arm = (Intervention("add", (feature,)),)
    assert all(check.value < 1e-4 for check in preflight(lab.engine, tokens(lab), [arm]))
    sae = lab.saes[feature.sae].sae
    before = sae.W_dec.data.clone()
    try:
        sae.W_dec.data[feature.index] *= 1.5  # the engine's directions are those of before
        with pytest.raises(ModelError, match="whole is"):
            preflight(lab.engine, tokens(lab), [arm])
    finally:
        sae.W_dec.data = before


def test_the_preflight_sees_a_model_with_dropout(tmp_path):
    lab = made(tmp_path, "gpt2")
    lab.model.hf_model.train()
    with pytest.raises(ModelError, match="zero is"):
        preflight(lab.engine, tokens(lab), [(Intervention("ablate", (firing(lab, 0)[0],)),)])


def contexts_of(lab, feature, number=6):
    """Texts with the feature's peak; in the last one it does not fire up to there."""
    some = torch.randint(2, 32, (60, 7), generator=torch.Generator().manual_seed(feature.index))
    codes = lab.engine.prepare([(0, *text) for text in some.tolist()]).codes[feature.sae]
    acts = codes.of_features([feature.index])[:, 1:, 0]
    peaks = [(k, int(acts[k].argmax())) for k in acts.max(axis=1).argsort()[::-1][: number - 1]]
    silent = next((k, t) for k in range(60) for t in range(2, 5) if not acts[k, : t + 1].any())
    return tuple(
        PeakContext(tokens=tuple(some[k].tolist()), position=t) for k, t in [*peaks, silent]
    )


@pytest.mark.parametrize("positions", ["peak", "firing"])
def test_measured_promotion_is_that_of_plain_loops(lab, positions):
    features = (*firing(lab, 0), *firing(lab, 1))
    contexts = {feature.key: contexts_of(lab, feature) for feature in features}
    request = PromotionRequest(features=features, contexts=contexts, top=4, positions=positions)
    tables = promotion.run(lab, request).tables
    rows, effects = tables["promotion"].to_pandas(), tables["effects"].to_pandas()
    assert len(rows) == len(effects) == 4 * 8
    for number, feature in enumerate(features, start=1):
        clean, ablated = plain_promotion(lab, feature, contexts[feature.key], positions)
        change = clean - ablated
        mean = change.mean(axis=0)
        test = stats.ttest_1samp(change, 0)
        q = stats.false_discovery_control(test.pvalue)
        mine = rows[rows.feature == feature.key]
        assert mine.side.tolist() == ["promoted"] * 4 + ["suppressed"] * 4
        order = mean.argsort()
        np.testing.assert_allclose(mine.promoted[:4], mean[order[::-1][:4]], atol=1e-4)
        np.testing.assert_allclose(mine.promoted[4:], mean[order[:4]], atol=1e-4)
        np.testing.assert_allclose(mine.promoted, mean[mine.token_id], atol=1e-4)
        np.testing.assert_allclose(mine.p, test.pvalue[mine.token_id], rtol=0.02, atol=1e-6)
        np.testing.assert_allclose(mine.q, q[mine.token_id], rtol=0.02, atol=1e-6)
        low = test.confidence_interval(0.95).low
        np.testing.assert_allclose(mine.low, low[mine.token_id], atol=1e-3)
        assert (mine.contexts == len(change)).all()
        theirs = effects[effects.intervention == number]
        np.testing.assert_allclose(theirs.change, -mine.promoted)
        np.testing.assert_allclose(theirs.value, ablated.mean(axis=0)[mine.token_id], atol=1e-4)
        np.testing.assert_allclose(theirs.low, -mine.high)
        assert theirs.target.tolist() == [lab.text(token) for token in mine.token_id]
        assert set(theirs.flag) == {"1 of 6 do not fire"}
    assert abs(rows.promoted).max() > 0.1


def plain_promotion(lab, feature, contexts, positions):
    """Logits at the peak with the feature and without, of contexts in which it fires."""
    places = "last" if positions == "peak" else "firing"
    pairs = []
    for context in contexts:
        prompt = [0, *context.tokens[: context.position + 1]]
        arm = (Intervention("ablate", (feature,), positions=places),)
        after = naive_followups.logits(lab.model, lab.saes, prompt, arm)[-1]
        before = lab.model.logits(torch.tensor([prompt]))[0, -1]
        if (after - before).abs().max() > 1e-4:
            pairs.append([(x - x.mean()).double().numpy() for x in (before, after)])
    return tuple(np.stack(side) for side in zip(*pairs, strict=True))


def test_logit_weights_are_those_of_a_build(lab):
    features = tuple(firing(lab, 1))
    contexts = {feature.key: contexts_of(lab, feature) for feature in features}
    request = PromotionRequest(features=features, contexts=contexts, top=34)
    rows = promotion.run(lab, request).tables["promotion"].to_pandas()
    built = logit_weights(lab.sae(features[0].sae).sae.W_dec.float(), lab.model.unembedding(), k=5)
    for feature in features:
        mine = rows[(rows.feature == feature.key) & (rows.side == "promoted")]
        first = mine.sort_values("logit_weight_rank").head(5)
        assert first.token_id.tolist() == built.promoted[feature.index].tolist()
        np.testing.assert_allclose(
            first.logit_weight, built.promoted_score[feature.index], rtol=1e-4
        )


def test_contexts_that_cannot_be_used_are_refused_or_noted(lab):
    feature = firing(lab, 0)[0]

    def run(**changed):
        values = {"features": (feature,), "contexts": {feature.key: contexts_of(lab, feature)}}
        return promotion.run(lab, PromotionRequest(**{**values, **changed}))

    for context in [
        PeakContext(tokens=(3, 4), position=2),
        PeakContext(tokens=(3, 99), position=0),
        PeakContext(tokens=(3,) * 200, position=190),
    ]:
        with pytest.raises(CorpusError, match="Context 0 of"):
            run(contexts={feature.key: (context,)})
    with pytest.raises(UsageError, match="has no context"):
        run(contexts={})
    with pytest.raises(UsageError, match="no feature"):
        run(features=())
    prepared = lab.engine.prepare([(0, 3, 4)])
    acts = prepared.codes[feature.sae].values.toarray()
    silent = FeatureRef(feature.sae, int(np.flatnonzero(acts.sum(axis=0) == 0)[0]))
    nothing = {silent.key: (PeakContext(tokens=(3, 4), position=1),)}
    evidence = run(features=(silent,), contexts=nothing)
    assert evidence.tables["promotion"].num_rows == evidence.tables["effects"].num_rows == 0
    assert "1 of 1 features fire in none" in evidence.notes[0]


def test_windows_of_texts_become_contexts(lab):
    texts = TokenTexts(lab)
    found = texts.context(["the", "heart", "pumps", "nowhere"], 2)
    ids = lab.model.tokenizer("the heart pumps")["input_ids"]
    assert found == PeakContext(tokens=tuple(ids), position=2)
    assert texts.context(["the", "nowhere"], 1) is None
