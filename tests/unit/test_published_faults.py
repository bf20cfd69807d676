"""Faults of the published procedures, each shown on planted data beside what is done here.

The faulty rule is written out in a few lines; it fails on data in which the truth is known, and
the studies' own functions do not.
"""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch

from atlas.lm import LanguageModel
from atlas.progress import SilentReporter
from atlas.saes import LoadedSae, load_sae
from ingest.attribution.options import EdgeOptions
from queries.followups.codes import directions
from queries.followups.interventions import FeatureRef
from queries.followups.lab import Lab, PromptText
from queries.studies.concept.activations import Firing, activation_tables
from queries.studies.concept.contrasts import contrast_tables
from queries.studies.concept.request import ConceptRequest
from queries.studies.concept.setting import Setting
from queries.studies.inference import contrast
from queries.studies.network.communities import community_table, find, negative_inside
from queries.studies.network.graphs import make_graphs, resampled_graphs
from queries.studies.network.request import NetworkRequest
from tests import tiny

# --- the loop over layers that loads the first SAE each time -------------------------------------

HOOKS = ("blocks.1.hook_resid_pre", "blocks.3.hook_resid_pre")
PLANTED = 41
"""Latent of the later SAE that stands for the concept."""
MEDICAL = "heart blood lung pumps patient doctor pain fever".split()
OTHER = "court judge law trial music song team goal".split()


def texts(words: list[str], *, number: int = 24) -> list[str]:
    rng = np.random.default_rng(len(words[0]))
    return [" ".join(rng.choice(words, size=6)) for _ in range(number)]


