"""Patching between prompts on tiny models, held against whole passes with nested hooks."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atlas.errors import CorpusError, NotFoundError, UsageError
from atlas.hooks import HookPoint, editing
from atlas.lm import LanguageModel
from atlas.saes import load_sae
from queries.followups.evidence import open_evidence, save_evidence
from queries.followups.lab import Lab, PromptText
from queries.followups.metrics import MEASURES
from queries.followups.patching import patch as patching
from queries.followups.patching.pairs import pair_prompts, targets
from queries.followups.patching.patch import PatchingRequest, PatchSet
from queries.followups.patching.patcher import Patcher
from queries.followups.patching.patches import Part, Patch, PatchJob
from tests import tiny

pytestmark = pytest.mark.lm

HOOKS = (
    "blocks.0.hook_resid_post", "blocks.2.hook_resid_pre", "blocks.2.hook_resid_pre",
    "blocks.3.hook_resid_post",
)  # fmt: skip
CLEAN = ("the heart pumps blood", "doctor has pain and fever", "the band plays music", "the law")
CORRUPT = ("the judge pumps law", "doctor has trial and fever", "the team plays music", "a law")
PROMPTS = tuple(
    PromptText(id=f"p{k}", prompt=text, answer=f" {answer}", foils=(" ball", " court"))
    for k, (text, answer) in enumerate(
        zip(CLEAN, ("body", "patient", "song", "guilty"), strict=True)
    )
)


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def lab(request, tmp_path_factory):
    """SAEs at three hooks, of which one has two, and one of these normalises."""
    root = tmp_path_factory.mktemp(request.param)
    folder = tiny.model(root / "model", family=request.param)
    model = LanguageModel.load(str(folder), device="cpu", dtype=torch.float32)
    torch.manual_seed(0)
    streams = model.residuals(torch.randint(2, 32, (40, 20)), HOOKS)
    saes = []
    for k, hook in enumerate(HOOKS):
        stream = streams[hook][:, 1:].reshape(-1, 32)
        folder = tiny.sae(root / f"s{k}", hook=hook, stream=stream)
        if k == 2:
            config = json.loads((folder / "cfg.json").read_text())
            config["normalize_activations"] = "layer_norm"
            (folder / "cfg.json").write_text(json.dumps(config))
        saes.append(load_sae(str(folder), device="cpu"))
    return Lab.of(model, saes, batch_tokens=64)


@pytest.fixture(scope="module")
def pairs(lab):
    return pair_prompts(lab, PROMPTS, CORRUPT)


@pytest.fixture(scope="module")
def patcher(lab, pairs):
    return Patcher(lab.engine, lab.engine.prepare([p.tokens for p in pairs.prompts]))


def whole(lab, base, source, patch):
    """Logits of every position by one whole pass with a hook for each depth."""
    tokens = [0] * len(base) if source is None else list(source)
    there = lab.model.residuals(torch.tensor([tokens]), HOOKS)
    places = list(range(len(base) - 1))
    chosen = {"all": places, "first": [0], "last": [-1]}.get(patch.positions, patch.chosen)
    at = [1 + places[place] for place in chosen]
    by_hook = {}
    for part in patch.parts:
        by_hook.setdefault(lab.saes[part.sae].hook.name, []).append(part)
    handles = []
    for hook, parts in by_hook.items():

        @torch.no_grad()
        def edit(x, parts=parts, hook=hook):
            y, after = there[hook], x.clone()
            for part in parts:
                sae = lab.saes[part.sae].sae
                if part.what == "stream":
                    after[:, at] = y[:, at]
                    continue
                a_there = sae.encode(y)
                e_there = y - sae.decode(a_there)  # an SAE that normalises decodes once
                if source is None:
                    a_there, e_there = torch.zeros_like(a_there), torch.zeros_like(y)
                before = sae.decode(sae.encode(x))
                a = sae.encode(x)
                if part.what == "error":
                    after[:, at] += (e_there - (x - before))[:, at]
                    continue
                new = a.clone()
                index = list(range(sae.cfg.d_sae)) if part.index is None else list(part.index)
                for t in at:
                    new[:, t, index] = a_there[:, t, index]
                after += sae.decode(new) - before
            return after

        handles.append(editing(lab.model.blocks, HookPoint.parse(hook), edit))
    try:
        return lab.model.hf_model(torch.tensor([list(base)]), use_cache=False).logits[0].detach()
    finally:
        for handle in handles:
            handle.remove()


def run(patcher, jobs):
    found, changed = {}, set()
    for outcome in patcher.run(jobs):
        found.update(zip(outcome.jobs, outcome.logits, strict=True))
        changed |= set(outcome.jobs) if outcome.changed else set()
    assert sorted(found) == list(range(len(jobs)))
    return found, changed


def compare(lab, patcher, pairs, jobs):
    """Hold logits against whole passes; return how far each job moved them."""
    found, _ = run(patcher, jobs)
    moved = []
    for number, job in enumerate(jobs):
        base = pairs.prompts[job.base].tokens
        source = None if job.source is None else pairs.prompts[job.source].tokens
        expected = whole(lab, base, source, job.patch)[-1]
        torch.testing.assert_close(found[number], expected, rtol=0, atol=2e-4)
        plain = lab.model.logits(torch.tensor([base]))[0, -1]
        moved.append((expected - plain).abs().max().item())
    return moved


def activations(patcher, sae):
    """Activations ``[8, positions, 64]`` of clean and corrupt prompts, 0 at BOS and padding."""
    acts = patcher.prepared.codes[sae].values.toarray().reshape(8, -1, 64)
    for row, length in enumerate(patcher.prepared.lengths):
        acts[row, 0] = acts[row, length:] = 0
    return acts


def differing(patcher, sae, pair, number=4):
    """Features that differ most in a pair."""
    acts = activations(patcher, sae)
    size = np.abs(acts[pair] - acts[pair + 4]).sum(axis=0)
    return tuple(int(k) for k in size.argsort()[::-1][:number] if size[k] > 0)


PLACES = [{}, {"positions": "last"}, {"positions": "first"},
          {"positions": "chosen", "chosen": (1, -1)}]  # fmt: skip


@pytest.mark.parametrize("sae", range(4))
def test_every_part_and_place_is_that_of_whole_passes(lab, patcher, pairs, sae):
    key = list(lab.saes)[sae]
    jobs = []
    for pair in range(4):
        place = PLACES[(pair + sae) % 4]
        parts = [Part(key, what) for what in ("features", "error", "stream")]
        parts += [Part(key, "features", (k,)) for k in differing(patcher, key, pair, 2)]
        jobs += [
            PatchJob(*ends, Patch((part,), **place))
            for part in parts
            for ends in ((pair, 4 + pair), (4 + pair, pair), (pair, None))
            if part.what != "stream" or ends[1] is not None
        ]
    moved = compare(lab, patcher, pairs, jobs)
    assert np.mean(np.array(moved) > 1e-3) > 0.5


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_patches_together_are_those_of_whole_passes(lab, patcher, pairs, data):
    keys = list(lab.saes)
    jobs = []
    for _ in range(data.draw(st.integers(1, 6))):
        pair, back = data.draw(st.integers(0, 3)), data.draw(st.booleans())
        parts = []
        for sae in data.draw(st.lists(st.sampled_from(keys), min_size=1, max_size=4, unique=True)):
            index = data.draw(st.lists(st.integers(0, 63), min_size=1, max_size=30, unique=True))
            some = [Part(sae, "features", tuple(index)), Part(sae, "features"), Part(sae, "error")]
            parts.append(data.draw(st.sampled_from(some)))
        ends = (pair + 4, pair) if back else (pair, pair + 4)
        jobs.append(PatchJob(*ends, Patch(tuple(parts), **data.draw(st.sampled_from(PLACES)))))
    compare(lab, patcher, pairs, jobs)


@pytest.mark.parametrize("sae", [0, 1, 3])
def test_features_and_error_together_are_the_stream(lab, patcher, pairs, sae):
    """The listed features that differ, with the error, leave nothing out; nor does a depth."""
    key = list(lab.saes)[sae]
    for pair in range(4):
        listed = Part(key, "features", differing(patcher, key, pair, 64))
        patches = [
            Patch((Part(key, "stream"),)),
            Patch((Part(key, "features"), Part(key, "error"))),
            Patch((listed, Part(key, "error"))),
        ]
        found, changed = run(patcher, [PatchJob(4 + pair, pair, patch) for patch in patches])
        assert changed == {0, 1, 2}
        clean = lab.model.logits(torch.tensor([pairs.clean[pair].tokens]))[0, -1]
        for logits in found.values():
            torch.testing.assert_close(logits, clean, rtol=0, atol=2e-4)


def test_what_does_not_differ_changes_nothing(lab, patcher, pairs):
    key = list(lab.saes)[1]
    acts = activations(patcher, key)
    alike = int(np.flatnonzero((acts[0] == acts[4]).all(axis=0))[0])
    jobs = [
        PatchJob(0, 4, Patch((Part(key, "features", (alike,)),))),
        # The first token after BOS is the same in this pair, and so is all there.
        PatchJob(0, 4, Patch((Part(key, "stream"),), "first")),
        PatchJob(2, 2, Patch((Part(key, "stream"),))),
        PatchJob(0, 4, Patch((Part(key, "stream"),))),
    ]
    found, changed = run(patcher, jobs)
    assert changed == {3}
    for number in range(3):
        expected = lab.model.logits(torch.tensor([pairs.prompts[jobs[number].base].tokens]))[0, -1]
        torch.testing.assert_close(found[number], expected, rtol=0, atol=1e-4)


def request(lab, **values):
    key = list(lab.saes)[1]
    features = tuple(f"{key}/{k}" for k in range(64))
    sets = (
        PatchSet(name="all and error", features=features, errors=(key,)),
        PatchSet(name="two hooks", features=(f"{next(iter(lab.saes))}/3", *features[:9])),
    )
    given = {
        "prompts": PROMPTS, "corrupt": CORRUPT, "metrics": tuple(MEASURES), "each": 3,
        "sets": sets, "by_position": ("stream", "features"),
    }  # fmt: skip
    return PatchingRequest(**{**given, **values})


@pytest.mark.parametrize("direction", ["denoise", "noise"])
def test_the_tables_are_those_of_plain_loops(lab, pairs, direction, tmp_path):
    found = patching.run(lab, request(lab, direction=direction))
    interventions = found.tables["interventions"].to_pylist()
    assert {row["kind"] for row in interventions} == {"patch"}
    rows = found.tables["patches"].to_pylist()
    device = torch.device("cpu")
    for row in rows[:: max(1, len(rows) // 60)]:
        what = json.loads(interventions[row["intervention"] - 1]["parameters"])
        assert what["direction"] == direction
        parts = tuple(
            Part(p["sae"], p["what"], None if p["index"] is None else tuple(p["index"]))
            for p in what["parts"]
        )
        pair = int(row["prompt"][1:])
        clean, corrupt = (some[pair].tokens for some in (pairs.clean, pairs.corrupt))
        base, source = (corrupt, clean) if direction == "denoise" else (clean, corrupt)
        patch = Patch(parts, what["positions"], tuple(what["chosen"]))
        plain = [lab.model.logits(torch.tensor([t]))[0, -1:] for t in (clean, corrupt)]
        after = whole(lab, base, source, patch)[-1:]
        of = targets([pairs.clean[pair]], device)
        values = [float(MEASURES[row["metric"]](x, plain[0], of)) for x in (*plain, after)]
        if row["metric"] == "rank":  # near ties may turn
            assert abs(row["patched"] - values[2]) <= 1
            continue
        assert [row[name] for name in ("clean", "corrupt", "patched")] == pytest.approx(
            values, abs=1e-3, rel=1e-3
        )
        start = 1 if direction == "denoise" else 0
        whole_way = values[1 - start] - values[start]
        if row["share"] is not None and abs(whole_way) > 0.05:
            share = (values[2] - values[start]) / whole_way
            assert row["share"] == pytest.approx(share, abs=2e-2)
    stored = open_evidence(save_evidence(found, tmp_path))
    assert stored.tables["patch_summary"].equals(found.tables["patch_summary"])
    again = patching.run(lab, request(lab, direction=direction))
    assert again.id == found.id
    assert again.tables["patches"].equals(found.tables["patches"])


@pytest.mark.parametrize("direction", ["denoise", "noise"])
def test_the_whole_stream_is_the_whole_share(lab, direction):
    found = patching.run(lab, request(lab, direction=direction, metrics=("logit", "logit_diff")))
    summary = found.tables["patch_summary"].to_pylist()
    normalised = list(lab.saes)[2]
    for row in summary:
        ceiling = row["what"] == "stream" and row["position"] is None
        if ceiling or row["name"] == "all and error":
            assert row["share"] == pytest.approx(1, abs=1e-3)
            assert row["share_low"] == pytest.approx(1, abs=1e-2)
            assert row["flag"] is None
            assert row["prompts"] == 4
    # Values and baselines of the graph's effects are the same means.
    effects = found.tables["effects"].to_pylist()
    for row in summary:
        one, share = (
            next(
                e for e in effects
                if e["intervention"] == row["intervention"] and e["metric"] == metric
            )
            for metric in (row["metric"], f"{row['metric']}_share")
        )  # fmt: skip
        base = row["corrupt" if direction == "denoise" else "clean"]
        assert one["value"] == row["patched"]
        assert one["baseline"] == base
        assert one["change"] == pytest.approx(row["patched"] - base, abs=1e-9)
        assert one["low"] <= one["change"] <= one["high"]
        assert share["value"] == row["share"]
    assert any(row["sae"] == normalised and row["what"] == "feature" for row in summary)
    on = found.tables["on"].to_pylist()
    named = next(r["intervention"] for r in summary if r["name"] == "all and error")
    assert sum(row["intervention"] == named for row in on) == 64


def test_the_estimate_is_the_slope_of_a_patch(lab, pairs, patcher):
    """At the last hook's last position a small step of the patch moves the metric as estimated."""
    key = list(lab.saes)[3]
    found = patching.run(lab, request(lab, saes=(key,), parts=(), sets=(), by_position=(),
                                      each=None, metrics=("logit_diff",)))  # fmt: skip
    rows = found.tables["patch_summary"].to_pylist()
    sizes = [abs(row["estimate"]) for row in rows]
    assert sizes == sorted(sizes, reverse=True)
    acts = activations(patcher, key)
    every = {f"{key}/{k}" for k in np.flatnonzero((acts[:4] != acts[4:]).any(axis=(0, 1)))}
    assert {row["feature"] for row in rows} == every
    sae, step = lab.saes[key], 1e-2
    of = targets(pairs.clean, torch.device("cpu"))
    for row in rows[:5]:
        index, change = int(row["feature"].rpartition("/")[2]), []
        for pair, prompt in enumerate(pairs.corrupt):
            moved = torch.tensor(acts[pair] - acts[4 + pair])[: len(prompt.tokens), index]

            def push(x, moved=moved, index=index):
                return x + step * moved[:, None] * sae.sae.W_dec[index]

            tokens = torch.tensor([prompt.tokens])
            two = torch.stack(
                [
                    lab.model.logits(tokens, hook=sae.hook.name, edit=edit)[0, -1].double()
                    for edit in (push, lambda x: x)
                ]
            )
            pairwise = targets([pairs.clean[pair]] * 2, torch.device("cpu"))
            values = MEASURES["logit_diff"](two, two, pairwise)
            change.append(float(values[0] - values[1]) / step)
        assert row["estimate"] == pytest.approx(np.mean(change), rel=0.05, abs=2e-3)
    assert of.answer.shape == (4,)


