"""Sparse autoencoders of SAELens: shipped, in a folder, or by release and id.

The one module, beside SAELens's trainer in `ingest.sparse_topk`, that imports sae_lens.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from atlas.errors import ModelError
from atlas.hooks import HookPoint
from atlas.largest import largest_positive
from atlas.lm import default_device, parameter_sha256
from atlas.shipped import shipped_saes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from sae_lens import SAE

#: Cells (position, latent) that are encoded at a time: 256 MiB of float32.
DENSE_CELLS = 1 << 26
#: The same where a processor's cache should hold them: 16 MiB.
CACHED_CELLS = 1 << 22


@dataclass(frozen=True)
class LoadedSae:
    """An SAE and what identifies it.

    Attributes
    ----------
    name
        Name in feature keys.
    hook
        The hook that it reads.
    sae
        SAELens's SAE, float32, in eval mode.
    weights_sha256
        Hash over its parameters, independent of the file format.
    source
        What it was loaded from.
    """

    name: str
    hook: HookPoint
    sae: SAE[Any]
    weights_sha256: str
    source: str

    @property
    def d_sae(self) -> int:
        """Number of latents."""
        return int(self.sae.cfg.d_sae)

    def key(self, model: str) -> str:
        """Key of the SAE in the atlas: ``{model}/{hook}/{name}``."""
        return f"{model}/{self.hook.name}/{self.name}"

    @torch.inference_mode()
    def codes(self, stream: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Encode positions; only what fires leaves the device.

        Parameters
        ----------
        stream
            ``[positions, d_model]``, any float dtype.

        Returns
        -------
        row, index, value
            int64, int32, float32 on the CPU, ordered by row, then latent index.
        """
        in_one_walk = stream.device.type == "cpu" and is_plain_topk(self.sae)
        fire = self._largest if in_one_walk else self._fire
        size = max(1, (CACHED_CELLS if in_one_walk else DENSE_CELLS) // self.d_sae)
        parts = []
        for first in range(0, len(stream), size):
            row, index, value = fire(stream[first : first + size].to(self.sae.dtype))
            parts.append(((row + first).cpu(), index.to(torch.int32).cpu(), value.float().cpu()))
        if not parts:
            return (
                torch.zeros(0, dtype=torch.int64),
                torch.zeros(0, dtype=torch.int32),
                torch.zeros(0),
            )
        row, index, value = (torch.cat(column) for column in zip(*parts, strict=True))
        return row, index, value

    def _largest(self, stream: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Do as `_fire` for a TopK SAE on a CPU, in one walk over what the encoder multiplies."""
        sae = self.sae
        products = sae.process_sae_in(stream) @ sae.W_enc
        if not bool(torch.isfinite(products.sum())):
            return self._fire(stream)  # where NaN reaches the codes, and is seen there
        found = largest_positive(
            products.numpy(), sae.b_enc.numpy(), self._scale, k=sae.activation_fn.k
        )
        row, index, value = (torch.from_numpy(column) for column in found)
        return row, index, value

    @cached_property
    def _scale(self) -> NDArray[np.float32]:
        """What multiplies the pre-activations of a TopK SAE: the norms of its decoder, or 1."""
        sae = self.sae
        if not sae.cfg.rescale_acts_by_decoder_norm:
            return np.ones(self.d_sae, np.float32)
        norms: NDArray[np.float32] = sae.W_dec.norm(dim=-1).numpy()
        return norms

    def _fire(self, stream: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        with sparse_activations(self.sae):
            acts = self.sae.encode(stream)
        if not acts.is_sparse:
            row, index = acts.nonzero(as_tuple=True)
            return row, index, acts[row, index]
        # SAELens lists the k largest of each row one after the other, in no order.
        index, order = acts._indices()[1].view(len(stream), -1).sort(dim=-1)
        value = acts._values().view(len(stream), -1).gather(-1, order)
        row, place = (value != 0).nonzero(as_tuple=True)
        return row, index[row, place], value[row, place]


def is_plain_topk(sae: SAE[Any]) -> bool:
    """Whether an SAE encodes as `largest_positive` does: TopK, on the CPU, no hook in between."""
    from sae_lens import TopKSAE

    between = (sae.hook_sae_acts_pre, sae.hook_sae_acts_post)
    return (
        type(sae) is TopKSAE
        and sae.dtype == torch.float32
        and sae.device.type == "cpu"
        and not any(hook.fwd_hooks or hook._forward_hooks for hook in between)
    )


@contextmanager
def sparse_activations(sae: SAE[Any]) -> Iterator[None]:
    """Let a TopK SAE encode to sparse tensors, which saves it a dense one of d_sae a position."""
    from sae_lens.saes.topk_sae import TopK

    function = sae.activation_fn
    if not isinstance(function, TopK):
        yield
        return
    before = function.use_sparse_activations
    function.use_sparse_activations = True
    try:
        # What the k largest of each row make is valid; unsaid, torch warns that it is unchecked.
        with torch.sparse.check_sparse_tensor_invariants(enable=False):  # type: ignore[no-untyped-call]
            yield
    finally:
        function.use_sparse_activations = before


def load_sae(
    source: str, *, name: str | None = None, device: str | torch.device | None = None
) -> LoadedSae:
    """Load a shipped SAE by name, one in a local folder, or ``RELEASE:ID`` of SAELens.

    Parameters
    ----------
    source
        What to load; ``NAME=SOURCE`` gives it a name as well, as atlases have it.
    name
        Name in keys of features; by default that of the folder or release.
    device
        By default CUDA where there is a device.

    Raises
    ------
    ModelError
        There is none, or its files are not an SAE of SAELens, or it reads another kind of hook.
    """
    from sae_lens import SAE

    where = str(device if device is not None else default_device())
    if "=" in source and not Path(source).exists():
        name, source = source.split("=", 1)
    folder = shipped_saes().get(source) or (Path(source) if Path(source).is_dir() else None)
    try:
        if folder is not None:
            sae = SAE.load_from_disk(str(folder), device=where)
        elif ":" in source:
            release, sae_id = source.split(":", 1)
            sae = SAE.from_pretrained(release, sae_id, device=where)
        else:
            raise ModelError(
                f"There is no SAE {source!r}.",
                hint=f"Shipped: {', '.join(shipped_saes()) or 'none'}; else give a folder or "
                "RELEASE:ID of SAELens.",
            )
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"SAE {source!r} cannot be loaded: {error}.") from error
    sae = sae.to(torch.float32).eval().requires_grad_(False)
    hook = sae.cfg.metadata.hook_name
    if not hook:
        raise ModelError(f"SAE {source!r} does not say which hook it reads (metadata.hook_name).")
    default = folder.resolve().name if folder is not None else source.replace(":", "-")
    clean = (name or default).replace("/", "-")
    digest = parameter_sha256(sae)  # of the weights as published, before anything is folded in
    if (sae.cfg.metadata.model_from_pretrained_kwargs or {}).get("center_writing_weights"):
        _fold_centring(sae, source)
    return LoadedSae(clean, HookPoint.parse(hook), sae, digest, source)


@torch.no_grad()
def _fold_centring(sae: SAE[Any], source: str) -> None:
    """Let an SAE that reads streams without their mean over dimensions read plain ones.

    Some SAEs were trained on a model whose weights write no mean to the stream (TransformerLens's
    ``center_writing_weights``), which LayerNorm does not see: gpt2-small-res-jb is one. Of the
    plain model's stream x they encode Mx, with M = 1 - 11'/d. As x M W = Mx W, taking the mean
    off each column of the encoder does the same; b_dec is taken off x as it was, so what M takes
    of b_dec goes to the bias. Reconstructions stay those of Mx; the mean is part of the error.
    """
    plain = sae.cfg.architecture() in {"standard", "topk", "jumprelu", "batchtopk"}
    if not plain or sae.cfg.normalize_activations != "none":
        raise ModelError(
            f"SAE {source!r} reads a stream without its mean over dimensions, and encodes it in a "
            "way into which that cannot be folded.",
            hint="Use an SAE that was trained on the plain model.",
        )
    means = sae.W_enc.mean(dim=0)
    if sae.cfg.apply_b_dec_to_input:
        sae.b_enc -= sae.b_dec.sum() * means
    sae.W_enc -= means
