"""TopK training steps whose decoder and gradients touch only the latents that fire.

Of the five matrix products of a TopK SAE's training step four have an operand with k of d_sae
entries a row. Done densely, as in SAELens's own class, they are most of the cost on a CPU; here
they are sums over the k entries. The mathematics is SAELens's: same loss, same auxiliary loss
for dead latents, same gradients up to rounding (a test holds one against the other).
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import torch
from sae_lens.saes.sae import TrainStepInput, TrainStepOutput
from sae_lens.saes.topk_sae import TopKTrainingSAE, TopKTrainingSAEConfig
from sae_lens.training.sae_trainer import SAETrainer

from atlas.progress import Reporter, SilentReporter

if TYPE_CHECKING:
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

#: The auxiliary loss is the mean over this many rows of a batch (which is shuffled): it is the
#: one dense product left, and costs more than all else where many latents are dead.
AUXILIARY_ROWS = 512


@numba.njit(parallel=True, fastmath=True, cache=True)
def _gather_sum(
    coeff: NDArray[np.float32], index: NDArray[np.int64], weight: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Row b of the result is the sum over k of coeff[b, k] * weight[index[b, k]]."""
    out = np.zeros((index.shape[0], weight.shape[1]), np.float32)
    for b in numba.prange(index.shape[0]):
        for k in range(index.shape[1]):
            c = coeff[b, k]
            if c != 0.0:
                row = weight[index[b, k]]
                for d in range(weight.shape[1]):
                    out[b, d] += c * row[d]
    return out


