"""The linearisation of a circuit: what fires at each hook, and derivatives from hook to hook.

That of sparse feature circuits (Marks et al. 2024). At every hook after the first the stream is
x = decode(f(x)) + error with the error held at its value: a deeper feature hears of a shallower one
through features alone. What lies between two hooks, attention, norms and MLPs, is differentiated
at the prompt. An edge from i to j weighs a_i * da_j/da_i. Since a residual stream passes everything
on, effects skip no hook: edges join successive ones.
"""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch

from atlas.hooks import StopForwardError, editing
from ingest.attribution.features import reconstruct
from queries.followups.codes import directions, unit_scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from atlas.gradients import Edit
    from atlas.lm import LanguageModel
    from atlas.saes import LoadedSae

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Level:
    """One SAE's reading of a prompt.

    Attributes
    ----------
    key, sae
        The SAE.
    layer
        Its number in the ids of nodes: the hook's block, or its depth where two share a block.
    stream, error
        ``[positions, d_model]``, BOS included.
    row, index, value
        What fires after BOS: position (BOS is 0), latent index, activation; by row, then index.
    ways
        ``[nnz, d_model]``: what each adds to the stream.
    """

    key: str
    sae: LoadedSae
    layer: int
    stream: torch.Tensor
    error: torch.Tensor
    row: Ints
    index: Ints
    value: Floats
    ways: torch.Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, key: str, sae: LoadedSae, *, layer: int, stream: torch.Tensor) -> Level:
        """Read a stream ``[positions, d_model]``."""
        row, index, value = (x.cpu() for x in sae.codes(stream))
        after = row > 0
        row, index, value = row[after], index[after].long(), value[after]
        known, place = np.unique(index.numpy(), return_inverse=True)
        ways = directions(sae, known.tolist()).to(stream)[torch.from_numpy(place).to(stream.device)]
        ways = ways * value[:, None].to(stream)
        scale = unit_scale(sae, stream)
        if scale is not None:
            ways = ways * scale[row.to(stream.device)]
        error = stream - reconstruct(sae, stream, scale=1.0).to(stream)
        found = (row.numpy(), index.numpy(), value.double().numpy())
        return cls(key, sae, layer, stream, error, *found, ways=ways)

    def inputs(self, gradient: torch.Tensor) -> tuple[Floats, Floats]:
        """Split gradients ``[n, positions, d_model]`` by this stream.

        Returns
        -------
        numpy.ndarray
            ``[n, nnz]``, what each feature gives.
        numpy.ndarray
            ``[n, positions]``, what the error of each position gives.
        """
        parts = np.zeros((len(gradient), len(self.row)))
        bounds = np.searchsorted(self.row, np.arange(len(self.stream) + 1))
        for place, (first, last) in enumerate(pairwise(bounds)):
            given = gradient[:, place] @ self.ways[first:last].T
            parts[:, first:last] = given.double().cpu().numpy()
        errors: Floats = (gradient * self.error).sum(dim=-1).double().cpu().numpy()
        return parts, errors


def through_features(sae: LoadedSae) -> Edit:
    """Return an edit that keeps a stream's value and lets derivatives pass by its features only."""

    def edit(stream: torch.Tensor) -> torch.Tensor:
        acts = sae.sae.encode(stream.to(sae.sae.dtype))
        if unit_scale(sae, stream) is not None:
            with torch.no_grad():  # the scale that decoding uses is held, as the error is
                sae.sae.encode(stream.detach().to(sae.sae.dtype))
        decoded: torch.Tensor = sae.sae.decode(acts).to(stream.dtype)
        return stream.detach() + (decoded - decoded.detach())

    return edit


def activation_gradients(
    model: LanguageModel,
    tokens: Sequence[int],
    *,
    source: Level,
    target: Level,
    rows: Ints,
    index: Ints,
    batch_tokens: int,
) -> torch.Tensor:
    """Differentiate activations at one hook by the stream at a shallower one.

    Parameters
    ----------
    model
        The language model.
    tokens
        The prompt, BOS first.
    source, target
        The shallower and the deeper hook.
    rows, index
        Positions and latent indices of the features at the deeper one.
    batch_tokens
        Most positions in a batch.

    Returns
    -------
    torch.Tensor
        ``[features, positions, d_model]``, on the model's device.
    """
    parts = [torch.zeros(0, *source.stream.shape, device=model.device)]
    size = max(1, batch_tokens // len(tokens))
    with torch.inference_mode(False), torch.enable_grad():
        for first in range(0, len(rows), size):
            row = torch.from_numpy(rows[first : first + size]).to(model.device)
            latent = torch.from_numpy(index[first : first + size]).to(model.device)
            number = torch.arange(len(row), device=model.device)
            leaf = source.stream.expand(len(row), -1, -1).clone().requires_grad_()
            stream = _stream_at(model, tokens, source=source, target=target, stream=leaf)
            acts = target.sae.sae.encode(stream[number, row].to(target.sae.sae.dtype))
            (found,) = torch.autograd.grad(acts[number, latent].sum(), leaf)
            parts.append(found)
    return torch.cat(parts)


def _stream_at(
    model: LanguageModel, tokens: Sequence[int], *, source: Level, target: Level,
    stream: torch.Tensor,
) -> torch.Tensor:  # fmt: skip
    """Stream at `target` of rows whose stream at `source` is given.

    Blocks below `source` see one row, whatever comes out of them; those between see all.
    """
    found = [stream]

    def keep(arrived: torch.Tensor) -> torch.Tensor:
        found[0] = arrived
        raise StopForwardError

    with ExitStack() as attached, suppress(StopForwardError):
        attached.callback(editing(model.blocks, source.sae.hook, lambda _: stream).remove)
        attached.callback(editing(model.blocks, target.sae.hook, keep).remove)
        model.hf_model.base_model(torch.tensor([tokens], device=model.device), use_cache=False)
    return found[0]
