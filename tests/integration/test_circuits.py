"""Attributions and circuits of tiny models, against finite differences and whole passes."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest
import torch

from atlas.errors import NotFoundError, UsageError
from atlas.hooks import HookPoint, editing
from atlas.lm import LanguageModel
from atlas.saes import load_sae
from ingest.imports.circuit_file import read_circuit
from queries.followups.attribution import attribute as attribution
from queries.followups.attribution.attribute import AttributionRequest, scorer
from queries.followups.circuits import trace as circuits
from queries.followups.circuits.check import Check, Reference
from queries.followups.circuits.edges import activation_gradients
from queries.followups.circuits.file import circuit_row, circuit_saes, write_circuit
from queries.followups.circuits.graph import FEATURE, local_graph, ordered
from queries.followups.circuits.picture import draw_circuit
from queries.followups.circuits.trace import CircuitRequest
from queries.followups.evidence import open_evidence, save_evidence
from queries.followups.interventions import FeatureRef, Intervention
from queries.followups.lab import Lab, PromptText
from tests import tiny

pytestmark = pytest.mark.lm

HOOKS = ("blocks.1.hook_resid_pre", "blocks.2.hook_resid_pre", "blocks.3.hook_resid_post")
PROMPTS = (
    PromptText(id="one", prompt="the heart pumps blood through", answer=" body", foils=(" court",)),
    PromptText(id="two", prompt="judge has law in", answer=" court", foils=(" lung", " song")),
)


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def lab(request, tmp_path_factory):
    """A model with SAEs of 10 latents a position at three hooks; the middle one normalises."""
    root = tmp_path_factory.mktemp(request.param)
    folder = tiny.model(root / "model", family=request.param)
    model = LanguageModel.load(str(folder), device="cpu", dtype=torch.float32)
    torch.manual_seed(0)
    streams = model.residuals(torch.randint(2, 32, (40, 20)), HOOKS)
    saes = []
    for k, hook in enumerate(HOOKS):
        stream = streams[hook][:, 1:].reshape(-1, 32)
        if k == 1:
            stream = stream * 32**0.5 / stream.norm(dim=-1, keepdim=True)
        path = tiny.sae(root / f"s{k}", hook=hook, stream=stream)
        if k == 1:
            config = json.loads((path / "cfg.json").read_text())
            config["normalize_activations"] = "constant_norm_rescale"
            (path / "cfg.json").write_text(json.dumps(config))
        saes.append(load_sae(str(path), device="cpu"))
    return Lab.of(model, saes, batch_tokens=1024)


@pytest.fixture(scope="module")
def graph(lab):
    return local_graph(lab, task(lab), saes=ordered(lab, ()), metric="logit_diff", candidates=12)


def task(lab, number=0):
    return lab.prompts(PROMPTS)[0][number]


def metric_by_hand(logits, prompt):
    return logits[prompt.target] - logits[list(prompt.foils)].mean()


def passed(lab, prompt, edits):
    """Logits of a whole pass with hooks -> functions of a stream ``[positions, d_model]``."""
    handles = []
    try:
        for hook, edit in edits.items():
            point = HookPoint.parse(hook)
            handles.append(editing(lab.model.blocks, point, lambda x, edit=edit: edit(x[0])[None]))
        with torch.no_grad():
            return lab.model.hf_model(torch.tensor([prompt.tokens]), use_cache=False).logits[0]
    finally:
        for handle in handles:
            handle.remove()


def stream_of(lab, prompt, hook):
    return lab.model.residuals(torch.tensor([prompt.tokens]), [hook])[hook][0].clone()


@torch.no_grad()
def decoded(sae, x, acts):
    sae.sae.encode(x)  # an SAE that normalises keeps the scale for the decoding that follows
    return sae.sae.decode(acts)


@torch.no_grad()
def with_feature(sae, x, *, row, index, change):
    """A stream whose feature has another activation, its error as it was."""
    acts = sae.sae.encode(x).clone()
    before = decoded(sae, x, acts)
    acts[row, index] += change
    return x + decoded(sae, x, acts) - before


def test_edges_between_hooks_are_finite_differences(lab, graph):
    """An edge is a_i times the slope of a_j, in the model between the two hooks."""
    prompt = task(lab)
    checked = 0
    for source, i in list(enumerate(graph.nodes))[:30:2]:
        if i.kind != FEATURE or i.level == 2:
            continue
        low, high = (graph.levels[k].sae for k in (i.level, i.level + 1))
        x = stream_of(lab, prompt, low.hook.name)
        acts = [
            activations(
                lab, prompt, low.hook.name, high,
                with_feature(low, x, row=i.position + 1, index=i.index, change=change),
            )
            for change in (-0.02, -0.01, 0.01, 0.02)
        ]  # fmt: skip
        slope, narrow = (acts[3] - acts[0]) / 0.04, (acts[2] - acts[1]) / 0.02
        for target, j in enumerate(graph.nodes):
            if j.kind != FEATURE or j.level != i.level + 1:
                continue
            wide, here = (float(one[j.position + 1, j.index]) for one in (slope, narrow))
            if abs(wide - here) > 0.02 * max(0.1, abs(here)):
                continue  # the ten largest change within the step: no slope there
            weight = pytest.approx(i.activation * here, rel=0.03, abs=0.01)
            assert graph.adjacency[target, source] == weight
            checked += abs(i.activation * here) > 0.05
    assert checked >= 20
    for target, source in np.argwhere(graph.adjacency):
        assert graph.nodes[target].level == graph.nodes[source].level + 1


def activations(lab, prompt, hook, sae, stream):
    """What a deeper SAE reads, where the stream at a hook is another."""
    held = {}

    def keep(arrived):
        held["x"] = arrived
        return arrived

    passed(lab, prompt, {hook: lambda _: stream, sae.hook.name: keep})
    return sae.sae.encode(held["x"])


def test_edges_to_the_metric_and_attributions_are_finite_differences(lab, graph):
    prompt, step = task(lab), 2e-2
    output = len(graph.nodes) - 1
    top = len(graph.levels) - 1
    checked = 0
    for number, node in enumerate(graph.nodes):
        if node.kind != FEATURE or number % 4:
            continue
        sae = graph.levels[node.level].sae
        x = stream_of(lab, prompt, sae.hook.name)
        found = [
            metric_by_hand(passed(lab, prompt, {sae.hook.name: lambda _, moved=moved: moved})[-1],
                           prompt)
            for moved in (
                with_feature(sae, x, row=node.position + 1, index=node.index, change=change)
                for change in (step, -step)
            )
        ]  # fmt: skip
        expected = node.activation * float(found[0] - found[1]) / (2 * step)
        assert node.plain == pytest.approx(expected, rel=0.03, abs=0.01)
        if node.level == top:
            assert graph.adjacency[output, number] == pytest.approx(node.plain, abs=1e-5)
            assert node.attribution == pytest.approx(node.plain, abs=1e-5)
        checked += 1
    assert checked >= 7
    assert graph.score == pytest.approx(
        float(metric_by_hand(passed(lab, prompt, {})[-1], prompt)), abs=1e-4
    )


def test_paths_through_all_features_add_up(lab):
    """With every feature a node, what flows along edges is the derivative with errors held."""
    prompt = task(lab)
    graph = local_graph(lab, prompt, saes=ordered(lab, ()), metric="logit_diff", candidates=10**6)
    inside = graph.of_kind(FEATURE, "error")
    acts = np.array([node.activation or 1.0 for node in graph.nodes])
    output = len(graph.nodes) - 1
    # Slopes multiply along a path; an edge's weight has its source's activation in it.
    slopes = graph.adjacency / acts[None]
    slopes[:, ~inside] = 0
    whole = np.linalg.inv(np.eye(len(slopes)) - slopes)
    total = whole[output] * acts
    for number, node in enumerate(graph.nodes):
        if inside[number]:
            assert total[number] == pytest.approx(node.attribution, abs=2e-3, rel=2e-3)
    assert {node.captured for node in graph.nodes if node.kind == FEATURE and node.level} == {1.0}
    # After the last block only the last token counts.
    firing = [len(level.row) for level in graph.levels[:2]]
    last = int((graph.levels[2].row == len(prompt.tokens) - 1).sum())
    assert sum(graph.of_kind(FEATURE)) == sum(firing) + last
    for sums, level in zip(graph.sums, range(3), strict=True):
        some = [node for node in graph.nodes if node.level == level and node.kind == FEATURE]
        assert sums.features == pytest.approx(sum(node.attribution for node in some), abs=1e-3)
        assert sums.plain_features == pytest.approx(sum(node.plain for node in some), abs=1e-3)
    assert graph.sums[2].agreement == pytest.approx(1)
    assert graph.sums[0].agreement < 0.999


def test_inputs_of_a_linear_stretch_add_up_to_the_activation(lab):
    """Hooks with nothing but addition between them: a_j is the sum of what all give it."""
    prompt = task(lab)
    first, _, last = ordered(lab, ())
    levels = local_graph(
        lab, prompt, saes=(first, last), metric="logit", candidates=5
    ).levels  # fmt: skip
    source, target = levels
    blocks = lab.model.blocks[source.sae.hook.depth : target.sae.hook.depth]
    shift = torch.linspace(-1, 1, 32)
    before = [block.forward for block in blocks]
    try:
        for block in blocks:
            block.forward = lambda x, *args, **kwargs: (
                (x + shift,) if lab_tupled(lab) else x + shift
            )
        stream = source.stream + len(blocks) * shift
        level = type(target).of(last, target.sae, layer=4, stream=stream)
        slope = activation_gradients(
            lab.model, prompt.tokens, source=source, target=level,
            rows=level.row, index=level.index, batch_tokens=24,
        )  # fmt: skip
    finally:
        for block in blocks:
            del block.forward
    assert len(before) == len(blocks)
    sae = target.sae.sae
    features, errors = source.inputs(slope)
    bias = (slope * decoded(source.sae, source.stream, torch.zeros(len(stream), 64))).sum((1, 2))
    moved = len(blocks) * shift @ sae.W_enc[:, level.index] - sae.b_dec @ sae.W_enc[:, level.index]
    given = features.sum(axis=1) + errors.sum(axis=1) + bias.numpy() + moved.numpy()
    given += sae.b_enc[level.index].numpy()
    # BOS gives nothing to others here.
    np.testing.assert_allclose(given, level.value, atol=1e-3)


def lab_tupled(lab):
    """Whether blocks return tuples."""
    found = []
    handle = lab.model.blocks[0].register_forward_hook(lambda _m, _a, out: found.append(type(out)))
    try:
        lab.model.residuals(torch.tensor([[0, 3]]), ["blocks.0.hook_resid_post"])
    finally:
        handle.remove()
    return found[0] is tuple


def completeness(found):
    return found.tables["completeness"].to_pylist()


def listed(found, kind="feature"):
    return [r for r in found.tables["attributions"].to_pylist() if r["kind"] == kind]


def test_gradient_attributions_are_those_of_the_graph(lab, graph):
    request = AttributionRequest(prompts=PROMPTS, metric="logit_diff", top=10**6)
    found = attribution.run(lab, request)
    by = {(r["feature"], r["position"]): r for r in listed(found) if r["prompt"] == "one"}
    keys = [level.key for level in graph.levels]
    checked = 0
    for node in graph.nodes:
        if node.kind == FEATURE:
            row = by[f"{keys[node.level]}/{node.index}", node.position]
            assert row["attribution"] == pytest.approx(node.plain, abs=1e-4)
            assert row["activation"] == pytest.approx(node.activation, abs=1e-4)
            assert row["token"] == PROMPTS[0].prompt.split()[node.position]
            checked += 1
    assert checked == sum(graph.of_kind(FEATURE)) >= 30
    for row in completeness(found):
        same = {"prompt": row["prompt"], "sae": row["sae"]}
        for kind, name in (("feature", "features"), ("error", "error"), ("bias", "bias")):
            some = [r for r in listed(found, kind) if same.items() <= r.items()]
            assert sum(r["attribution"] for r in some) == pytest.approx(row[name], abs=1e-3)
        assert row["listed"] == pytest.approx(1)
    assert len(completeness(found)) == 6


@pytest.mark.parametrize("path", ["features", "stream"])
def test_integrated_attributions_add_up_to_the_difference(lab, path):
    def residuals(steps):
        request = AttributionRequest(
            prompts=PROMPTS, metric="log_prob", method="integrated", steps=steps, path=path, top=3
        )
        return completeness(attribution.run(lab, request))

    rows = residuals(400)
    for row in rows:
        prompt = task(lab, ["one", "two"].index(row["prompt"]))
        sae = lab.sae(row["sae"])
        x = stream_of(lab, prompt, sae.hook.name)
        bias = decoded(sae, x, torch.zeros(len(x), sae.d_sae))
        whole = decoded(sae, x, sae.sae.encode(x).detach())
        start = bias if path == "stream" else x - whole + bias
        start[0] = x[0]
        logits = passed(lab, prompt, {sae.hook.name: lambda _, start=start: start})[-1]
        base = float(logits.log_softmax(dim=0)[prompt.target])
        assert row["base"] == pytest.approx(base, abs=1e-3)
        gap = abs(row["value"] - row["base"])
        assert abs(row["residual"]) < 0.02 * max(gap, 0.5)
    few = sum(abs(row["residual"]) for row in residuals(30))
    assert few > 3 * sum(abs(row["residual"]) for row in rows)
    assert all(0 < row["listed"] < 1 for row in rows)


def everything(graph):
    return circuits._all_members(graph)


def naive(lab, prompt, saes, members, only, *, reference, errors):
    """The metric by a whole pass, node by node."""
    chosen = {tuple(member) for member in members.tolist()}

    def edit_of(level, sae):
        def edit(x):
            acts = sae.sae.encode(x).detach()
            whole = decoded(sae, x, acts)
            changed, rest = acts.clone(), x - whole
            for row, index in product(range(len(x)), range(sae.d_sae)):
                if ((level, row, index) in chosen) != only:
                    changed[row, index] = reference.features[level][index]
            for row in range(len(x)):
                inside = ((level, row, -1) in chosen) == only
                if errors == "ablated" or (errors == "circuit" and not inside):
                    rest[row] = reference.errors[level]
            y = decoded(sae, x, changed) + rest
            y[0] = x[0]
            return y

        return edit

    edits = {sae.hook.name: edit_of(level, sae) for level, sae in enumerate(saes)}
    return float(metric_by_hand(passed(lab, prompt, edits)[-1], prompt))


@pytest.mark.parametrize("errors", ["kept", "ablated", "circuit"])
@pytest.mark.parametrize("mean", [False, True])
def test_sets_are_measured_as_by_whole_passes(lab, graph, errors, mean):
    prompt = task(lab)
    saes = [level.sae for level in graph.levels]
    others = lab.prompts(PROMPTS)[0]
    reference = Reference.mean(lab, saes, others) if mean else Reference.zero(lab, saes)
    check = Check(
        lab, prompt, saes=saes, errors=errors, reference=reference,
        score=scorer("logit_diff", prompt, device=lab.model.device),
    )  # fmt: skip
    pool = everything(graph)
    rng = np.random.default_rng(3)
    sets = [(pool[rng.permutation(len(pool))[:n]], only) for n in (0, 4, 30) for only in (0, 1)]
    found = check.measure([(members, bool(only)) for members, only in sets])
    expected = [
        naive(lab, prompt, saes, members, bool(only), reference=reference, errors=errors)
        for members, only in sets
    ]
    np.testing.assert_allclose(found, expected, atol=2e-4)
    assert np.ptp(expected) > 0.05
    if mean:
        rows = [sum(len(p.tokens) - 1 for p in others)]
        acts = [saes[0].sae.encode(stream_of(lab, p, HOOKS[0])[1:]).sum(0) for p in others]
        torch.testing.assert_close(reference.features[0], sum(acts) / rows[0], rtol=0, atol=1e-4)


def test_taking_a_set_out_is_the_ablation_of_its_features(lab, graph):
    """The engine's interventions at chosen positions say the same."""
    prompt = task(lab)
    saes = [level.sae for level in graph.levels]
    chosen = [graph.nodes[k] for k in (0, 5, 14, 40) if graph.nodes[k].kind == FEATURE]
    members = np.array([(n.level, n.position + 1, n.index) for n in chosen])
    score = scorer("logit_diff", prompt, device=lab.model.device)
    check = Check(
        lab, prompt, saes=saes, score=score, errors="kept", reference=Reference.zero(lab, saes)
    )
    arm = tuple(
        Intervention("ablate", (FeatureRef(graph.levels[n.level].key, n.index),),
                     positions="chosen", chosen=(n.position,))
        for n in chosen
    )  # fmt: skip
    assert len({what.features[0].key for what in arm}) == len(arm) >= 3
    (outcome,) = lab.engine.run(lab.engine.prepare([prompt.tokens]), [(0, arm)])
    (found,) = check.measure([(members, False)])
    assert found == pytest.approx(float(score(outcome.logits)[0]), abs=1e-4)
    assert abs(found - check.full()) > 1e-3


