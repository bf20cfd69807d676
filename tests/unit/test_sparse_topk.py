"""The sparse training step against SAELens's own."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("sae_lens")

from sae_lens.saes.sae import TrainStepInput
from sae_lens.saes.topk_sae import TopKTrainingSAE, TopKTrainingSAEConfig

from atlas.recipe import TrainedSaeSection
from ingest.sparse_topk import SparseTopKTrainingSAE
from ingest.train_sae import shuffled_batches, train


def config():
    return TopKTrainingSAEConfig(
        d_in=24, d_sae=96, k=5, normalize_activations="none", apply_b_dec_to_input=True
    )


@pytest.mark.parametrize("dead", [0, 10])
def test_loss_and_gradients_are_those_of_saelens(dead):
    torch.manual_seed(0)
    theirs, ours = TopKTrainingSAE(config()), SparseTopKTrainingSAE(config())
    for parameter in theirs.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    # Weights and data that bfloat16 holds exactly, so that both select the same latents.
    for parameter in theirs.parameters():
        parameter.data = (parameter.data * 64).round() / 64
    ours.load_state_dict(theirs.state_dict())
    x = (torch.randn(200, 24) * 8).round() / 8
    mask = torch.zeros(96, dtype=torch.bool)
    mask[:dead] = True
    step = TrainStepInput(
        sae_in=x, dead_neuron_mask=mask, coefficients={}, n_training_steps=0, is_logging_step=False
    )
    outputs = [sae.training_forward_pass(step) for sae in (theirs, ours)]
    for output in outputs:
        output.loss.backward()
    for name in ("mse_loss", "auxiliary_reconstruction_loss"):
        a, b = (output.losses[name].item() for output in outputs)
        assert b == pytest.approx(a, rel=2e-2)
    for name, parameter in theirs.named_parameters():
        gradient = dict(ours.named_parameters())[name].grad
        assert (gradient - parameter.grad).norm() <= 0.1 * parameter.grad.norm(), name


def test_batches_resume_where_they_stopped():
    data = torch.arange(70, dtype=torch.bfloat16)[:, None]
    whole = shuffled_batches(data, batch=8, seed=3)
    seen = [next(whole) for _ in range(20)]
    resumed = shuffled_batches(data, batch=8, seed=3, skip=11)
    for expected in seen[11:]:
        assert torch.equal(next(resumed), expected)
    assert len(torch.cat(seen[:8]).unique()) == 64  # an epoch repeats nothing


def section(**changes):
    base = {
        "name": "t", "hook": "blocks.1.hook_resid_pre", "d_sae": 64, "k": 4, "positions": 4096,
        "epochs": 8.0, "batch": 256, "lr": 3e-3, "checkpoints": 3,
    }  # fmt: skip
    return TrainedSaeSection(**{**base, **changes})


def planted(seed=0):
    """Sums of 4 of 32 random directions."""
    torch.manual_seed(seed)
    directions = torch.randn(32, 16)
    on = torch.rand(4096, 32).argsort(dim=-1)[:, :4]
    return directions[on].sum(dim=1).to(torch.bfloat16)


def test_training_learns_and_a_killed_one_resumes_to_the_same_weights(tmp_path):
    from sae_lens import SAE

    data = planted()
    whole = train(section(), data, model_name="m", context_size=8, out=tmp_path / "whole")
    sae = SAE.load_from_disk(str(whole))
    x = data.float()
    error = (x - sae.decode(sae.encode(x))).pow(2).sum() / (x - x.mean(0)).pow(2).sum()
    assert error < 0.35
    assert sae.cfg.metadata.hook_name == "blocks.1.hook_resid_pre"

    checkpoints = sorted((tmp_path / "whole" / "checkpoints").iterdir(), key=lambda p: int(p.name))
    later = tmp_path / "resumed" / "checkpoints"
    later.mkdir(parents=True)
    checkpoints[0].rename(later / checkpoints[0].name)
    again = train(section(), data, model_name="m", context_size=8, out=tmp_path / "resumed")
    other = SAE.load_from_disk(str(again))
    torch.testing.assert_close(other.W_dec, sae.W_dec, atol=2e-3, rtol=2e-3)
