"""Residual streams, edits and preflight on tiny models, held against TransformerLens."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from atlas.errors import ModelError
from atlas.hooks import HookPoint
from atlas.lm import LanguageModel
from atlas.recipe import TokensSection
from atlas.saes import load_sae
from ingest.blocks import batches, keep_mask, tokenize
from ingest.evaluate import evaluate
from ingest.preflight import measure
from tests import tiny


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def folder(request, tmp_path_factory):
    return tiny.model(tmp_path_factory.mktemp(request.param), family=request.param)


@pytest.fixture(scope="module")
def model(folder):
    return LanguageModel.load(str(folder), device="cpu", dtype=torch.float32)


HOOKS = ["blocks.0.hook_resid_pre", "blocks.2.hook_resid_pre", "blocks.1.hook_resid_post"]


def test_residuals_are_those_of_transformerlens(model, folder):
    from transformer_lens.model_bridge import TransformerBridge

    tokens = torch.randint(0, 30, (3, 11))
    bridge = TransformerBridge.boot_transformers(str(folder), dtype=torch.float32, device="cpu")
    _, cache = bridge.run_with_cache(tokens)
    streams = model.residuals(tokens, HOOKS)
    assert sorted(streams) == sorted(HOOKS)
    for hook in HOOKS:
        torch.testing.assert_close(streams[hook], cache[hook], atol=1e-4, rtol=1e-4)


def test_the_forward_pass_stops_at_the_deepest_hook(model):
    ran = []
    handles = [
        block.register_forward_hook(lambda m, i, o, n=n: ran.append(n))
        for n, block in enumerate(model.blocks)
    ]
    try:
        model.residuals(torch.zeros(1, 4, dtype=torch.int64), ["blocks.2.hook_resid_pre"])
    finally:
        for handle in handles:
            handle.remove()
    assert ran == [0, 1]


def test_right_padding_changes_nothing_before_it(model):
    tokens = torch.randint(0, 30, (1, 6))
    padded = torch.cat([tokens, torch.zeros(1, 5, dtype=torch.int64)], dim=1)
    hook = "blocks.3.hook_resid_pre"
    short, long = model.residuals(tokens, [hook])[hook], model.residuals(padded, [hook])[hook]
    torch.testing.assert_close(long[:, :6], short, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("hook", ["blocks.2.hook_resid_pre", "blocks.1.hook_resid_post"])
def test_editing_a_stream(model, hook):
    tokens = torch.randint(0, 30, (2, 7))
    plain = model.logits(tokens)
    torch.testing.assert_close(model.logits(tokens, hook=hook, edit=lambda x: x + 0), plain)
    zeroed = model.logits(tokens, hook=hook, edit=torch.zeros_like)
    assert (zeroed - plain).abs().max() > 1e-2
    torch.testing.assert_close(model.logits(tokens), plain)  # nothing stays behind


def test_unknown_hooks_and_models_are_named(model, tmp_path):
    with pytest.raises(ModelError, match="not a residual-stream hook"):
        HookPoint.parse("blocks.1.hook_mlp_out")
    with pytest.raises(ModelError, match="4 blocks"):
        model.residuals(torch.zeros(1, 2, dtype=torch.int64), ["blocks.9.hook_resid_pre"])
    with pytest.raises(ModelError, match="cannot be loaded"):
        LanguageModel.load(str(tmp_path))


def test_codes_are_what_the_sae_encodes(model, tmp_path):
    stream = torch.randn(9, 32)
    loaded = load_sae(str(tiny.sae(tmp_path / "s")), device="cpu")
    row, index, value = loaded.codes(stream)
    dense = torch.zeros(9, loaded.d_sae)
    dense[row, index.long()] = value
    torch.testing.assert_close(dense, loaded.sae.encode(stream))
    assert (value > 0).all()
    place = row * loaded.d_sae + index
    assert (place[1:] > place[:-1]).all()


def test_codes_of_many_positions_are_those_of_each_part(model, tmp_path, monkeypatch):
    stream = torch.randn(11, 32)
    loaded = load_sae(str(tiny.sae(tmp_path / "s")), device="cpu")
    whole = loaded.codes(stream)
    monkeypatch.setattr("atlas.saes.DENSE_CELLS", 4 * loaded.d_sae)
    for one, two in zip(whole, loaded.codes(stream), strict=True):
        assert one.tolist() == two.tolist()
    assert [len(part) for part in loaded.codes(stream[:0])] == [0, 0, 0]


def test_an_sae_that_cannot_be_had_is_named(tmp_path):
    with pytest.raises(ModelError, match="There is no SAE 'nowhere'"):
        load_sae("nowhere")
    (tmp_path / "cfg.json").write_text("{}")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_sae(str(tmp_path))


def fitted(model, folder):
    blocks = list(tokenize(tiny.texts(), model.tokenizer, context_size=32, bos=model.bos_token_id))
    hook = "blocks.2.hook_resid_pre"
    kept = []
    for batch in batches(blocks, batch_tokens=512, pad=0):
        stream = model.residuals(batch.tokens, [hook])[hook]
        kept.append(stream[keep_mask(stream, batch.lengths)])
    return blocks, load_sae(str(tiny.sae(folder, stream=torch.cat(kept))), device="cpu")


def test_preflight_measures_a_fitting_sae_and_refuses_others(model, tmp_path):
    _, sae = fitted(model, tmp_path / "fits")
    figures = measure(model, sae, tiny.texts(), options=TokensSection(context_size=32))
    assert figures.unexplained < 0.3
    assert figures.l0 == pytest.approx(10, abs=0.5)
    narrow = load_sae(str(tiny.sae(tmp_path / "narrow", d_in=16)), device="cpu")
    with pytest.raises(ModelError, match="input width 16"):
        measure(model, narrow, tiny.texts(), options=TokensSection())
    deep = load_sae(str(tiny.sae(tmp_path / "deep", hook="blocks.7.hook_resid_pre")), device="cpu")
    with pytest.raises(ModelError, match="has 4 blocks"):
        measure(model, deep, tiny.texts(), options=TokensSection())
    foreign = load_sae(str(tiny.sae(tmp_path / "foreign")), device="cpu")
    foreign.sae.W_dec.data *= 30
    with pytest.raises(ModelError, match="do not belong together"):
        measure(model, foreign, tiny.texts(), options=TokensSection())


def test_evaluation_of_a_perfect_and_of_a_useless_sae(model, tmp_path):
    blocks, sae = fitted(model, tmp_path / "s")
    good = evaluate(model, sae, blocks)
    assert 0 < good.unexplained < 0.3
    assert good.positions > 500
    sae.sae.W_enc.data *= 0
    sae.sae.b_enc.data -= 1
    nothing = evaluate(model, sae, blocks)
    assert nothing.dead == 1.0
    # Nothing fires, so the reconstruction is b_dec, the mean: all variance, no loss recovered.
    assert nothing.unexplained == pytest.approx(1.0, abs=1e-3)
    assert nothing.loss_recovered == pytest.approx(0.0, abs=0.02)
    assert good.loss_recovered > nothing.loss_recovered


def test_blocks_keep_documents_apart():
    class Tokens:
        def __call__(self, text, **_):
            return {"input_ids": [int(t) for t in text.split()]}

    texts = ["1 2 3 4 5", "", "6"]
    blocks = list(tokenize(texts, Tokens(), context_size=4, bos=0))
    assert [(b.document, b.start, b.tokens.tolist()) for b in blocks] == [
        (0, 0, [0, 1, 2, 3]),
        (0, 3, [0, 4, 5]),
        (2, 0, [0, 6]),
    ]


def test_mask_drops_bos_padding_and_sinks():
    stream = torch.ones(2, 6, 4)
    stream[0, 3] = 50  # a sink
    keep = keep_mask(stream, torch.tensor([6, 3]))
    assert keep.tolist() == [
        [False, True, True, False, True, True],
        [False, True, True, False, False, False],
    ]


def test_what_is_not_finite_is_never_taken_for_a_sink():
    from ingest.codes import check_finite

    stream = torch.ones(1, 5, 4)
    stream[0, 2, 1] = float("nan")
    stream[0, 3] = float("inf")
    keep = keep_mask(stream, torch.tensor([5]))
    assert keep.tolist() == [[False, True, True, True, True]]
    with pytest.raises(ModelError, match=r"not finite at blocks.2.*document 7"):
        check_finite(stream[keep], "blocks.2.hook_resid_pre", np.array([6, 7, 7, 8]), "tiny")