@pytest.fixture(scope="module")
def found(lab):
    request = CircuitRequest(
        prompts=PROMPTS, metric="logit_diff", candidates=20, max_nodes=15, sizes=(3, 9, 900),
        draws=2, errors="circuit",
    )  # fmt: skip
    return circuits.run(lab, request)


def rows_of(found, name, prompt="one"):
    return [row for row in found.tables[name].to_pylist() if row["prompt"] == prompt]


def test_a_circuit_is_what_its_tables_say(lab, found):
    nodes, edges = rows_of(found, "circuit_nodes"), rows_of(found, "circuit_edges")
    kept = {node["id"]: node for node in nodes if node["kept"]}
    inner = [node for node in kept.values() if node["kind"] in {"feature", "error"}]
    assert 3 <= len(inner) <= 15
    assert len({node["id"] for node in nodes}) == len(nodes)
    ends = {edge["source"] for edge in edges} | {edge["target"] for edge in edges}
    assert {node["id"] for node in inner} <= ends <= set(kept)
    for edge in edges:
        source, target = kept[edge["source"]], kept[edge["target"]]
        assert target["level"] == source["level"] + 1
        assert source["position"] <= target["position"]
    assert sum(node["share"] for node in nodes) == pytest.approx(1)
    assert max(node["influence"] for node in nodes) == pytest.approx(1)
    assert {node["position"] for node in kept.values() if node["kind"] == "token"} == set(range(5))
    (about,) = rows_of(found, "circuits")
    assert (about["nodes"], about["edges"]) == (len(kept), len(edges))
    assert about["target"].strip() == "body"
    assert found.kind == "circuit"
    assert [row["sae"] for row in rows_of(found, "circuit_hooks")] == ordered(lab, ())


