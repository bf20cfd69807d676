"""The network study on a tiny model: the whole of it, gone on with, run again, and reported."""

from __future__ import annotations

import itertools
import re
from html import escape

import numpy as np
import pytest
import torch

from atlas.errors import CorpusError, NotFoundError, UsageError
from ingest.attribution.aggregate import kept_features
from ingest.attribution.batches import attribute_prompts
from ingest.attribution.options import AttributionOptions, EdgeOptions
from queries.followups.evidence import open_evidence, save_evidence
from queries.followups.lab import Lab, PromptText
from queries.followups.replay import replay
from queries.studies.network import steer
from queries.studies.network.attributions import matrix, tokenised
from queries.studies.network.estimate import estimate, steering_jobs
from queries.studies.network.prompts import candidate_table
from queries.studies.network.report import write_study_report
from queries.studies.network.run import NetworkRequest, run
from tests import tiny

pytestmark = pytest.mark.lm

HOOK = "blocks.2.hook_resid_pre"
ANSWERS = (" blood", " music", " law")


TOPICS = (("heart", "pumps"), ("band", "sings"), ("court", "trial"))


def prompts(number=48):
    """Prompts of three topics, one an answer: their features' attributions go together."""
    rng = np.random.default_rng(0)
    found = []
    for place in range(number):
        answer, topic = ANSWERS[place % 3], TOPICS[place % 3]
        words = (topic[rng.integers(2)], rng.choice(["the", "a", "of"]))
        foils = tuple(other for other in ANSWERS if other != answer)
        found.append(
            PromptText(id=f"p{place}", prompt=f"the {' '.join(words)} the", answer=answer,
                       foils=foils, group=answer.strip())
        )  # fmt: skip
    return tuple(found)


def small(sae, **other):
    """A request of small numbers, on all prompts."""
    values = {
        "name": "tiny", "prompts": prompts(), "sae": sae, "keep": "all", "features": 0.3,
        "foil": "all", "edges": EdgeOptions(resamples=10), "published_r": 0.5,
        "bootstraps": 4, "seeds": 3, "greedy_bootstraps": 3, "rank_bootstraps": 6,
        "null_graphs": 9, "steered_prompts": 14, "steered_features": 16, "sets": 3,
        "set_sizes": (2,), "units": ("global_max", "fixed"), "factors": (0.5, 2.0),
        "other_factors": (2.0,),
        "tested_factors": (0.5, 2.0), "graph_factors": (2.0,), "permutations": 99,
        "resamples": 99,
    }  # fmt: skip
    return NetworkRequest(**(values | other))


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    root = tmp_path_factory.mktemp("inputs")
    tiny.fit(root, {"sae": HOOK})
    return Lab.load(str(root / "model"), [str(root / "sae")], device="cpu")


@pytest.fixture(scope="module")
def sae(lab):
    return next(iter(lab.saes))


@pytest.fixture(scope="module")
def request_(sae):
    return small(sae)


class KilledError(Exception):
    pass


@pytest.fixture(scope="module")
def runs(lab, request_, tmp_path_factory):
    """A study that is killed at its third sweep and gone on with: sweeps and stages of both."""
    work, whole, made = tmp_path_factory.mktemp("work"), steer.sweep, []

    def dying(*args, **options):
        made.append(1)
        if len(made) == 3:
            raise KilledError
        return whole(*args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steer, "sweep", dying)
        with pytest.raises(KilledError):
            run(lab, request_, work=work)
        kept = sorted(path.parent.name for path in work.glob("*/*/stage.json"))
        found = run(lab, request_, work=work)
    stages = len(list(work.glob("*/steering-*")))
    return {"found": found, "kept": kept, "sweeps": len(made), "stages": stages}


@pytest.fixture(scope="module")
def found(runs):
    return runs["found"]


def test_whole_study_has_its_tables_and_verdicts(found, request_):
    frames = {name: table.to_pandas() for name, table in found.tables.items()}
    known = frames["known"]
    assert known["candidates"][0] == known["kept"][0] == 48
    assert known["first"][1:].sum() == known["first"][0]
    assert set(frames["networks"]["aggregation"]) == {"first", "last", "max", "sum"}
    names = frames["findings"]["name"].tolist()
    assert [name[:2] for name in names[1:4]] == ["H1", "H2", "H3"]
    assert not frames["findings"]["verdict"].str.startswith("not tested").iloc[:4].any()
    assert frames["candidates"]["steered"].sum() == 14
    assert set(frames["units"]["kind"]) == {"single", "control", "within", "between", "control_set"}
    assert found.notes[0].startswith(f"{known['first'][0]} of 48 rank first")
    assert found.kind == "network_study"
    assert found.request["name"] == "tiny"


