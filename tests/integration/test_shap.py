"""SHAP values on tiny models: against whole passes, all orders, and shap's own pipeline."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from atlas.errors import NotFoundError, UsageError
from atlas.hooks import HookPoint, editing
from atlas.lm import LanguageModel
from atlas.saes import load_sae
from queries.followups.evidence import open_evidence, save_evidence
from queries.followups.interventions import FeatureRef, Intervention
from queries.followups.lab import Lab, PromptText
from queries.followups.shapley.explain import ShapRequest, run
from queries.followups.shapley.scores import FeatureScore, Score
from queries.followups.shapley.tokens import (
    PASS,
    MetricOfPrompts,
    TokenGame,
    TokenMasker,
    parted,
)
from tests import tiny
from tests.unit.test_shap_games import by_orders

pytestmark = pytest.mark.lm

HOOKS = ("blocks.1.hook_resid_pre", "blocks.3.hook_resid_pre")
TEXTS = (
    PromptText(id="heart", prompt="the heart pumps blood through", answer=" body",
               foils=(" court", " ball")),
    PromptText(id="court", prompt="a judge of the court has", answer=" law", foils=(" pain",)),
    PromptText(id="short", prompt="music plays", answer=" note", foils=(" pain",)),
)  # fmt: skip


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def lab(request, tmp_path_factory):
    root = tmp_path_factory.mktemp(request.param)
    folder = tiny.model(root / "model", family=request.param)
    model = LanguageModel.load(str(folder), device="cpu", dtype=torch.float32)
    torch.manual_seed(0)
    streams = model.residuals(torch.randint(2, 32, (40, 20)), HOOKS)
    saes = [
        load_sae(str(tiny.sae(root / f"s{k}", hook=hook, k=6,
                              stream=streams[hook][:, 1:].reshape(-1, 32))), device="cpu")
        for k, hook in enumerate(HOOKS)
    ]  # fmt: skip
    return Lab.of(model, saes, batch_tokens=64)


def early(lab):
    return next(iter(lab.saes))


def late(lab):
    return list(lab.saes)[1]


def request(**options):
    return ShapRequest(prompts=TEXTS, **options)


def rows(found, name="players"):
    return found.tables[name].to_pylist()


def full_logits(lab, tokens):
    with torch.no_grad():
        return lab.model.hf_model(torch.tensor([tokens]), use_cache=False).logits[0, -1].float()


# Tokens


def masked(text, mask):
    """The prompt with every run of absent words as one '...'."""
    words = []
    for word, present in zip(text.split(), mask, strict=True):
        if present:
            words.append(word)
        elif not words or words[-1] != "...":
            words.append("...")
    return " ".join(words)


def naive_tokens(lab, text, prompt, metric):
    score = Score(prompt, metric, lab.model.device)
    clean = full_logits(lab, prompt.tokens)[None]

    def game(masks):
        found = []
        for mask in masks:
            ids = lab.model.tokenizer(masked(text, mask), add_special_tokens=False)["input_ids"]
            logits = full_logits(lab, [lab.model.bos_token_id, *ids])[None]
            found.append(float(score(logits, clean)[0]))
        return np.array(found)

    return game


@pytest.mark.parametrize("metric", ["logit", "probability", "logit_diff", "kl", "entropy_top10"])
def test_exact_token_values_are_those_of_whole_passes_in_all_orders(lab, metric):
    found = run(lab, request(of=metric, explainer="exact"))
    prompts, _ = lab.prompts(TEXTS)
    for row, text, prompt in zip(rows(found, "explanations"), TEXTS, prompts, strict=True):
        names = text.prompt.split()
        wanted = by_orders(naive_tokens(lab, text.prompt, prompt, metric), len(names))
        np.testing.assert_allclose(row["values"], wanted, atol=2e-4)
        assert [name.strip() for name in row["names"]] == names
        assert row["method"] == "shapley-exact"
        assert sum(row["values"]) == pytest.approx(row["value"] - row["base"], abs=1e-4)
        assert row["target"] == (None if metric in {"kl", "entropy_top10"} else text.answer.strip())
    assert rows(found)[3]["positions"] == [3]


@pytest.mark.parametrize("max_evals", [500, 12])
def test_token_values_are_those_of_shaps_own_pipeline(lab, max_evals):
    import shap

    found = run(lab, request(of="log_odds", bos=False, max_evals=max_evals, seed=3))
    texts, targets = [text.prompt for text in TEXTS], [text.answer for text in TEXTS]
    explainer = shap.Explainer(lab.model.hf_model, lab.model.tokenizer)
    for row, text, target in zip(rows(found, "explanations"), texts, targets, strict=True):
        np.random.seed(3)  # noqa: NPY002
        theirs = explainer([text], [target], max_evals=max_evals, silent=True)
        np.testing.assert_allclose(row["values"], theirs.values[0, :, 0], atol=1e-4)
        assert row["base"] == pytest.approx(theirs.base_values[0, 0], abs=1e-4)
        assert row["names"] == list(theirs.data[0])


def test_a_small_budget_is_said_to_be_coarse(lab):
    found = run(lab, request(max_evals=8))
    assert "heart: the budget ended" in " ".join(found.notes)
    assert "short" not in " ".join(found.notes)


def test_tokens_explain_a_features_activation(lab):
    sae = lab.sae(early(lab))
    masker = TokenMasker(lab.model, TEXTS[0].prompt)
    stream = lab.model.residuals(torch.tensor([masker.whole]), [HOOKS[0]])[HOOKS[0]][0]
    acts = sae.sae.encode(stream).detach()[1:]
    feature = int(acts.max(dim=0).values.argmax())

    def naive(masks, at):
        found = []
        for tokens in masker.tokens(masks):
            stream = lab.model.residuals(torch.tensor([tokens]), [HOOKS[0]])[HOOKS[0]][0, 1:]
            some = sae.sae.encode(stream).detach()[:, feature]
            found.append(float({"max": some.max(), "sum": some.sum(), "last": some[-1]}[at]))
        return np.array(found)

    for at in ("max", "sum", "last"):
        asked = ShapRequest(
            prompts=TEXTS[:1], of=f"{early(lab)}/{feature}", at=at, explainer="exact"
        )
        row = rows(run(lab, asked), "explanations")[0]
        wanted = by_orders(lambda masks, at=at: naive(masks, at), len(masker.names))
        np.testing.assert_allclose(row["values"], wanted, atol=1e-4)
        assert row["metric"] == f"activation_{at}"
        assert row["feature"] == f"{early(lab)}/{feature}"
        assert row["target"] is None


def test_an_activation_at_a_token_depends_on_no_token_after_it(lab):
    key = f"{early(lab)}/0"
    cut = PromptText(id="heart", prompt="the heart pumps")
    at = ShapRequest(prompts=TEXTS[:1], of=key, at=2, explainer="exact")
    back = at.model_copy(update={"at": -3})
    last = ShapRequest(prompts=(cut,), of=key, at="last", explainer="exact")
    found = [rows(run(lab, one), "explanations")[0] for one in (at, back, last)]
    assert found[0]["values"] == found[1]["values"] == found[2]["values"]
    assert len(found[0]["names"]) == 3
    with pytest.raises(UsageError, match="has no token 5"):
        run(lab, at.model_copy(update={"at": 5}))


def test_prompts_are_run_from_where_they_differ(lab):
    """Masks that keep the beginning reuse it, and the values are those of whole passes."""
    text = PromptText(id="long", prompt="the heart pumps blood " * 20 + "of", answer=" body")
    prompt = lab.prompts([text])[0][0]
    masker = TokenMasker(lab.model, text.prompt)
    score = Score(prompt, "logit", lab.model.device)
    worth = MetricOfPrompts(lab.model, masker.whole, score, batch_tokens=300)
    masks = np.ones((12, len(masker.names)), bool)
    for row in range(1, 12):
        masks[row, 3 * row if row % 2 else 80 - row] = False
    tokens = masker.tokens(masks)
    starts = [start for start, _ in parted(np.array([worth._shared(one) for one in tokens]))]
    assert len(starts) == 2
    assert max(starts) > 60
    found = TokenGame(masker, worth)(masks)
    wanted = [float(full_logits(lab, one)[prompt.target]) for one in tokens]
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_groups_of_prompts_save_more_than_their_pass_costs():
    for shared in ([0, 0, 40, 40], [1, 1, 1], [0, 100, 100, 3], [5], [2, 30, 31, 32, 33]):
        groups = parted(np.array(shared))
        assert sorted(k for _, some in groups for k in some) == list(range(len(shared)))
        assert all(start == min(shared[k] for k in some) for start, some in groups)
        saved = sum(start * len(some) for start, some in groups) - PASS * (len(groups) - 1)
        best = max(
            (sum(min(part) * len(part) for part in parts if part) - PASS * (len(parts) - 1))
            for parts in [[shared]] + [
                [[s for s in shared if s >= cut], [s for s in shared if s < cut]]
                for cut in shared if cut > min(shared)
            ]
        )  # fmt: skip
        assert saved == best


def test_white_space_that_masking_loses_is_noted(lab):
    text = PromptText(id="lines", prompt="the heart\npumps  blood", answer=" body")
    found = run(lab, ShapRequest(prompts=(text,)))
    assert not found.notes, "a tokenizer by words sees no white space"
    assert rows(found, "explanations")[0]["names"][1].strip() == "heart"


# Features


def decoded_without(lab, key, tokens, players, mask, become):
    """Whole pass with the activations of absent features replaced, the error left as it was."""
    sae = lab.sae(key)

    def edit(stream):
        acts = sae.sae.encode(stream)
        after = acts.clone()
        for present, features in zip(mask, players, strict=True):
            if not present:
                for feature in features:
                    after[0, 1:, feature] = become.get(feature, 0.0)
        return stream + sae.sae.decode(after) - sae.sae.decode(acts)

    handle = editing(lab.model.blocks, HookPoint.parse(sae.hook.name), edit)
    try:
        with torch.no_grad():
            return lab.model.hf_model(torch.tensor([tokens]), use_cache=False).logits[0, -1]
    finally:
        handle.remove()


def naive_features(lab, key, prompt, players, metric, become=None):
    score = Score(prompt, metric, lab.model.device)
    clean = full_logits(lab, prompt.tokens)[None]

    def game(masks):
        return np.array([
            float(score(decoded_without(lab, key, prompt.tokens, players, mask, become or {})[None],
                        clean)[0])
            for mask in masks
        ])  # fmt: skip

    return game


def features_of(row):
    return tuple(int(name.rpartition("/")[2]) for name in row["features"])


@pytest.mark.parametrize("metric", ["logit", "logit_diff", "kl", "rank"])
@pytest.mark.parametrize("which", [0, 1])
def test_feature_values_are_those_of_whole_passes(lab, metric, which):
    key = list(lab.saes)[which]
    found = run(lab, request(players="features", sae=key, of=metric, top=4))
    prompts, _ = lab.prompts(TEXTS)
    for number, prompt in enumerate(prompts, start=1):
        mine = [row for row in rows(found) if row["explanation"] == number]
        players = [features_of(row) for row in mine]
        wanted = by_orders(naive_features(lab, key, prompt, players, metric), len(players))
        np.testing.assert_allclose([row["value"] for row in mine], wanted, atol=2e-4)
        assert len(players) == 4
        acts = lab.sae(key).sae.encode(
            lab.model.residuals(torch.tensor([prompt.tokens]), [HOOKS[which]])[HOOKS[which]][0]
        )[1:]
        for row, (feature,) in zip(mine, players, strict=True):
            assert row["positions"] == acts[:, feature].nonzero()[:, 0].tolist()
            assert row["activation"] == pytest.approx(float(acts[:, feature].max()), abs=1e-4)


def test_players_are_those_with_the_largest_gradient_times_activation(lab):
    key, prompt = early(lab), lab.prompts(TEXTS)[0][0]
    sae = lab.sae(key)
    with torch.enable_grad():
        kept = []

        def keep(stream):
            kept.append(stream.detach().requires_grad_())
            return kept[0]

        handle = editing(lab.model.blocks, sae.hook, keep)
        logits = lab.model.hf_model(torch.tensor([prompt.tokens]), use_cache=False).logits
        handle.remove()
        (gradient,) = torch.autograd.grad(logits[0, -1, prompt.target], kept)
    acts = sae.sae.encode(kept[0].detach())[0]
    matters = (acts * (gradient[0] @ sae.sae.W_dec.T))[1:].sum(dim=0).abs()
    found = run(lab, request(players="features", sae=key, top=5))
    mine = [features_of(row)[0] for row in rows(found) if row["explanation"] == 1]
    assert mine == matters.argsort(descending=True)[:5].tolist()
    by_activation = run(lab, request(players="features", sae=key, top=5, order="activation"))
    strongest = [features_of(row)[0] for row in rows(by_activation) if row["explanation"] == 1]
    assert strongest == acts[1:].max(dim=0).values.argsort(descending=True)[:5].tolist()


def test_the_rest_is_one_player_or_stays(lab):
    key = late(lab)
    kept = run(lab, request(players="features", sae=key, top=3))
    player = run(lab, request(players="features", sae=key, top=3, rest="player"))
    prompt = lab.prompts(TEXTS)[0][0]
    mine = [row for row in rows(player) if row["explanation"] == 1]
    assert [row["player"] for row in mine][-1] == "other features"
    assert [row["player"] for row in mine][:3] == [row["player"] for row in rows(kept)][:3]
    players = [features_of(row) for row in mine]
    acts = lab.sae(key).sae.encode(
        lab.model.residuals(torch.tensor([prompt.tokens]), [HOOKS[1]])[HOOKS[1]][0]
    )[1:]
    fires = acts.max(dim=0).values.nonzero()[:, 0].tolist()
    assert sorted(one for some in players for one in some) == fires
    wanted = by_orders(naive_features(lab, key, prompt, players, "logit"), 4)
    np.testing.assert_allclose([row["value"] for row in mine], wanted, atol=2e-4)


def test_absent_features_take_their_mean(lab):
    key, prompts = early(lab), lab.prompts(TEXTS)[0]
    acts = [
        lab.sae(key).sae.encode(
            lab.model.residuals(torch.tensor([prompt.tokens]), [HOOKS[0]])[HOOKS[0]][0]
        )[1:]
        for prompt in prompts
    ]
    means = torch.cat(acts).mean(dim=0)
    known = {f"{key}/{int(acts[0].max(dim=0).values.argmax())}": 0.25}
    asked = request(players="features", sae=key, top=3, baseline="mean", means=known)
    mine = [row for row in rows(run(lab, asked)) if row["explanation"] == 1]
    players = [features_of(row) for row in mine]
    become = {one: known.get(f"{key}/{one}", float(means[one])) for some in players for one in some}
    wanted = by_orders(naive_features(lab, key, prompts[0], players, "logit", become), 3)
    np.testing.assert_allclose([row["value"] for row in mine], wanted, atol=2e-4)


def test_resampled_baselines_depend_on_the_seed_and_average_draws(lab):
    key = early(lab)
    base = {"players": "features", "sae": key, "top": 3, "baseline": "resample"}
    one = rows(run(lab, request(**base, seed=1)), "explanations")
    again = rows(run(lab, request(**base, seed=1)), "explanations")
    other = rows(run(lab, request(**base, seed=2)), "explanations")
    assert one == again
    assert np.abs(np.subtract(one[0]["values"], other[0]["values"])).max() > 1e-4
    with pytest.raises(UsageError, match="no other prompt"):
        run(lab, ShapRequest(prompts=TEXTS[:1], **base))


def test_the_mean_of_draws_is_the_mean_of_their_games(lab):
    from queries.followups.shapley.features import FeatureGame
    from queries.followups.shapley.players import Firing, absences, drawn_activations

    key, number = early(lab), 1
    sae = lab.sae(key)
    prompts = lab.prompts(TEXTS)[0]
    prepared = lab.engine.prepare([prompt.tokens for prompt in prompts])
    firing = Firing.of(prepared, number, key)
    players = [firing.player(str(k), [int(one)]) for k, one in enumerate(firing.index[:3])]
    become = drawn_activations(
        prepared, number, sae=key, index=firing.index[:3].tolist(), draws=3, seed=0
    )
    score = Score(prompts[number], "logit", lab.model.device)
    masks = np.array(list(product([False, True], repeat=3)))

    def game(drawn):
        changes = absences(sae, prepared, number, key=key, players=players, become=drawn)
        return FeatureGame(
            lab.model, prepared, number, depth=sae.hook.depth, absences=changes, score=score
        )(masks)

    joint, each = game(become), [game(become[k : k + 1]) for k in range(3)]
    np.testing.assert_allclose(joint, np.mean(each, axis=0), atol=1e-5)
    assert np.abs(each[0] - each[1]).max() > 1e-4


def test_one_absent_feature_is_an_ablation(lab):
    """Leaving one feature out of all is what the engine's ablation does."""
    key, prompt = late(lab), lab.prompts(TEXTS)[0][0]
    found = run(lab, ShapRequest(prompts=TEXTS[:1], players="features", sae=key, top=1))
    (row,) = rows(found)
    arm = (Intervention("ablate", (FeatureRef.parse(row["player"]),)),)
    prepared = lab.engine.prepare([prompt.tokens])
    (outcome,) = lab.engine.run(prepared, [(0, arm)])
    change = prepared.logits[0, prompt.target] - outcome.logits[0, prompt.target]
    assert row["value"] == pytest.approx(float(change), abs=1e-4)