def test_faithfulness_is_of_the_sets_named(lab, found):
    rows = rows_of(found, "faithfulness")
    kinds = [(row["set"], row["draw"]) for row in rows]
    expected = [("circuit", None), ("top", None), ("top", None)]
    expected += [(name, draw) for name in ("random_circuit", "random", "random") for draw in (0, 1)]
    assert kinds == [*expected, ("all", None)]
    assert [row["size"] for row in rows[1:3]] == [3, 9]
    whole = rows[-1]
    assert whole["faithfulness"] == pytest.approx(1, abs=1e-3)
    for row in rows:
        gap = row["full"] - row["empty"]
        assert row["faithfulness"] == pytest.approx((row["only"] - row["empty"]) / gap)
        assert row["completeness"] == pytest.approx((row["without"] - row["empty"]) / gap)
    inner = [
        node for node in rows_of(found, "circuit_nodes")
        if node["kept"] and node["kind"] in {"feature", "error"}
    ]  # fmt: skip
    assert rows[0]["size"] == rows[3]["size"] == len(inner)
    # The set `top` of three nodes is the three of the largest share, by a whole pass.
    nodes = [n for n in rows_of(found, "circuit_nodes") if n["kind"] in {"feature", "error"}]
    best = sorted(nodes, key=lambda node: -node["share"])[:3]
    members = np.array([(n["level"], n["position"] + 1, int(n["id"].split("_")[1])) for n in best])
    saes = [lab.sae(key) for key in ordered(lab, ())]
    only = naive(
        lab, task(lab), saes, members, True, errors="circuit", reference=Reference.zero(lab, saes)
    )
    assert rows[1]["only"] == pytest.approx(only, abs=2e-4)
    # Without all that fires at the prompt, what fires only then is left; `empty` has not even that.
    graph = local_graph(
        lab, task(lab), saes=ordered(lab, ()), metric="logit_diff", candidates=20
    )  # fmt: skip
    none = everything(graph)[:0]
    for members, name, value in [
        (everything(graph), "without", whole["without"]), (none, "empty", whole["empty"]),
    ]:  # fmt: skip
        by_hand = naive(
            lab, task(lab), saes, members, name == "empty", errors="circuit",
            reference=Reference.zero(lab, saes),
        )  # fmt: skip
        assert value == pytest.approx(by_hand, abs=2e-4)


