"""Path patching and attention patterns on tiny models, held against whole passes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from atlas.errors import ModelError, NotFoundError, UsageError
from atlas.hooks import editing
from atlas.lm import LanguageModel
from atlas.saes import load_sae
from queries.followups.attention import attend as attention
from queries.followups.attention.attend import AttentionRequest, attention_weights
from queries.followups.lab import Lab, PromptText
from queries.followups.metrics import MEASURES
from queries.followups.patching.estimates import mean_of, share_of
from queries.followups.patching.pairs import targets
from queries.followups.patching.patch import PatchingRequest, PatchSet
from queries.followups.patching.patch import run as patch
from queries.followups.path_patching import patch_paths as path_patching
from queries.followups.path_patching.patch_paths import PathEdge, PathPatchingRequest
from tests import tiny

pytestmark = pytest.mark.lm

HOOKS = ("blocks.0.hook_resid_post", "blocks.2.hook_resid_pre", "blocks.3.hook_resid_post")
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
    root = tmp_path_factory.mktemp(request.param)
    folder = tiny.model(root / "model", family=request.param)
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
    return Lab.of(model, saes, batch_tokens=64)


@pytest.fixture(scope="module")
def acts(lab):
    """SAE's key to activations of clean and corrupt prompts, ``[8, positions, 64]``."""
    tokens = [p.tokens for p in lab.prompts(PROMPTS)[0]]
    tokens += [p.tokens for p in lab.prompts([PromptText(id=t, prompt=t) for t in CORRUPT])[0]]
    prepared = lab.engine.prepare(tokens)
    return {k: c.values.toarray().reshape(8, -1, 64) for k, c in prepared.codes.items()}


def logits(lab, tokens, edits):
    """Whole pass with hooks; returns all logits."""
    handles = [editing(lab.model.blocks, sae.hook, edit) for sae, edit in edits]
    try:
        return lab.model.hf_model(torch.tensor([tokens]), use_cache=False).logits[0].detach()
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def three_ways(lab, base, source, sender, receivers):
    """Logits at the last token, and the receivers' change, by whole passes and full decoders."""
    key, index = sender.rsplit("/", 1)
    shallow, index = lab.saes[key], int(index)
    deep = lab.saes[receivers[0].rpartition("/")[0]]
    some = [int(receiver.rpartition("/")[2]) for receiver in receivers]
    aim = torch.zeros(len(base))
    if source is not None:
        there = lab.model.residuals(torch.tensor([source]), [shallow.hook.name])
        aim = shallow.sae.encode(there[shallow.hook.name])[0, :, index]

    def change(x):
        a = shallow.sae.encode(x)
        new = a.clone()
        new[0, 1:, index] = aim[1:]
        return x + shallow.sae.decode(new) - shallow.sae.decode(a)

    seen = []
    see = (deep, lambda x: seen.append(x) or x)
    plain = logits(lab, base, [see])
    total = logits(lab, base, [(shallow, change), see])
    x, moved = seen
    a, b = (deep.sae.encode(stream) for stream in (x, moved))
    new, held = a.clone(), b.clone()
    new[..., some], held[..., some] = b[..., some], a[..., some]
    through = logits(lab, base, [(deep, lambda y: y + deep.sae.decode(new) - deep.sae.decode(a))])
    put = moved + deep.sae.decode(held) - deep.sae.decode(b)
    rest = logits(lab, base, [(deep, lambda _: put)])
    return [some_[-1:] for some_ in (plain, total, through, rest)], (b - a)[0][:, some].numpy()


def often(acts, key, number):
    counts = (acts[key][:4, 1:] > 0).sum(axis=(0, 1))
    return [f"{key}/{k}" for k in counts.argsort(kind="stable")[::-1][:number]]


def silent(acts, key):
    return f"{key}/{np.flatnonzero(~acts[key][:, 1:].any(axis=(0, 1)))[0]}"


def request(lab, acts, **values):
    low, middle, high = lab.saes
    edges = (
        PathEdge(sender=often(acts, low, 3)[0], receivers=tuple(often(acts, middle, 5))),
        PathEdge(sender=often(acts, low, 3)[1], receivers=tuple(often(acts, high, 3))),
        PathEdge(sender=often(acts, low, 3)[0], receivers=tuple(often(acts, middle, 1))),
        PathEdge(sender=often(acts, middle, 1)[0], receivers=tuple(often(acts, high, 2))),
    )
    return PathPatchingRequest(
        **{"prompts": PROMPTS, "edges": edges, "metrics": ("logit_diff", "kl"), **values}
    )


WAYS = [
    {},
    {"sender": "patch", "corrupt": CORRUPT},
    {"sender": "patch", "corrupt": CORRUPT, "direction": "noise"},
]