def test_selection_by_difference_takes_what_differs_most(lab, patcher):
    key = next(iter(lab.saes))
    found = patching.run(lab, request(lab, saes=(key,), parts=(), sets=(), by_position=(),
                                      each=5, select="difference", metrics=("kl",)))  # fmt: skip
    acts = activations(patcher, key)
    size = np.abs(acts[:4] - acts[4:]).sum(axis=(0, 1))
    names = [row["feature"] for row in found.tables["patch_summary"].to_pylist()]
    assert names == [f"{key}/{k}" for k in size.argsort()[::-1][:5]]


def test_positions_by_themselves(lab, pairs):
    key = next(iter(lab.saes))
    found = patching.run(lab, request(lab, saes=(key,), parts=(), sets=(), by_position=("stream",),
                                      each=0, metrics=("logit",)))  # fmt: skip
    rows = found.tables["patch_summary"].to_pylist()
    # The earliest difference is the second token of four, or the third of five.
    assert [row["position"] for row in rows] == [-3, -2, -1]
    # The shortest prompt has two tokens.
    assert [row["prompts"] for row in rows] == [3, 4, 4]
    flags = {
        (row["intervention"], row["prompt"]): row["flag"]
        for row in found.tables["patches"].to_pylist()
    }
    assert (1, "p3") not in flags
    assert set(flags.values()) == {None}
    # A pair that is the same twice has no difference at any position.
    late = request(
        lab, saes=(key,), parts=(), sets=(), by_position=("error",), each=0, metrics=("kl",),
        prompts=PROMPTS[1:], corrupt=(CLEAN[1], *CORRUPT[2:]),
    )  # fmt: skip
    flags = {
        (row["intervention"], row["prompt"]): row["flag"]
        for row in patching.run(lab, late).tables["patches"].to_pylist()
    }
    assert {flags[number, "p1"] for number in (1, 2, 3)} == {"no_difference"}