def test_a_circuit_comes_out_the_same_again(lab, found):
    again = circuits.run(lab, CircuitRequest(**found.request))
    assert again.id == found.id
    assert again.tables == found.tables
    other = circuits.run(lab, CircuitRequest(**{**found.request, "check": False}))
    assert "faithfulness" not in other.tables


def test_the_graph_file_is_read_back_equal(found, tmp_path):
    folder = save_evidence(found, tmp_path)
    path = write_circuit(open_evidence(folder), tmp_path / "graph.json", prompt="two")
    read = read_circuit(path)
    kept = {n["id"]: n for n in rows_of(found, "circuit_nodes", "two") if n["kept"]}
    assert list(read.nodes) == list(kept)
    saes = circuit_saes(found, prompt="two")
    kinds = {"token": "embedding"}
    for ident, node in read.nodes.items():
        row = kept[ident]
        assert node.kind == kinds.get(row["kind"], row["kind"])
        assert node.position == row["position"]
        if node.kind == "feature":
            assert f"{saes[node.layer]}/{node.index}" == row["feature"]
            assert (node.activation, node.influence) == (row["activation"], row["influence"])
    edges = rows_of(found, "circuit_edges", "two")
    assert read.links == [(e["source"], e["target"], e["weight"]) for e in edges]
    assert read.prompt == PROMPTS[1].prompt
    assert list(read.prompt_tokens) == PROMPTS[1].prompt.split()
    (logit,) = read.of_kind("logit")
    assert logit.probability == circuit_row(found, "two")["probability"]