def plant(sae: LoadedSae, concept: torch.Tensor, control: torch.Tensor) -> LoadedSae:
    """Make a latent read the direction in which two sets of streams differ, between the two."""
    apart = concept.mean(dim=0) - control.mean(dim=0)
    way = apart / apart.norm()
    middle = (concept.mean(dim=0) + control.mean(dim=0)) / 2
    inner = sae.sae
    with torch.no_grad():
        inner.W_enc[:, PLANTED] = 20 * way
        inner.b_enc[PLANTED] = -20 * float((middle - inner.b_dec) @ way)
        inner.W_dec[PLANTED] = way
    return sae


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A tiny model with two SAEs, of which the later alone has a latent for the concept."""
    root = tmp_path_factory.mktemp("layers")
    tiny.fit(root, {"s1": HOOKS[0], "s3": HOOKS[1]})
    model = LanguageModel.load(str(root / "model"), device="cpu", dtype=torch.float32)
    saes = [load_sae(str(root / name), device="cpu") for name in ("s1", "s3")]
    for sae in saes:
        sae.sae.W_enc.data[:, PLANTED] = sae.sae.W_dec.data[PLANTED] = 0
    found = []
    for words in (MEDICAL, OTHER):
        tokens = model.tokenizer(texts(words), add_special_tokens=False)["input_ids"]
        rows = torch.tensor([[model.bos_token_id, *row] for row in tokens])
        found.append(model.residuals(rows, HOOKS)[HOOKS[1]][:, 1:].flatten(0, 1))
    return Lab.of(model, [saes[0], plant(saes[1], *found)])


@pytest.fixture(scope="module")
def study(lab):
    """A setting on both SAEs, and its activations."""
    prompts = tuple(
        PromptText(id=f"{group}-{number}", prompt=text, group=group)
        for group, words in (("concept", MEDICAL), ("control", OTHER))
        for number, text in enumerate(texts(words))
    )
    request = ConceptRequest(
        prompts=prompts, saes=tuple(lab.saes), permutations=999, resamples=50, min_prompts=2
    )
    setting = Setting.of(lab, request)
    tables = activation_tables(setting, reporter=SilentReporter())
    everywhere = {"prompt_rows": _rows(len(prompts))}
    return setting, {**tables, **everywhere}


def _rows(number: int):
    import pyarrow as pa

    return pa.table({"in_filtered": np.zeros(number, bool)})


def means(lab: Lab, setting: Setting, *, sae: str, hook: str) -> np.ndarray:
    """Mean activation of each latent in each prompt, ``[prompts, d_sae]``, prompt by prompt."""
    rows = []
    for prompt in setting.prompts:
        stream = lab.model.residuals(torch.tensor([prompt.tokens]), [hook])[hook][0, 1:]
        rows.append(lab.saes[sae].sae.encode(stream).mean(dim=0).numpy())
    return np.stack(rows)


@pytest.mark.lm
def test_each_layer_has_its_own_sae_and_stream(lab, study):
    setting, tables = study
    first = next(iter(lab.saes))
    # The published loop names a layer, and loads block 0's SAE and stream whatever it names.
    published = {
        key: means(lab, setting, sae=first, hook=lab.saes[first].hook.name) for key in lab.saes
    }
    ours = {key: Firing.of(tables, key, width=sae.d_sae).mean.toarray()
            for key, sae in lab.saes.items()}  # fmt: skip
    one, other = published.values()
    np.testing.assert_array_equal(one, other)
    for key, sae in lab.saes.items():
        own = means(lab, setting, sae=key, hook=sae.hook.name)
        # The last of the k largest may be another one where rounding makes it so.
        assert np.isclose(ours[key], own, atol=1e-2).mean() > 0.99
        assert np.isclose(published[key], own, atol=1e-2).all() == (key == first)
    assert not np.isclose(one, ours[key], atol=1e-2).mean() > 0.9


@pytest.mark.lm
def test_a_concept_of_a_later_layer_is_lost_by_the_first_layers_sae(lab, study):
    setting, tables = study
    early, late = lab.saes
    published = means(lab, setting, sae=early, hook=HOOKS[0])
    # In what the published loop calls the later layer, the latent never fires.
    assert not published[:, PLANTED].any()
    found = contrast_tables(setting, tables)["contrast"].to_pandas()
    best = found[(found["sae"] == late) & found["confirmed"]].sort_values("rank_order")
    assert best["index"].iloc[0] == PLANTED
    assert not ((found["sae"] == early) & (found["index"] == PLANTED)).any()


# --- indices that begin at 1 ---------------------------------------------------------------------


@pytest.mark.lm
def test_an_index_leads_to_the_row_of_the_sae_that_it_was_read_from(lab, study):
    setting, tables = study
    late = list(lab.saes)[1]
    sae = lab.saes[late].sae
    means_of = Firing.of(tables, late, width=lab.saes[late].d_sae).mean.toarray()
    gap = means_of[setting.concept].mean(axis=0) - means_of[~setting.concept].mean(axis=0)
    # Columns named 1 to d_sae, and the name taken for the index.
    named = {k + 1: gap[k] for k in range(len(gap))}
    published = max(named, key=named.__getitem__)
    assert published == PLANTED + 1
    wrong = torch.nn.functional.cosine_similarity(sae.W_dec[published], sae.W_dec[PLANTED], dim=0)
    assert abs(float(wrong)) < 0.9

    table = contrast_tables(setting, tables)["contrast"].to_pandas()
    best = table[table["sae"] == late].sort_values("rank_order").iloc[0]
    feature = FeatureRef.parse(best["feature"])
    assert (feature.sae, feature.index) == (late, PLANTED) == (late, best["index"])
    torch.testing.assert_close(directions(lab.saes[late], [feature.index])[0], sae.W_dec[PLANTED])


def test_the_first_and_the_last_feature_keep_their_places():
    rng = np.random.default_rng(0)
    control, concept = rng.exponential(size=(2, 20, 30))
    concept[:, 0] += 5
    concept[:, 29] += 9
    found = contrast(concept, control, permutations=199, resamples=50)
    table = found.table().to_pandas()
    assert table["feature"].tolist() == list(range(30))
    assert table.sort_values("rank")["feature"].tolist()[:2] == [29, 0]
    some = found.table(np.array([29, 0])).to_pandas()
    np.testing.assert_allclose(some["difference"], (concept - control).mean(axis=0)[[29, 0]])


# --- the rule against outliers -------------------------------------------------------------------


def published_top(concept: np.ndarray, control: np.ndarray, *, top: int) -> list[int]:
    """Rank by the difference of means, without differences beyond two standard deviations."""
    gap = concept.mean(axis=0) - control.mean(axis=0)
    kept = np.abs(gap - gap.mean()) <= 2 * gap.std()
    order = np.argsort(-gap, kind="stable")
    return [int(k) for k in order if kept[k]][:top]


@pytest.mark.parametrize("seed", range(5))
def test_the_strongest_feature_is_reported_as_an_outlier_and_kept(seed):
    rng = np.random.default_rng(seed)
    concept, control = rng.exponential(size=(2, 40, 300))
    planted = int(rng.integers(300))
    concept[:, planted] += 4
    assert planted not in published_top(concept, control, top=40)

    found = contrast(concept, control, permutations=499, resamples=50, seed=seed)
    assert found.rank[planted] == 1
    assert found.q[planted] < 0.05
    assert found.beyond_2sd[planted]
    assert found.rank_dropped[planted] == 0  # what the rule would have made of it
    assert found.beyond_robust[planted]
    assert any(f"feature {planted} " in note for note in found.outlier_notes(40))
    table = found.table().to_pandas()
    assert len(table) == 300
    assert table["difference"].idxmax() == planted


def test_prompts_in_which_a_feature_fires_strongly_are_counted_and_kept():
    rng = np.random.default_rng(1)
    concept, control = rng.exponential(0.1, size=(2, 50, 20))
    concept[:4, 7] += 30  # four prompts name what the feature stands for
    inside = np.abs(concept[:, 7] - concept[:, 7].mean()) <= 2 * concept[:, 7].std()
    assert abs(concept[inside, 7].mean() - control[:, 7].mean()) < 0.1  # dropped: nothing is left

    found = contrast(concept, control, permutations=199, resamples=50)
    assert found.rank[7] == 1
    assert found.difference[7] == pytest.approx((concept - control).mean(axis=0)[7])
    assert found.prompts_beyond[7] >= 4
    assert found.difference_without[7] < 0.1


# --- communities of correlations without their signs ---------------------------------------------


def opposed(seed: int, *, prompts: int = 40) -> np.ndarray:
    """Attributions of features that push an answer (0-4), that push against it whenever these
    push for it (5-9), and that do neither (10-14)."""
    rng = np.random.default_rng(seed)
    shared, other = rng.normal(size=(2, prompts, 1))
    signs = np.repeat([1.0, -1.0], 5)
    task = shared * signs + rng.normal(scale=0.25, size=(prompts, 10))
    return np.hstack([task, other + rng.normal(scale=0.25, size=(prompts, 5))])


def published_communities(values: np.ndarray) -> list[set[int]]:
    """Greedy modularity on the pairs whose correlation is beyond 0.7 in absolute value."""
    strong = np.abs(np.corrcoef(values.T)) > 0.7
    np.fill_diagonal(strong, val=False)
    graph = nx.from_numpy_array(strong.astype(int))
    return [set(group) for group in nx.algorithms.community.greedy_modularity_communities(graph)]


@pytest.mark.parametrize("seed", range(5))
def test_features_that_work_against_each_other_are_in_no_community_together(seed):
    values = opposed(seed)
    merged = next(group for group in published_communities(values) if 0 in group)
    assert merged >= set(range(10))  # both sides at once

    request = network_request()
    graphs = make_graphs(values, options=request.edges, threshold=request.published_r)
    again = list(
        resampled_graphs(
            values, graphs, options=request.edges, threshold=request.published_r,
            number=request.bootstraps, seed=0,
        )
    )  # fmt: skip
    found = find(graphs, again, request=request)
    for way in ("leiden", "signed"):
        labels = found.labels[way]
        sides = [set(labels[part].tolist()) for part in (slice(5), slice(5, 10), slice(10, 15))]
        assert [len(side) for side in sides] == [1, 1, 1]
        assert len(set.union(*sides)) == 3
        assert -1 not in set.union(*sides)
        assert negative_inside(labels, graphs) == (0, 25)
    table = community_table(found, graphs).to_pandas()
    inside = table.groupby("way")["published_negative_inside"].sum()
    assert inside["published"] == 25  # the published way is shown for what it joins
    assert inside["signed"] == 0


def network_request() -> NetworkRequest:
    prompts = tuple(
        PromptText(id=str(k), prompt="the heart", answer=" pumps", foils=(" blood",))
        for k in range(8)
    )
    return NetworkRequest(
        name="toy", prompts=prompts, sae="tiny/blocks.1.hook_resid_pre/s",
        edges=EdgeOptions(resamples=20), bootstraps=6, seeds=4, greedy_bootstraps=4,
    )  # fmt: skip