def test_pairs_that_do_not_differ_are_flagged(lab):
    same = request(lab, corrupt=(*CORRUPT[:3], CLEAN[3]), metrics=("logit",), by_position=())
    found = patching.run(lab, same)
    assert found.notes == ("1 of 4 pairs do not differ in a metric and have no share of it",)
    rows = found.tables["patches"].to_pylist()
    flagged = [row for row in rows if row["prompt"] == "p3"]
    assert {row["flag"] for row in flagged} == {"no_difference"}
    assert {row["share"] for row in flagged} == {None}
    assert all(row["share"] is not None for row in rows if row["prompt"] != "p3")
    alone = request(lab, prompts=PROMPTS[3:], corrupt=CLEAN[3:], metrics=("logit",), by_position=())
    summary = patching.run(lab, alone).tables["patch_summary"].to_pylist()
    assert {row["flag"] for row in summary} == {"unchanged"}
    assert {row["share"] for row in summary} == {None}
    assert {row["low"] for row in summary} == {None}


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        ({"corrupt": ("the judge", *CORRUPT[1:])}, UsageError, r"1 of 4 pairs .*p0: 4 and 2"),
        ({"corrupt": CORRUPT[:2]}, UsageError, "4 clean prompts and 2 corrupt"),
        ({"corrupt": ("", *CORRUPT[1:])}, CorpusError, r"p0 \(corrupt\)"),
        ({"metrics": ("perplexity",)}, UsageError, "perplexity is over all"),
        ({"metrics": ("size",)}, UsageError, "no metric 'size'"),
        ({"saes": ("other",)}, NotFoundError, "other is not loaded"),
        ({"sets": (PatchSet(name="x"),)}, UsageError, "The set x is empty"),
        ({"sets": (PatchSet(name="x", errors=("a/b/c",)),)}, NotFoundError, "a/b/c is not loaded"),
        ({"positions": "chosen", "chosen": (7,)}, UsageError, "has no position 7"),
        ({"positions": "chosen"}, UsageError, "listed exactly where"),
        ({"parts": (), "sets": (), "each": 0, "by_position": ()}, UsageError, "nothing to patch"),
        (
            {"prompts": tuple(PromptText(id=p.id, prompt=p.prompt) for p in PROMPTS),
             "metrics": ("kl",)},
            UsageError, "cannot be ranked by a gradient",
        ),
    ],
)  # fmt: skip
def test_requests_that_cannot_be_are_refused(lab, values, kind, message):
    with pytest.raises(kind, match=message):
        patching.run(lab, request(lab, **values))


def test_features_that_are_not_there_are_refused(lab, patcher):
    key = next(iter(lab.saes))
    with pytest.raises(NotFoundError, match="has 64 features; no 64"):
        run(patcher, [PatchJob(0, 4, Patch((Part(key, "features", (64,)),)))])
    with pytest.raises(UsageError, match="nothing else to"):
        run(patcher, [PatchJob(0, 4, Patch((Part(key, "stream"), Part(key, "error"))))])
    with pytest.raises(UsageError, match="not of the same length"):
        run(patcher, [PatchJob(0, 1, Patch((Part(key, "stream"),)))])