@pytest.mark.parametrize("values", WAYS, ids=["ablate", "denoise", "noise"])
def test_paths_are_those_of_whole_passes(lab, acts, values):
    asked = request(lab, acts, **values)
    found = path_patching.run(lab, asked)
    clean = [p.tokens for p in lab.prompts(PROMPTS)[0]]
    corrupt = [p.tokens for p in lab.prompts([PromptText(id=t, prompt=t) for t in CORRUPT])[0]]
    receivers = {
        (row["edge"], row["prompt"], row["receiver"]): row
        for row in found.tables["path_receivers"].to_pylist()
    }
    rows = found.tables["paths"].to_pylist()
    assert len(rows) == 4 * 4 * 2
    live, ways = 0, {}
    for row in rows:
        edge, pair = asked.edges[row["edge"] - 1], int(row["prompt"][1:])
        base, source = clean[pair], None
        if values:
            ends = (clean[pair], corrupt[pair])
            base, source = ends if values.get("direction") else ends[::-1]
        if (row["edge"], pair) not in ways:
            by_hand = three_ways(lab, list(base), source, edge.sender, edge.receivers)
            ways[row["edge"], pair] = by_hand
        parts, moved = ways[row["edge"], pair]
        of = targets([lab.prompts(PROMPTS)[0][pair]], torch.device("cpu"))
        reference = lab.model.logits(torch.tensor([clean[pair]]))[0, -1:]
        value = [float(MEASURES[row["metric"]](x, reference, of)) for x in parts]
        assert row["base"] == pytest.approx(value[0], abs=1e-3)
        if row["flag"] == "silent":
            assert row["total"] is None
            assert (parts[1] - parts[0]).abs().max() < 1e-4
            continue
        live += 1
        changes = [row[way] for way in ("total", "through", "rest")]
        assert changes == pytest.approx([v - value[0] for v in value[1:]], abs=2e-3)
        key, _, index = edge.sender.rpartition("/")
        both, differ = [acts[key][pair, : len(base), int(index)]], 1
        if values:
            both.append(acts[key][pair + 4, : len(base), int(index)])
            differ = next(k for k in range(len(base)) if clean[pair][k] != corrupt[pair][k])
        at = [t for t in range(differ, len(base)) if any(a[t] > 0 for a in both)]
        for k, receiver in enumerate(edge.receivers):
            told = receivers[row["edge"], row["prompt"], receiver]
            assert told["change"] == pytest.approx(moved[at, k].mean(), abs=1e-3)
            assert told["summed"] == pytest.approx(moved[:, k].sum(), abs=2e-3)
    assert live > 8