def test_features_explain_a_feature_deeper_down(lab):
    key, prompt = early(lab), lab.prompts(TEXTS)[0][0]
    deep = lab.sae(late(lab))
    stream = lab.model.residuals(torch.tensor([prompt.tokens]), [HOOKS[1]])[HOOKS[1]][0]
    index = int(deep.sae.encode(stream)[1:].max(dim=0).values.argmax())
    for at in ("max", "sum", 1):
        asked = ShapRequest(prompts=TEXTS[:1], players="features", sae=key, top=3, at=at,
                            of=f"{late(lab)}/{index}")  # fmt: skip
        mine = rows(run(lab, asked))
        players = [features_of(row) for row in mine]

        def game(masks, players=players, at=at):
            found = []
            for mask in masks:
                kept = []
                with_read = editing(
                    lab.model.blocks, deep.hook, lambda x, kept=kept: (kept.append(x), x)[1]
                )
                decoded_without(lab, key, prompt.tokens, players, mask, {})
                with_read.remove()
                acts = deep.sae.encode(kept[0][0])[1:, index]
                found.append(float({"max": acts.max(), "sum": acts.sum(), 1: acts[1]}[at]))
            return np.array(found)

        np.testing.assert_allclose([r["value"] for r in mine], by_orders(game, 3), atol=2e-4)
    with pytest.raises(UsageError, match="deeper hook"):
        run(lab, asked.model_copy(update={"of": f"{key}/0"}))