@numba.njit(parallel=True, fastmath=True, cache=True)
def _gather_dot(
    x: NDArray[np.float32], index: NDArray[np.int64], weight: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Entry [b, k] of the result is the dot product of x[b] and weight[index[b, k]]."""
    out = np.empty(index.shape, np.float32)
    for b in numba.prange(index.shape[0]):
        for k in range(index.shape[1]):
            row = weight[index[b, k]]
            total = np.float32(0.0)
            for d in range(weight.shape[1]):
                total += x[b, d] * row[d]
            out[b, k] = total
    return out


@numba.njit(parallel=True, fastmath=True, cache=True)
def _scatter_outer(
    coeff: NDArray[np.float32],
    order: NDArray[np.int64],
    bounds: NDArray[np.int64],
    x: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Row j of the result is the sum of coeff * x[b] over the entries (b, k) of latent j.

    `order` lists flat entries sorted by latent; those of j lie in bounds[j]:bounds[j + 1].
    """
    k = coeff.shape[1]
    out = np.zeros((bounds.shape[0] - 1, x.shape[1]), np.float32)
    for j in numba.prange(bounds.shape[0] - 1):
        for e in range(bounds[j], bounds[j + 1]):
            b = order[e] // k
            c = coeff[b, order[e] - b * k]
            if c != 0.0:
                for d in range(x.shape[1]):
                    out[j, d] += c * x[b, d]
    return out


def _by_latent(index: NDArray[np.int64], d_sae: int) -> tuple[NDArray[Any], NDArray[Any]]:
    flat = index.ravel()
    order = np.argsort(flat, kind="stable")
    bounds = np.zeros(d_sae + 1, np.int64)
    np.cumsum(np.bincount(flat, minlength=d_sae), out=bounds[1:])
    return order, bounds


class _EncodeTopK(torch.autograd.Function):
    """(x [B, d], W_enc [d, d_sae], b_enc, norm [d_sae], k) -> values [B, k], index [B, k]."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        w_enc: torch.Tensor,
        b_enc: torch.Tensor,
        norm: torch.Tensor,
        k: int,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        scaled = (w_enc.T * norm[:, None]).to(torch.bfloat16)
        pre = torch.addmm((b_enc * norm).to(scaled), x.to(scaled), scaled.T)
        values, index = pre.topk(k, dim=-1, sorted=False)
        values = values.float().relu()
        ctx.save_for_backward(x, w_enc, b_enc, norm, values, index)
        ctx.mark_non_differentiable(index)
        return values, index

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor, _: Any) -> Any:
        x, w_enc, b_enc, norm, values, index = ctx.saved_tensors
        on = (values > 0).float() * grad
        picked = norm[index]
        idx = index.numpy()
        order, bounds = _by_latent(idx, norm.shape[0])
        coeff = (on * picked).contiguous()
        grad_w = torch.from_numpy(
            _scatter_outer(coeff.numpy(), order, bounds, x.contiguous().numpy())
        ).T
        flat = index.reshape(-1)
        zero = torch.zeros_like(b_enc)
        grad_b = zero.index_add(0, flat, coeff.reshape(-1))
        safe = values / picked.clamp_min(1e-12)  # values = norm * (x W + b)
        grad_norm = zero.index_add(0, flat, (on * safe).reshape(-1))
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = torch.from_numpy(_gather_sum(coeff.numpy(), idx, _rows(w_enc)))
        return grad_x, grad_w, grad_b, grad_norm, None


def _rows(w_enc: torch.Tensor) -> NDArray[np.float32]:
    rows: NDArray[np.float32] = w_enc.detach().T.contiguous().numpy()
    return rows


class _DecodeTopK(torch.autograd.Function):
    """(coeff [B, k], index [B, k], W_dec [d_sae, d]) -> sum of coeff * W_dec[index] [B, d]."""

    @staticmethod
    def forward(
        ctx: Any, coeff: torch.Tensor, index: torch.Tensor, w_dec: torch.Tensor
    ) -> torch.Tensor:
        ctx.save_for_backward(coeff, index, w_dec)
        coeff = coeff.contiguous()
        return torch.from_numpy(_gather_sum(coeff.numpy(), index.numpy(), w_dec.numpy()))

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        coeff, index, w_dec = ctx.saved_tensors
        out = grad.contiguous().numpy()
        idx = index.numpy()
        grad_coeff = torch.from_numpy(_gather_dot(out, idx, w_dec.numpy()))
        order, bounds = _by_latent(idx, w_dec.shape[0])
        grad_w = torch.from_numpy(_scatter_outer(coeff.contiguous().numpy(), order, bounds, out))
        return grad_coeff, None, grad_w


class SparseTopKTrainingSAE(TopKTrainingSAE):
    """SAELens's TopK training SAE with sparse decode and gradients, for training on a CPU.

    In its `TrainStepOutput`, `feature_acts` holds the ``[B, k]`` values and `hidden_pre` their
    int64 ``[B, k]`` latent indices, as `SparseTopKTrainer` expects.
    """

    def initialize_weights(self) -> None:
        """Initialise as SAELens does; keep W_enc column-major, as its gradient comes."""
        super().initialize_weights()
        self.W_enc.data = self.W_enc.data.T.contiguous().T

    def training_forward_pass(self, step_input: TrainStepInput) -> TrainStepOutput:
        """Return loss and outputs of one step (see the class for what is in them)."""
        sae_in = self.process_sae_in(step_input.sae_in)
        norm = self.W_dec.norm(dim=-1)
        values, index = _EncodeTopK.apply(sae_in, self.W_enc, self.b_enc, norm, self.cfg.k)
        coeff = values / norm[index]
        sae_out = _DecodeTopK.apply(coeff, index, self.W_dec) + self.b_dec
        mse = (sae_out - step_input.sae_in).pow(2).sum(dim=-1).mean()
        aux = self._dead_latent_loss(step_input, sae_in, sae_out, norm)
        return TrainStepOutput(
            sae_in=step_input.sae_in,
            sae_out=sae_out,
            feature_acts=values.detach(),
            hidden_pre=index,
            loss=mse + aux,
            losses={"mse_loss": mse, "auxiliary_reconstruction_loss": aux},
        )

    def _dead_latent_loss(
        self,
        step_input: TrainStepInput,
        sae_in: torch.Tensor,
        sae_out: torch.Tensor,
        norm: torch.Tensor,
    ) -> torch.Tensor:
        """SAELens's auxiliary loss, computed over the dead latents' columns alone."""
        mask = step_input.dead_neuron_mask
        if mask is None or not bool(mask.any()):
            return sae_out.new_tensor(0.0)
        dead = mask.nonzero().squeeze(-1)
        some = slice(AUXILIARY_ROWS)
        sae_in = sae_in[some]
        k_aux = sae_in.shape[-1] // 2
        scale = min(len(dead) / k_aux, 1.0)
        pre = (sae_in @ self.W_enc[:, dead] + self.b_enc[dead]) * norm[dead]
        top = pre.topk(min(k_aux, len(dead)), dim=-1, sorted=False)
        acts = torch.zeros_like(pre).scatter(-1, top.indices, top.values)
        recons = (acts / norm[dead]) @ self.W_dec[dead]
        residual = (step_input.sae_in[some] - sae_out[some]).detach()
        loss = (recons - residual).pow(2).sum(dim=-1).mean()
        weighted: torch.Tensor = self.cfg.aux_loss_coefficient * scale * loss
        return weighted


class SparseTopKTrainer(SAETrainer[SparseTopKTrainingSAE, TopKTrainingSAEConfig]):
    """SAELens's trainer, with firing statistics from latent indices and a fused Adam."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.reporter: Reporter = SilentReporter()
        for group in self.optimizer.param_groups:
            group["fused"], group["foreach"] = True, False

    def fit(self) -> SparseTopKTrainingSAE:
        """Train to the end under one progress bar."""
        title = f"training {self.sae.cfg.metadata.hook_name}"
        with self.reporter.step(title, self.cfg.total_training_samples) as self._advance:
            trained: SparseTopKTrainingSAE = super().fit()
            return trained

    def save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        """Save a checkpoint and mark it complete, so that a resume never takes half of one."""
        self.sae.W_enc.data = self.sae.W_enc.data.contiguous()
        super().save_checkpoint(*args, **kwargs)
        self.sae.W_enc.data = self.sae.W_enc.data.T.contiguous().T
        folder = Path(self.cfg.checkpoint_path or ".") / kwargs["checkpoint_name"]
        (folder / "complete").touch()

    def _update_pbar(
        self, step_output: TrainStepOutput, pbar: Any, update_interval: int = 20
    ) -> None:
        del pbar
        if self.n_training_steps % update_interval == 0:
            self._advance(self.n_training_samples)
            residual = step_output.sae_in - step_output.sae_out.detach()
            variance = (step_output.sae_in - step_output.sae_in.mean(0)).pow(2).sum()
            unexplained = float(residual.pow(2).sum() / variance)
            dead = int(self.dead_neurons.sum())
            log.info(
                "%d samples: unexplained %.4f, dead %d", self.n_training_samples, unexplained, dead
            )

    def _train_step(self, sae: SparseTopKTrainingSAE, sae_in: torch.Tensor) -> TrainStepOutput:
        sae.train()
        step = TrainStepInput(
            sae_in=sae_in,
            dead_neuron_mask=self.dead_neurons,
            coefficients=self.get_coefficients(),
            n_training_steps=self.n_training_steps,
            is_logging_step=False,
        )
        output = sae.training_forward_pass(step)
        fired = output.hidden_pre[output.feature_acts > 0]
        counts = torch.bincount(fired, minlength=sae.cfg.d_sae)
        self.n_forward_passes_since_fired += 1
        self.n_forward_passes_since_fired[counts > 0] = 0
        self.act_freq_scores += counts
        self.n_frac_active_samples += len(sae_in)
        output.loss.backward()
        torch.nn.utils.clip_grad_norm_(sae.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.lr_scheduler.step()
        return output
