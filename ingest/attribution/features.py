"""From a stream and its gradient to the attributions of one SAE's features.

Attribution is f_i * dm/df_i: a feature's activation times the derivative of the metric by it,
with the SAE's error added back, so that the stream is x = decode(f) + error and nothing else
changes. dm/df_i is found by differentiating the SAE's own decoder, which holds for every
architecture and normalisation; for a plain linear decoder it is W_dec[i] . dm/dx.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from atlas.saes import LoadedSae

    Floats = NDArray[np.float32]

#: Entries of one ``[positions, d_sae]`` block, of which about five are held: 32 MiB each.
BLOCK = 1 << 23


@dataclass(frozen=True)
class FeatureAttributions:
    """What each feature, the decoder's bias and the error contribute at some positions.

    At every position the features' values, `bias` and `error` add up to `total`.

    Attributes
    ----------
    row, index
        int64 ``[nnz]``: position, latent index; ordered by row, then index.
    value
        float32 ``[nnz]``, attributions other than 0.
    bias
        float32 ``[positions]``: what decoding no feature gives, times the gradient.
    error
        float32 ``[positions]``: what the SAE does not reconstruct, times the gradient.
    total
        float32 ``[positions]``: the stream times the gradient.
    """

    row: NDArray[np.int64]
    index: NDArray[np.int64]
    value: Floats
    bias: Floats
    error: Floats
    total: Floats


def feature_attributions(
    sae: LoadedSae, stream: torch.Tensor, gradient: torch.Tensor, *, block: int = BLOCK
) -> FeatureAttributions:
    """Split the gradient at some positions among an SAE's features.

    Parameters
    ----------
    sae
        The SAE.
    stream, gradient
        ``[positions, d_model]``, any float dtype: the residual stream and the metric's derivative
        by it.
    block
        Largest number of entries of a ``[positions, d_sae]`` block; bounds the memory.
    """
    parts = [
        _attribute(sae, x, g)
        for x, g in zip(_pieces(sae, stream, block), _pieces(sae, gradient, block), strict=True)
    ]
    starts = np.cumsum([0, *(len(part.total) for part in parts)])
    rows = [part.row + start for part, start in zip(parts, starts, strict=False)]
    names = ("index", "value", "bias", "error", "total")
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return FeatureAttributions(np.concatenate(rows), **joined)


@torch.no_grad()
def reconstruct(
    sae: LoadedSae, stream: torch.Tensor, *, scale: float, block: int = BLOCK
) -> torch.Tensor:
    """Decode an SAE's activations times `scale`: 1 is its reconstruction, 0 its bias.

    Parameters
    ----------
    stream
        ``[positions, d_model]``.

    Returns
    -------
    torch.Tensor
        ``[positions, d_model]`` in the SAE's dtype.
    """
    # An SAE that normalises keeps the scale of what it encoded for the decoding that follows.
    pieces = _pieces(sae, stream, block)
    return torch.cat([sae.sae.decode(sae.sae.encode(x) * scale) for x in pieces])


def _pieces(sae: LoadedSae, values: torch.Tensor, block: int) -> Iterator[torch.Tensor]:
    for piece in torch.split(values, max(1, block // sae.d_sae)):
        yield piece.to(sae.sae.dtype)


def _attribute(sae: LoadedSae, x: torch.Tensor, g: torch.Tensor) -> FeatureAttributions:
    with torch.no_grad():
        acts = sae.sae.encode(x)
    with torch.enable_grad():
        leaf = acts.detach().requires_grad_()
        reconstruction = sae.sae.decode(leaf)
        (slope,) = torch.autograd.grad(reconstruction, leaf, grad_outputs=g)
    value = acts * slope
    row, index = value.nonzero(as_tuple=True)
    bias = reconstruct(sae, x, scale=0.0)
    return FeatureAttributions(
        row=row.cpu().numpy(),
        index=index.cpu().numpy(),
        value=value[row, index].float().cpu().numpy(),
        bias=_dot(bias, g),
        error=_dot(x - reconstruction.detach(), g),
        total=_dot(x, g),
    )


def _dot(a: torch.Tensor, b: torch.Tensor) -> Floats:
    products: Floats = (a * b).sum(dim=-1).float().cpu().numpy()
    return products