# Hierarchies and communities


def communities(lab, key):
    """Two wide communities of two narrow ones each, over all features of an SAE."""
    return {
        f"{key}/{k}": (f"wide{k % 2}", f"narrow{k % 4}") for k in range(lab.sae(key).d_sae)
    }  # fmt: skip


def test_communities_are_the_hierarchy_of_features(lab):
    key = early(lab)
    asked = request(players="features", sae=key, top=5, communities=communities(lab, key))
    found = run(lab, asked)
    prompts = lab.prompts(TEXTS)[0]
    from queries.followups.shapley.owen import tree_of

    differ = 0.0
    for number, prompt in enumerate(prompts, start=1):
        mine = [row for row in rows(found) if row["explanation"] == number]
        players = [features_of(row) for row in mine]
        tree = tree_of([asked.communities[row["player"]] for row in mine])
        game = naive_features(lab, key, prompt, players, "logit")
        values = [row["value"] for row in mine]
        np.testing.assert_allclose(values, by_orders(game, len(players), tree), atol=2e-4)
        differ = max(differ, np.abs(values - by_orders(game, len(players))).max())
    assert differ > 1e-3, "the hierarchy must matter somewhere"
    assert {row["method"] for row in rows(found, "explanations")} == {"owen-exact"}


@pytest.mark.parametrize(("level", "explainer"), [(0, "auto"), (-1, "auto"), (-1, "partition")])
def test_communities_are_players(lab, level, explainer):
    key, prompt = late(lab), lab.prompts(TEXTS)[0][0]
    groups = communities(lab, key)
    found = run(lab, ShapRequest(prompts=TEXTS[:1], players="communities", sae=key, level=level,
                                 communities=groups, explainer=explainer))  # fmt: skip
    mine = rows(found)
    assert {row["player"] for row in mine} <= {path[level] for path in groups.values()}
    for row in mine:
        assert {groups[name][level] for name in row["features"]} == {row["player"]}
    players = [features_of(row) for row in mine]
    tree = None
    if explainer == "partition":
        from queries.followups.shapley.owen import tree_of

        tree = tree_of([(f"wide{int(row['player'][-1]) % 2}",) for row in mine])
    wanted = by_orders(naive_features(lab, key, prompt, players, "logit"), len(players), tree)
    np.testing.assert_allclose([row["value"] for row in mine], wanted, atol=2e-4)