def test_evidence_of_paths(lab, acts):
    asked = request(lab, acts)
    found = path_patching.run(lab, asked)
    interventions = found.tables["interventions"].to_pylist()
    assert [row["kind"] for row in interventions] == ["ablate", "patch", "patch"] * 4
    assert [json.loads(row["parameters"])["path"] for row in interventions[:3]] == [
        "total", "through", "rest"
    ]  # fmt: skip
    on = found.tables["on"].to_pylist()
    for number, row in enumerate(interventions):
        edge = asked.edges[number // 3]
        named = [r["feature"] for r in on if r["intervention"] == row["number"]]
        assert named == (list(edge.receivers) if number % 3 == 1 else [edge.sender])
        assert row["features"] == len(named)
    paths = found.tables["paths"].to_pylist()
    for row in found.tables["path_summary"].to_pylist():
        some = [p for p in paths if p["edge"] == row["edge"] and p["metric"] == row["metric"]]
        total, through = (
            np.array([np.nan if p[way] is None else p[way] for p in some])
            for way in ("total", "through")
        )
        assert row["total"] == pytest.approx(np.nanmean(total))
        assert row["share"] == pytest.approx(np.nansum(through) / np.nansum(total))
        assert row["total_low"] <= row["total"] <= row["total_high"]
        effect = next(
            e for e in found.tables["effects"].to_pylist()
            if e["intervention"] == 3 * row["edge"] - 1 and e["metric"] == row["metric"]
        )  # fmt: skip
        assert effect["change"] == row["through"]
        assert effect["q"] == row["through_q"] >= effect["p"]
        assert effect["value"] == pytest.approx(effect["baseline"] + effect["change"])
    told = found.tables["path_receivers"].to_pylist()
    for row in found.tables["affects"].to_pylist():
        edge = (row["intervention"] + 2) // 3
        assert row["source"] == asked.edges[edge - 1].sender
        some = [r["change"] for r in told if r["edge"] == edge and r["receiver"] == row["target"]]
        assert row["change"] == pytest.approx(np.mean(some))
        assert row["prompts"] == len(some)
    # The total is the ablation's, as patching and sweeps know it.
    assert path_patching.run(lab, asked).tables == found.tables


def test_through_all_receivers_and_error_is_the_total(lab, acts):
    """With every feature of an SAE as receiver, what is left for the rest is its error's part."""
    low, middle, _ = lab.saes
    every = tuple(f"{middle}/{k}" for k in range(64))
    sender = often(acts, low, 1)[0]
    asked = request(lab, acts, edges=(PathEdge(sender=sender, receivers=every),),
                    sender="patch", corrupt=CORRUPT, metrics=("logit",))  # fmt: skip
    row = path_patching.run(lab, asked).tables["paths"].to_pylist()[0]
    both = PatchingRequest(
        prompts=PROMPTS, corrupt=CORRUPT, metrics=("logit",), parts=(), each=0,
        sets=(PatchSet(name="sender", features=(sender,)),),
    )  # fmt: skip
    total = patch(lab, both).tables["patches"].to_pylist()[0]
    assert row["total"] == pytest.approx(total["patched"] - total["corrupt"], abs=1e-4)


def test_a_silent_sender_is_said_to_be(lab, acts):
    low, middle, _ = lab.saes
    edge = PathEdge(sender=silent(acts, low), receivers=tuple(often(acts, middle, 2)))
    found = path_patching.run(lab, request(lab, acts, edges=(edge,)))
    assert found.notes == ("1 of 1 senders change in no prompt",)
    assert {row["flag"] for row in found.tables["paths"].to_pylist()} == {"silent"}
    assert {row["flag"] for row in found.tables["effects"].to_pylist()} == {"silent"}
    assert found.tables["affects"].num_rows == found.tables["path_receivers"].num_rows == 0


def test_paths_that_cannot_be_are_refused(lab, acts):
    low, middle, high = lab.saes
    one = f"{low}/1"
    for values, kind, message in [
        ({"edges": ()}, UsageError, "no path"),
        ({"edges": (PathEdge(sender=one, receivers=(f"{low}/2",)),)}, UsageError, "not deeper"),
        ({"edges": (PathEdge(sender=one, receivers=(f"{middle}/2", f"{high}/2")),)}, UsageError,
         "not different features of one SAE"),
        ({"edges": (PathEdge(sender=one, receivers=()),)}, UsageError, "not different features"),
        ({"edges": (PathEdge(sender=one, receivers=(f"{middle}/64",)),)}, NotFoundError, "no 64"),
        ({"edges": (PathEdge(sender=f"{low}/64", receivers=(f"{middle}/1",)),)}, NotFoundError,
         "no 64"),
        ({"corrupt": CORRUPT}, UsageError, "no corrupt prompts"),
        ({"sender": "patch"}, UsageError, "4 clean prompts and 0 corrupt"),
    ]:  # fmt: skip
        with pytest.raises(kind, match=message):
            path_patching.run(lab, request(lab, acts, **values))


def test_means_and_shares_over_prompts():
    from scipy import stats

    rng = np.random.default_rng(3)
    x = rng.normal(2, 0.2, 400)
    y = 0.6 * x + rng.normal(0, 0.3, 400)
    test = stats.ttest_1samp(y, 0)
    low, high = test.confidence_interval()
    found = mean_of(np.array([*y, np.nan]))
    assert (found.value, found.low, found.high, found.p, found.n) == pytest.approx(
        (y.mean(), low, high, test.pvalue, 400)
    )
    share = share_of(y, x)
    draws = rng.integers(400, size=(4000, 400))
    boot = y[draws].sum(axis=1) / x[draws].sum(axis=1)
    assert share.value == pytest.approx(y.sum() / x.sum())
    assert [share.low, share.high] == pytest.approx(np.quantile(boot, [0.025, 0.975]), abs=5e-3)
    assert mean_of(np.array([1.0])).low is None
    assert mean_of(np.zeros(3)).p == 1
    assert share_of(np.ones(2), np.zeros(2)).value is None


@pytest.mark.parametrize("layers", [(0, 1, 2, 3), (2,), (3, 1)])
def test_attention_is_the_models_own(lab, layers, tmp_path):
    from transformers import AutoModelForCausalLM

    tokens = list(lab.prompts(PROMPTS)[0][1].tokens)
    before = lab.model.hf_model.config._attn_implementation
    found = attention_weights(lab.model, tokens, layers=layers)
    assert lab.model.hf_model.config._attn_implementation == before
    lab.model.hf_model.save_pretrained(tmp_path)
    plain = AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="eager").eval()
    with torch.no_grad():
        own = plain(torch.tensor([tokens]), output_attentions=True).attentions
    assert torch.equal(found, torch.stack([own[layer][0] for layer in layers]))
    assert found.shape == (len(layers), 4, len(tokens), len(tokens))
    torch.testing.assert_close(found.sum(dim=-1), torch.ones(found.shape[:3]))
    assert not found.triu(1).any()