def test_a_circuit_is_drawn(found):
    picture = draw_circuit(found, prompt="one")
    assert picture.count('class="edge ') - 2 == len(rows_of(found, "circuit_edges"))


def test_what_cannot_be_is_refused(lab, found, tmp_path):
    def ask(**changed):
        return CircuitRequest(**{"prompts": PROMPTS, "check": False, **changed})

    bare = PromptText(id="bare", prompt="the heart")
    for request, message in [
        (ask(prompts=(bare,)), "Prompt bare has no answer, which logit is of"),
        (ask(metric="rank"), "no metric 'rank' with a gradient"),
        (ask(sizes=(0,)), "at least one"),
        (ask(saes=[next(iter(lab.saes))] * 2), "read the same stream"),
        (ask(prompts=()), "no prompt"),
    ]:
        with pytest.raises(UsageError, match=message):
            circuits.run(lab, request)
    with pytest.raises(NotFoundError, match="other is not loaded"):
        circuits.run(lab, ask(saes=("other",)))
    with pytest.raises(UsageError, match="are 2 circuits"):
        write_circuit(found, tmp_path / "x.json")
    with pytest.raises(NotFoundError, match="no circuit of a prompt 'three'"):
        draw_circuit(found, prompt="three")
    with pytest.raises(UsageError, match="no metric 'kl' with a gradient"):
        attribution.run(lab, AttributionRequest(prompts=PROMPTS, metric="kl"))