# The request and what comes of it


def test_named_features_are_players_even_where_they_never_fire(lab):
    key = early(lab)
    prepared = lab.engine.prepare([prompt.tokens for prompt in lab.prompts(TEXTS)[0]])
    silent = int(np.flatnonzero(np.diff(prepared.codes[key].values[: prepared.codes[key].positions]
                                        .tocsc().indptr) == 0)[0])  # fmt: skip
    found = run(lab, request(players="features", features=(f"{key}/{silent}",)))
    row = rows(found)[0]
    assert (row["player"], row["value"], row["flag"]) == (f"{key}/{silent}", 0.0, "never_fires")
    assert row["positions"] == []
    assert "heart: " in found.notes[0]
    assert "never fire" in found.notes[0]


def test_a_prompt_without_a_player_is_noted(lab):
    key = early(lab)
    prepared = lab.engine.prepare([prompt.tokens for prompt in lab.prompts(TEXTS)[0]])
    never = np.flatnonzero(np.diff(prepared.codes[key].values.indptr) == 0)
    silent = {f"{key}/{int(never[0])}": ("a",)}
    found = run(lab, request(players="communities", sae=key, communities=silent))
    assert [row["values"] for row in rows(found, "explanations")] == [[], [], []]
    assert all(row["base"] == row["value"] for row in rows(found, "explanations"))
    assert sum("no feature is a player" in note for note in found.notes) == 3