def test_steering_is_that_of_whole_passes(lab, found, request_):
    """One feature added at its largest activation times four: the published rule, base -2."""
    steering = found.tables["steering"].to_pandas()
    activity = found.tables["activity"].to_pandas().set_index("feature")
    rows = steering[(steering["unit"] == "global_max") & (steering["factor"] == 2.0)]
    feature = int(next(name for name in rows["name"].astype(str) if name.isdigit()))
    rows = rows[rows["name"] == str(feature)]
    loaded = lab.sae(request_.sae)
    texts = {text.id: text for text in request_.prompts}
    for _, row in rows.iterrows():
        task = lab.prompts([texts[row["prompt"]]])[0][0]
        published = -2.0 * row["factor"] * activity.loc[feature, "maximum"]

        def edit(stream, published=published):
            after = stream.clone()
            after[:, 1:] -= published * loaded.sae.W_dec[feature]
            return after

        logits = lab.model.logits(torch.tensor([task.tokens]), hook=HOOK, edit=edit)[0, -1].float()
        assert row["logit"] == pytest.approx(float(logits[task.target]), abs=1e-3)
        assert row["rank"] == 1 + int((logits > logits[task.target]).sum())


def test_attributions_are_those_of_the_attribution_stage(lab, found, request_):
    attributions = found.tables["attributions"]
    rows = found.tables["candidates"].to_pylist()
    texts = [
        PromptText(id=row["prompt"], prompt=row["text"], answer=row["answer"],
                   foils=tuple(row["foils"])) for row in rows
    ]  # fmt: skip
    tasks = lab.prompts(texts)[0]
    for how in request_.aggregations:
        options = AttributionOptions(metric="logit-diff", aggregation=how)
        wanted = attribute_prompts(
            lab.model, [lab.sae(request_.sae)], tokenised(tasks), options=options
        )
        features = np.unique(attributions["feature"].to_numpy())
        ids = [text.id for text in texts]
        np.testing.assert_allclose(
            matrix(attributions, how, prompts=ids, features=features),
            wanted.entries.take(features).dense(48, features), atol=1e-4,
        )  # fmt: skip
        counts = {row["aggregation"]: row for row in found.tables["counts"].to_pylist()}[how]
        assert counts["union"] == len(kept_features(wanted.entries, 1))
        assert counts["intersection"] == len(kept_features(wanted.entries, 48))


def test_sets_within_and_between_have_the_same_features(found):
    units = found.tables["units"].to_pylist()
    of = {kind: [u for u in units if u["kind"] == kind] for kind in ("within", "between")}
    assert of["within"]
    assert of["between"]
    assert all(len(set(u["communities"])) == 1 for u in of["within"])
    assert all(len(set(u["communities"])) > 1 for u in of["between"])
    members = {kind: list(itertools.chain(*(u["features"] for u in some)))
               for kind, some in of.items()}  # fmt: skip
    assert set(members["between"]) <= set(members["within"])


def test_controls_are_outside_of_the_network(found):
    edges = found.tables["edges"]
    linked = {*edges["source"].to_pylist(), *edges["target"].to_pylist()}
    for unit in found.tables["units"].to_pylist():
        if unit["kind"] in {"control", "control_set"}:
            assert not linked & set(unit["features"])
            assert unit["matched"]


def test_effects_of_the_graph_are_means_of_the_steering(found):
    steering = found.tables["steering"].to_pandas()
    candidates = found.tables["candidates"].to_pandas().set_index("prompt")
    effects = found.tables["effects"].to_pandas()
    for unit in found.tables["graph_units"].to_pylist()[::5]:
        rows = steering[
            (steering["name"] == unit["name"]) & (steering["factor"] == unit["factor"])
            & (steering["normalise"] == unit["normalise"]) & (steering["unit"] == "global_max")
        ]  # fmt: skip
        own = effects[effects["intervention"] == unit["intervention"]].set_index("metric")
        for metric in ("rank", "logit_diff", "entropy_top10"):
            change = rows[metric].to_numpy() - candidates.loc[rows["prompt"], metric].to_numpy()
            assert own.loc[metric, "change"] == pytest.approx(change.mean(), abs=1e-9)
    on = found.tables["on"].to_pandas()
    assert set(on["strength"]) <= {4.0}


