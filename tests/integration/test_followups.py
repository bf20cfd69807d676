"""Interventions on tiny models: the fast engine against whole passes with nested hooks."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atlas.errors import ModelError, NotFoundError, UsageError
from atlas.lm import LanguageModel
from atlas.resume import clean_pass, resumed_pass
from atlas.saes import load_sae
from atlas.shortcuts import onednn_linears, only_at
from queries.followups.changes import resolve
from queries.followups.codes import directions
from queries.followups.engine import Engine
from queries.followups.interventions import FeatureRef, Intervention
from queries.followups.lab import TaskPrompt
from queries.followups.metrics import METRICS, WITHOUT_TARGET
from queries.followups.packing import ENOUGH, KEPT, READS, WASTE, Row, packed
from queries.followups.steering.steer import sweep
from tests import naive_followups, tiny

pytestmark = pytest.mark.lm

HOOKS = (
    "blocks.0.hook_resid_pre", "blocks.1.hook_resid_post", "blocks.2.hook_resid_pre",
    "blocks.3.hook_resid_post",
)  # fmt: skip
PROMPTS = [[0, *torch.randint(2, 32, (n,), generator=torch.Generator().manual_seed(n)).tolist()]
           for n in (6, 3, 11, 6, 1)]  # fmt: skip


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def model(request, tmp_path_factory):
    folder = tiny.model(tmp_path_factory.mktemp(request.param), family=request.param)
    return LanguageModel.load(str(folder), device="cpu", dtype=torch.float32)


@pytest.fixture(scope="module")
def engine(model, tmp_path_factory):
    """SAEs at four hooks, of which two read the same stream."""
    torch.manual_seed(0)
    streams = model.residuals(torch.randint(2, 32, (40, 20)), HOOKS)
    root = tmp_path_factory.mktemp("saes")
    saes = [
        load_sae(
            str(tiny.sae(root / f"s{k}", hook=hook, stream=streams[hook][:, 1:].reshape(-1, 32))),
            device="cpu",
        )
        for k, hook in enumerate(HOOKS)
    ]
    return Engine(model, saes, batch_tokens=64)


@pytest.fixture(scope="module")
def prepared(engine):
    return engine.prepare(PROMPTS, reads=[range(len(prompt)) for prompt in PROMPTS])


def run(engine, prepared, jobs, **options):
    """Logits by job, and which jobs were changed."""
    found, changed = {}, set()
    for outcome in engine.run(prepared, jobs, **options):
        sizes = [len(prepared.reads[jobs[job][0]]) for job in outcome.jobs]
        parts = torch.split(outcome.logits, sizes)
        found.update(zip(outcome.jobs, parts, strict=True))
        changed |= set(outcome.jobs) if outcome.changed else set()
        assert torch.equal(
            outcome.clean,
            torch.cat([torch.tensor(prepared.rows_read(jobs[j][0])) for j in outcome.jobs]),
        )
    assert sorted(found) == list(range(len(jobs)))
    return found, changed


def firing(engine, prepared, sae, number=2):
    """Features that fire in most prompts, most often first."""
    key = list(engine.saes)[sae]
    counts = (prepared.codes[key].values > 0).sum(axis=0)
    return [
        FeatureRef(key, int(index), maximum=3.0, mean=0.7)
        for index in counts.argsort()[::-1][:number]
    ]


def refs(engine, prepared, saes, number=2):
    return tuple(f for sae in saes for f in firing(engine, prepared, sae, number))


KINDS = [
    {"kind": "add", "strength": 1.5},
    {"kind": "add", "strength": -0.5, "unit": "global_max"},
    {"kind": "add", "strength": 2.0, "unit": "local_max"},
    {"kind": "add", "strength": 2.0, "normalise": "size"},
    {"kind": "add", "strength": 2.0, "normalise": "norm"},
    {"kind": "clamp", "strength": 2.0},
    {"kind": "clamp", "strength": 0.5, "unit": "global_max"},
    {"kind": "clamp", "strength": 3.0, "unit": "local_max"},
    {"kind": "scale", "strength": -2.0},
    {"kind": "ablate"},
    {"kind": "ablate", "mode": "mean"},
    {"kind": "project"},
    {"kind": "project", "strength": 0.4},
]
PLACES = [
    {"positions": "all"}, {"positions": "all", "bos": True}, {"positions": "first"},
    {"positions": "last"}, {"positions": "firing"}, {"positions": "chosen", "chosen": (0, -1)},
]  # fmt: skip


def compare(engine, prepared, jobs):
    """Hold logits against whole passes; return how far each job moved them."""
    found, _ = run(engine, prepared, jobs)
    moved = []
    for number, (prompt, arm) in enumerate(jobs):
        expected = naive_followups.logits(engine.model, engine.saes, PROMPTS[prompt], arm)
        torch.testing.assert_close(
            found[number], expected, rtol=0, atol=1e-4, msg=lambda m, arm=arm: f"{m}\n{arm}"
        )
        plain = prepared.logits[list(prepared.rows_read(prompt))]
        moved.append((expected - plain).abs().max().item())
    return moved


@pytest.mark.parametrize("saes", [(0,), (2,), (3,), (1, 2), (0, 2, 3)], ids=str)
def test_every_kind_and_place_is_that_of_whole_passes(engine, prepared, saes):
    features = refs(engine, prepared, saes)
    arms = [
        (Intervention(features=features, **kind, **place),)
        for kind, place in product(KINDS, PLACES)
    ]
    # Every arm on one prompt, all of them in the same batches; a prompt of one token among them.
    moved = compare(engine, prepared, [(k % len(PROMPTS), arm) for k, arm in enumerate(arms)])
    assert sum(size > 1e-3 for size in moved) > 0.8 * len(arms)


def test_arms_of_several_hooks_are_nested(engine, prepared):
    """A clamp below reaches the activations that a scale and an ablation above act on."""
    low, middle, high = (firing(engine, prepared, sae) for sae in (0, 1, 3))
    arms = [
        (Intervention("clamp", tuple(low), 2.0), Intervention("scale", tuple(middle), -1.0),
         Intervention("ablate", tuple(high), positions="firing")),
        (Intervention("ablate", tuple(high)),
         Intervention("add", (low[0],), 2.0, positions="last")),
        (Intervention("project", (low[0],)), Intervention("project", (low[1],), 0.5)),
    ]  # fmt: skip
    assert min(compare(engine, prepared, [(0, arm) for arm in arms])) > 1e-3


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_arms_together_are_those_of_whole_passes(engine, prepared, data):
    keys = list(engine.saes)
    feature = st.builds(
        FeatureRef, st.sampled_from(keys), st.integers(0, 63), st.just(2.0), st.just(0.3),
        st.sampled_from([1.0, -0.5]),
    )  # fmt: skip
    one = st.tuples(
        st.sampled_from(KINDS), st.sampled_from(PLACES),
        st.lists(feature, min_size=1, max_size=4, unique_by=lambda f: f.key),
    ).map(lambda x: Intervention(features=tuple(x[2]), **x[0], **x[1]))  # fmt: skip
    arm = st.lists(one, min_size=1, max_size=3).map(tuple)
    jobs = data.draw(st.lists(st.tuples(st.integers(0, len(PROMPTS) - 1), arm), max_size=6))
    jobs = [
        (prompt, arm) for prompt, arm in jobs
        if len({f.key for what in arm for f in what.features}) == sum(len(w.features) for w in arm)
    ]  # fmt: skip
    compare(engine, prepared, jobs)


def test_strength_zero_changes_nothing(engine, prepared):
    features = refs(engine, prepared, (0, 2))
    plain = prepared.logits
    jobs = [
        (prompt, (Intervention(features=features, **kind, **place).neutral(),))
        for kind, place in product(KINDS, PLACES)
        for prompt in range(len(PROMPTS))
    ]
    quick, changed = run(engine, prepared, jobs)
    assert changed == set()
    forced, changed = run(engine, prepared, jobs, force=True)
    assert len(changed) == len(jobs)
    for number, (prompt, _) in enumerate(jobs):
        expected = plain[list(prepared.rows_read(prompt))]
        assert torch.equal(quick[number], expected)
        torch.testing.assert_close(forced[number], expected, rtol=0, atol=1e-4)


def test_a_clamp_is_the_addition_of_what_is_missing(engine, prepared):
    for feature in refs(engine, prepared, range(4)):
        for prompt in range(len(PROMPTS)):
            acts = prepared.codes[feature.sae].of_features([feature.index])[prompt, :, 0]
            last = int(prepared.lengths[prompt]) - 1
            missing = 5.0 - float(acts[last])
            pair = [
                (prompt, (Intervention("clamp", (feature,), 5.0, positions="last"),)),
                (prompt, (Intervention("add", (feature,), missing, positions="last"),)),
            ]
            found, _ = run(engine, prepared, pair)
            torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-5)
            sae = engine.saes[feature.sae]

            def push(x, sae=sae, missing=missing, last=last, index=feature.index):
                x = x.clone()
                x[0, last] += missing * sae.sae.W_dec[index]
                return x

            tokens = torch.tensor([PROMPTS[prompt]])
            by_hand = engine.model.logits(tokens, hook=sae.hook.name, edit=push)[0]
            torch.testing.assert_close(found[0], by_hand, rtol=0, atol=1e-4)


def test_ablating_what_does_not_fire_changes_nothing(engine, prepared):
    key = list(engine.saes)[1]
    acts = prepared.codes[key]
    prompt, silent = next(
        (p, i) for p in range(len(PROMPTS)) for i in range(64)
        if not acts.of_features([i])[p, 1 : prepared.lengths[p]].any()
    )  # fmt: skip
    feature = FeatureRef(key, silent, maximum=4.0)
    jobs = [
        (prompt, (Intervention("ablate", (feature,)),)),
        (prompt, (Intervention("scale", (feature,), 9.0),)),
        (prompt, (Intervention("add", (feature,), 2.0, "local_max"),)),
        (prompt, (Intervention("add", (feature,), 2.0, positions="firing"),)),
        (prompt, (Intervention("add", (feature,), 2.0),)),
    ]
    found, changed = run(engine, prepared, jobs)
    assert changed == {4}
    plain = prepared.logits[list(prepared.rows_read(prompt))]
    assert all(torch.equal(found[job], plain) for job in range(4))
    forced, _ = run(engine, prepared, jobs[:1], force=True)
    torch.testing.assert_close(forced[0], plain, rtol=0, atol=1e-4)


def test_resampled_activations_are_those_of_other_prompts_and_of_the_seed(engine, prepared):
    features = refs(engine, prepared, (0,), 3)
    what = Intervention("ablate", features, mode="resample", seed=4)
    found, _ = run(engine, prepared, [(p, (what,)) for p in range(len(PROMPTS))])
    again, _ = run(engine, prepared, [(2, (what,))])
    torch.testing.assert_close(again[0], found[2], rtol=0, atol=1e-4)
    other, _ = run(engine, prepared, [(2, (Intervention("ablate", features, mode="resample"),))])
    assert (other[0] - found[2]).abs().max() > 1e-3
    codes = prepared.codes[features[0].sae]
    change = resolve(what, features[0].sae, prompt=2, lengths=prepared.lengths, codes=codes)
    for place, feature in enumerate(features):
        acts = codes.of_features([feature.index])[..., 0]
        others = {float(acts[p, t]) for p in (0, 1, 3, 4) for t in range(1, len(PROMPTS[p]))}
        assert set(change.drawn[:, place].tolist()) <= others
    drawn = {f.key: change.drawn[:, k] for k, f in enumerate(features)}
    expected = naive_followups.logits(
        engine.model, engine.saes, PROMPTS[2], (what,), resampled=drawn
    )
    torch.testing.assert_close(found[2], expected, rtol=0, atol=1e-4)
    alone = engine.prepare(PROMPTS[:1])
    with pytest.raises(UsageError, match="no other prompt"):
        run(engine, alone, [(0, (what,))])


def test_what_cannot_run_is_refused(engine, prepared):
    with pytest.raises(UsageError, match="no prompt"):
        engine.prepare([])
    with pytest.raises(UsageError, match="Prompt 1 has 1 tokens"):
        engine.prepare([[0, 3], [0]])
    with pytest.raises(
        UsageError, match="Prompt 0 has 200 tokens with BOS; the model reads from 2 to 128"
    ):
        engine.prepare([[0] * 200])
    key = next(iter(engine.saes))
    for feature, message in [
        (FeatureRef("other/blocks.0.hook_resid_pre/s0", 1), "of an SAE that is not loaded"),
        (FeatureRef(key, 64), "has 64 features; no 64"),
    ]:
        with pytest.raises(NotFoundError, match=message):
            run(engine, prepared, [(0, (Intervention("ablate", (feature,)),))])
    far = Intervention("ablate", (FeatureRef(key, 1),), positions="chosen", chosen=(3,))
    with pytest.raises(UsageError, match="Prompt 1 has 3 tokens; it has no position 3"):
        run(engine, prepared, [(1, (far,))])


def test_an_sae_of_another_width_is_refused(engine, tmp_path):
    with pytest.raises(ModelError, match="reads 16 dimensions, the model has 32"):
        Engine(engine.model, [load_sae(str(tiny.sae(tmp_path / "wide", d_in=16)), device="cpu")])


@pytest.mark.parametrize("depth", range(5))
@pytest.mark.parametrize("start", [0, 1, 3])
def test_a_resumed_pass_ends_as_the_whole_one(model, depth, start):
    rows = torch.tensor([2, 0, 3, 2])
    reads = [[len(prompt) - 1] for prompt in PROMPTS]
    clean, logits = clean_pass(model, PROMPTS, depths=[depth], reads=reads, batch_tokens=24)
    expected = torch.stack([model.logits(torch.tensor([prompt]))[0, -1] for prompt in PROMPTS])
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-4)
    resumed = resumed_pass(
        model, clean, rows, stream=clean.streams[depth][rows, start:], depth=depth, start=start,
        at=[(row, len(PROMPTS[prompt]) - 1) for row, prompt in enumerate(rows.tolist())],
    )  # fmt: skip
    torch.testing.assert_close(resumed, expected[rows], rtol=0, atol=1e-4)
    # The model is left as it was.
    plain = model.logits(torch.tensor([PROMPTS[2]]))[0, -1]
    torch.testing.assert_close(plain, expected[2], rtol=0, atol=1e-5)
    assert not any("forward" in block.__dict__ for block in model.blocks)


@pytest.mark.parametrize(("saes", "spared"), [((0,), True), ((1, 2), True), ((0, 3), False)])
def test_last_tokens_alone_spare_the_last_block_most_of_its_mlp(engine, saes, spared):
    """Not where an SAE reads what the last block gives."""
    prepared = engine.prepare(PROMPTS)
    arms = [
        (Intervention(features=refs(engine, prepared, saes), **kind, **place),)
        for kind, place in product(KINDS, ({"positions": "all"}, {"positions": "firing"}))
    ]
    jobs = [(k % 4, arm) for k, arm in enumerate(arms)]
    seen = []
    part = next(iter(engine.model.blocks[-1].mlp.children()))
    handle = part.register_forward_pre_hook(lambda _m, args: seen.append(args[0].shape[:2]))
    try:
        found, changed = run(engine, prepared, jobs)
    finally:
        handle.remove()
    for number, (prompt, arm) in enumerate(jobs):
        whole = naive_followups.logits(engine.model, engine.saes, PROMPTS[prompt], arm)
        torch.testing.assert_close(found[number], whole[-1:], rtol=0, atol=1e-4)
    assert len(changed) > len(jobs) / 2
    assert (sum(rows * places for rows, places in seen) == len(changed)) == spared


def test_an_mlp_works_at_some_positions_or_at_all(model):
    block, x = model.blocks[-1], torch.randn(3, 7, 32, generator=torch.Generator().manual_seed(0))
    whole = block.mlp(x)
    row, place = torch.tensor([[0, 5], [2, 1], [2, 6]]).T
    with torch.inference_mode(), only_at(block, row, place):
        some = block.mlp(x)
    torch.testing.assert_close(some[row, place], whole[row, place])
    some = some.clone()
    some[row, place] = 0
    assert not some.any()
    with torch.inference_mode(), only_at(block, torch.arange(11) % 3, torch.arange(11) % 7):
        assert torch.equal(block.mlp(x), whole)
    assert "forward" not in block.mlp.__dict__


def test_onednn_multiplies_as_linear_layers_do():
    class Other(torch.nn.Linear):
        pass

    torch.manual_seed(0)
    kinds = [
        torch.nn.Linear(48, 40), torch.nn.Linear(48, 40, bias=False),
        torch.nn.Linear(48, 40).bfloat16(), Other(48, 40),
    ]  # fmt: skip
    block = torch.nn.ModuleList(kinds)
    x = torch.randn(5, 48, 6).transpose(1, 2)
    with torch.inference_mode():
        plain = [linear(x.to(linear.weight.dtype)) for linear in block]
        with onednn_linears([block]):
            replaced = ["forward" in linear.__dict__ for linear in block]
            found = [linear(x.to(linear.weight.dtype)) for linear in block]
    able = hasattr(torch.ops.mkldnn, "_linear_pointwise")
    assert replaced == [able, able, False, False]
    for one, other in zip(found, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)
    assert not any("forward" in linear.__dict__ for linear in block)


@settings(max_examples=50, deadline=None)
@given(
    shapes=st.lists(
        st.tuples(st.integers(1, 200), st.integers(0, 199), st.integers(0, 2), st.integers(1, 300)),
        max_size=60,
    ),
    batch_tokens=st.integers(1, 600),
)
def test_batches_hold_every_row_once_and_keep_their_limits(shapes, batch_tokens):
    rows = [
        Row(job, 0, length, depth, min(start, length - 1), {}, reads=min(reads, length))
        for job, (length, start, depth, reads) in enumerate(shapes)
    ]
    batches = list(packed(rows, batch_tokens))
    assert sorted(row.job for batch in batches for row in batch) == list(range(len(rows)))
    for batch in batches:
        start, end = min(row.start for row in batch), max(row.length for row in batch)
        size, used = len(batch) * (end - start), sum(row.length - row.start for row in batch)
        assert len({row.depth for row in batch}) == 1
        assert len(batch) <= ENOUGH or size <= WASTE * used
        if len(batch) > 1:
            assert size <= batch_tokens
            assert len(batch) * end <= KEPT * batch_tokens
            assert sum(row.reads for row in batch) <= READS
    alike = [Row(job, 0, 20, 1, 1, {}) for job in range(90)]
    assert [len(batch) for batch in packed(alike, 19 * 40)] == [40, 40, 10]
    late = [Row(job, 0, 20, 1, 19, {}) for job in range(90)]
    assert [len(batch) for batch in packed(late, 100)] == [40, 40, 10]


def test_directions_are_not_lost_in_a_large_bias_of_the_decoder(tmp_path):
    sae = load_sae(str(tiny.sae(tmp_path / "sae")), device="cpu")
    sae.sae.b_dec.data[3] = 3000.0
    expected = sae.sae.W_dec.detach()
    found = directions(sae, range(64))
    torch.testing.assert_close(found, expected, rtol=0, atol=3e-7)


def test_a_sweep_is_that_of_plain_loops(engine, prepared):
    prompts = [
        TaskPrompt(f"p{k}", tuple(prompt), target=5 + k, foils=(2, 3, 4)[: 1 + k % 3])
        for k, prompt in enumerate(PROMPTS)
    ]
    one, two = firing(engine, prepared, 2)
    sets = {
        "one": Intervention("add", (one,)),
        "both": Intervention("add", (one, two), unit="global_max", normalise="size"),
        "where it fires": Intervention("scale", (two,), positions="firing"),
    }
    strengths = [-2.0, 0.0, 1.5]
    table = sweep(engine, prompts, sets=sets, strengths=strengths, metrics=METRICS)
    rows = table.to_pylist()
    assert len(rows) == 3 * 3 * len(PROMPTS) * len(METRICS)
    number = 0
    for (name, what), strength, prompt in product(sets.items(), strengths, prompts):
        tokens = list(prompt.tokens)
        steered = naive_followups.logits(
            engine.model, engine.saes, tokens, (replace(what, strength=strength),)
        )
        plain = engine.model.logits(torch.tensor([tokens]))[0]
        for metric in METRICS:
            row = rows[number]
            number += 1
            found = (row["set"], row["strength"], row["prompt"], row["metric"])
            assert found == (name, strength, prompt.id, metric)
            after, before = (by_hand(x, plain, prompt, metric) for x in (steered, plain))
            assert row["value"] == pytest.approx(after, abs=1e-3, rel=1e-3), row
            assert row["baseline"] == pytest.approx(before, abs=1e-3, rel=1e-3), row
            assert row["change"] == row["value"] - row["baseline"]
            assert row["target"] == (None if metric in WITHOUT_TARGET else prompt.target)
        same = (steered - plain).abs().max() < 1e-4
        assert row["flag"] == ("unchanged" if same else None)
    assert any(abs(row["change"]) > 0.1 for row in rows)


def by_hand(logits, plain, prompt, metric):
    last = logits[-1].double().numpy()
    p = np.exp(last - last.max()) / np.exp(last - last.max()).sum()
    q = np.exp(plain[-1].double().numpy())
    q /= q.sum()
    ten = np.sort(last)[-10:]
    ten = np.exp(ten) / np.exp(ten).sum()
    follow = [
        torch.log_softmax(x.double(), 0)[t] for x, t in zip(logits, prompt.tokens[1:], strict=False)
    ]
    return {
        "rank": 1 + sorted(last, reverse=True).index(last[prompt.target]),
        "logit": last[prompt.target],
        "probability": p[prompt.target],
        "logit_diff": last[prompt.target] - np.mean([last[f] for f in prompt.foils]),
        "entropy_top10": -(ten * np.log(ten)).sum(),
        "kl": (q * np.log(q / p)).sum(),
        "perplexity": float(np.exp(-np.mean(follow))),
    }[metric]


def test_logits_that_are_not_finite_are_flagged(engine, prepared):
    prompts = [TaskPrompt("a", tuple(PROMPTS[0]), 5), TaskPrompt("b", tuple(PROMPTS[1]), 6)]
    sets = {"x": Intervention("add", (firing(engine, prepared, 2)[0],), positions="last")}
    rows = sweep(
        engine, prompts, sets=sets, strengths=[1.0, 1e39], metrics=["kl", "logit"]
    ).to_pylist()
    assert [row["flag"] for row in rows] == [None] * 4 + ["not_finite"] * 4
    assert all(np.isnan(row["value"]) for row in rows[4:])
    assert all(np.isfinite(row["value"]) for row in rows[:4])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"metrics": ["size"]}, "no metric 'size'"),
        ({"metrics": []}, "no metric to measure"),
        ({"metrics": ["logit_diff"]}, "Prompt a has no foil"),
        ({"strengths": []}, "nothing to steer with"),
        ({"sets": {}}, "nothing to steer with"),
        ({"prompts": []}, "no prompt"),
        ({"prompts": [TaskPrompt("a", (0, 3))]}, "Prompt a has no target"),
        ({"prompts": [TaskPrompt("a", (0, 3), 4)] * 2}, "the same id"),
    ],
)
def test_sweeps_that_cannot_be_are_refused(engine, changed, message):
    what = Intervention("add", (FeatureRef(next(iter(engine.saes)), 1),))
    values = {"prompts": [TaskPrompt("a", (0, 3), 4)], "sets": {"x": what}, "strengths": [1.0]}
    values = {**values, **changed}
    with pytest.raises(UsageError, match=message):
        sweep(engine, values.pop("prompts"), **values)