def test_sampled_values_of_features_come_with_standard_errors(lab):
    asked = ShapRequest(prompts=TEXTS[:1], players="features", sae=early(lab), top=8, seed=1)
    sampled = {"explainer": "permutation", "max_evals": 170}
    found = run(lab, asked.model_copy(update=sampled))
    assert rows(found, "explanations")[0]["method"] == "shapley-permutation"
    for ours, theirs in zip(rows(found), rows(run(lab, asked)), strict=True):
        assert ours["player"] == theirs["player"]
        assert theirs["error"] is None
        assert ours["error"] > 0
        assert abs(ours["value"] - theirs["value"]) < 6 * ours["error"] + 0.02


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"of": "perplexity"}, UsageError, "no metric 'perplexity' to explain"),
        ({"of": "a/b/c/1"}, NotFoundError, "not loaded"),
        ({"players": "features"}, UsageError, "not clear whose"),
        ({"players": "communities"}, UsageError, "no communities"),
        ({"players": "features", "explainer": "partition"}, UsageError, "needs communities"),
        ({"players": "features", "of": "rank", "order": "gradient"}, UsageError, "no gradient"),
        ({"top": 0}, UsageError, "top is 0"),
        ({"explainer": "permutation", "max_evals": 3}, UsageError, "A permutation of"),
    ],
)
def test_requests_that_do_not_fit_together_are_refused(lab, options, error, message):
    with pytest.raises(error, match=message):
        run(lab, request(**options))


def test_the_same_request_gives_the_same_evidence_from_its_folder(lab, tmp_path):
    asked = request(players="features", sae=early(lab), top=12, max_evals=60)
    found = run(lab, asked)
    stored = open_evidence(save_evidence(found, tmp_path))
    assert stored == found
    again = run(lab, ShapRequest.model_validate(stored.request))
    assert again.tables == found.tables


def test_targets_of_several_tokens_are_noted(lab):
    text = PromptText(id="two", prompt="the heart", answer=" pumps blood")
    assert "more than one token" in run(lab, ShapRequest(prompts=(text,))).notes[0]


def test_scores_of_features_read_the_tokens_that_count():
    acts = np.array([[9.0, 1.0, 3.0, 8.0], [9.0, 2.0, 1.0, 4.0]])
    ends = [3, 4]
    for at, wanted in [("max", [3, 4]), ("sum", [4, 7]), ("last", [3, 4]), (0, [1, 2]),
                       (-1, [3, 4]), (-2, [1, 1])]:  # fmt: skip
        assert FeatureScore(None, 0, at).of(acts, ends, 1).tolist() == wanted