def test_killed_study_goes_on_where_it_was(runs):
    assert {"prompts", "attributions", "activity", "structure", "units"} <= set(runs["kept"])
    assert sum(name.startswith("steering") for name in runs["kept"]) == 2
    # The killed sweep is made twice, the others once.
    assert runs["sweeps"] == runs["stages"] + 1


def test_study_that_was_killed_is_the_same_as_one_that_was_not(lab, found, tmp_path):
    folder = save_evidence(found, tmp_path)
    assert sum(file.stat().st_size for file in folder.iterdir()) < 3e6
    result = replay(open_evidence(folder), lab=lab)
    assert result.same, result.differences
    assert result.compared > 10_000


def test_report_says_what_was_found_and_needs_nothing_else(found, tmp_path):
    page = write_study_report(found, tmp_path / "one")
    text = page.read_text("utf-8")
    first = found.tables["known"]["first"][0].as_py()
    assert f"The model gets {first} of 48 prompts right" in text
    for name in ("H1", "H2", "H3"):
        verdict = next(
            row["verdict"] for row in found.tables["findings"].to_pylist()
            if row["name"].startswith(name)
        )  # fmt: skip
        assert escape(verdict) in text
    pairs = found.tables["networks"]["tested"][0].as_py()
    assert f"Benjamini-Hochberg over {pairs} pairs" in text
    assert not re.search(r'(src|href)="https?://|<script|@import|url\((?![\"\']?#)', text)
    made = {file.name for file in (tmp_path / "one" / "figures").iterdir()}
    assert {"graph.svg", "correlations.svg", "curve-logit-diff.svg", "centrality.svg"} <= made
    again = write_study_report(found, tmp_path / "two")
    assert again.read_bytes() == page.read_bytes()


def test_few_right_prompts_are_refused_with_what_to_do(lab, sae):
    with pytest.raises(CorpusError, match=r"of 9 prompts are kept.*keep = 'choice'"):
        run(lab, small(sae, prompts=prompts(9), keep="first"))
    with pytest.raises(CorpusError, match=r"of 7 prompts are kept"):
        run(lab, small(sae, prompts=prompts(7)))
    bare = tuple(text.model_copy(update={"answer": None}) for text in prompts(9))
    with pytest.raises(UsageError, match="has no answer"):
        run(lab, small(sae, prompts=bare))
    with pytest.raises(NotFoundError, match="not loaded"):
        run(lab, small("tiny/blocks.2.hook_resid_pre/other"))


def test_foil_that_begins_like_the_answer_is_left_out(lab, sae):
    odd = tuple(
        text.model_copy(update={"foils": (*text.foils, text.answer + " heart")})
        for text in prompts(12)
    )
    table, notes = candidate_table(lab, small(sae, prompts=odd, foil="all"))
    assert table["foils_left_out"].to_pylist() == [1] * 12
    assert any("left out" in note for note in notes)
    for row, text in zip(table.to_pylist(), odd, strict=True):
        task = lab.prompts([text.model_copy(update={"foils": text.foils[:2]})])[0][0]
        logits = lab.model.logits(torch.tensor([task.tokens]))[0, -1].float()
        right, foils = logits[task.target], logits[list(task.foils)]
        assert row["choice"] == bool((right > foils).all())
        assert row["logit_diff"] == pytest.approx(float(right - foils.mean()), abs=1e-3)
        assert row["first"] == bool(right == logits.max())


def test_estimate_counts_passes_without_running_the_study(lab, request_, found):
    rows = estimate(lab, request_)
    assert [row["step"] for row in rows] == ["prompts", "attributions", "steering", "statistics"]
    assert all(row["seconds"] > 0 for row in rows)
    assert steering_jobs(request_) >= found.tables["steering"].num_rows
    assert steering_jobs(request_) < 3 * found.tables["steering"].num_rows