def test_attention_is_that_of_queries_and_keys(lab):
    """Softmax of q . k / sqrt(width), from what enters the blocks, by hand."""
    tokens = torch.tensor([lab.prompts(PROMPTS)[0][1].tokens])
    n, found = tokens.shape[1], attention_weights(lab.model, tokens[0].tolist(), layers=[1])[0]
    stream = lab.model.residuals(tokens, ["blocks.1.hook_resid_pre"])["blocks.1.hook_resid_pre"]
    block = lab.model.blocks[1]
    with torch.no_grad():
        if hasattr(block, "attn"):
            q, k, _ = block.attn.c_attn(block.ln_1(stream)).split(32, dim=-1)
            q, k = (x.view(n, 4, 8).transpose(0, 1) for x in (q, k))
        else:
            from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

            normed = block.input_layernorm(stream)
            q = block.self_attn.q_proj(normed).view(1, n, 4, 8).transpose(1, 2)
            k = block.self_attn.k_proj(normed).view(1, n, 2, 8).transpose(1, 2)
            place = torch.arange(n)[None]
            turn = lab.model.hf_model.base_model.rotary_emb(stream, place)
            q, k = apply_rotary_pos_emb(q, k, *turn)
            q, k = q[0], k[0].repeat_interleave(2, dim=0)
    scores = q @ k.transpose(1, 2) / 8**0.5
    scores = scores.masked_fill(torch.ones(n, n).triu(1).bool(), -torch.inf)
    torch.testing.assert_close(found, scores.softmax(dim=-1), rtol=0, atol=1e-5)


def test_tables_of_attention_are_those_of_plain_loops(lab, acts):  # noqa: C901
    asked = AttentionRequest(prompts=PROMPTS, layers=(0, 3), floor=0.1, top=3, query=1)
    tables = attention.run(lab, asked).tables
    weights, heads, firing, looked = [], [], [], []
    for number, prompt in enumerate(lab.prompts(PROMPTS)[0]):
        names = [lab.text(token) for token in prompt.tokens]
        n = len(names)
        w = attention_weights(lab.model, prompt.tokens, layers=[0, 3]).numpy()
        for k, layer in enumerate((0, 3)):
            for head in range(4):
                look = w[k, head, 2]
                for q in range(n):
                    weights += [
                        (prompt.id, layer, head, q, t, pytest.approx(w[k, head, q, t]), names[q],
                         names[t])
                        for t in range(q + 1) if w[k, head, q, t] >= 0.1
                    ]  # fmt: skip
                most = max(range(1, n), key=lambda t, look=look: look[t])
                some = look[look > 0].astype(float)
                heads.append((prompt.id, layer, head, 2, pytest.approx(look[0]),
                              pytest.approx(-(some * np.log(some)).sum(), rel=1e-4), most,
                              names[most], pytest.approx(look[most])))  # fmt: skip
                for key, a in acts.items():
                    value = sum(look[t] * a[number, t] for t in range(1, n))
                    for rank, i in enumerate(np.argsort(-value, kind="stable")[:3], start=1):
                        if value[i] > 0:
                            looked.append((prompt.id, layer, head, 2, key, rank, f"{key}/{i}",
                                           pytest.approx(value[i], rel=1e-4)))  # fmt: skip
        for key, a in acts.items():
            for t in range(1, n):
                for rank, i in enumerate(np.argsort(-a[number, t], kind="stable")[:3], start=1):
                    if a[number, t, i] > 0:
                        firing.append((prompt.id, t, names[t], key, rank, f"{key}/{i}",
                                       pytest.approx(a[number, t, i])))  # fmt: skip

    def rows(name):
        return [tuple(row.values()) for row in tables[name].to_pylist()]

    assert rows("attention") == weights
    assert rows("heads") == heads
    assert sorted(rows("firing")) == sorted(firing, key=lambda row: row[:6])
    assert sorted(rows("looked_at")) == sorted(looked, key=lambda row: row[:7])


def test_attention_that_cannot_be_is_refused(lab):
    for values, kind, message in [
        ({"layers": (4,)}, ModelError, "has 4 blocks; there is no 4"),
        ({"query": 2}, UsageError, "2 tokens after BOS; it has no position 2"),
        ({"saes": ("other",)}, NotFoundError, "other is not loaded"),
    ]:
        with pytest.raises(kind, match=message):
            attention.run(lab, AttentionRequest(prompts=PROMPTS, **values))
