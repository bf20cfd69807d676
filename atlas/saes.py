"""Sparse autoencoders of SAELens: shipped, in a folder, or by release and id.

The one module, beside SAELens's trainer in `ingest.sparse_topk`, that imports sae_lens.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from atlas.errors import ModelError
from atlas.hooks import HookPoint
from atlas.lm import default_device, parameter_sha256
from atlas.shipped import shipped_saes

if TYPE_CHECKING:
    from sae_lens import SAE


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
            int64, int64, float32 on the CPU, ordered by row, then latent index.
        """
        acts = self.sae.encode(stream.to(self.sae.dtype))
        row, index = acts.nonzero(as_tuple=True)
        return row.cpu(), index.cpu(), acts[row, index].float().cpu()


def load_sae(
    source: str, *, name: str | None = None, device: str | torch.device | None = None
) -> LoadedSae:
    """Load a shipped SAE by name, one in a local folder, or ``RELEASE:ID`` of SAELens.

    Raises
    ------
    ModelError
        There is none, or its files are not an SAE of SAELens, or it reads another kind of hook.
    """
    from sae_lens import SAE

    where = str(device if device is not None else default_device())
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
    return LoadedSae(clean, HookPoint.parse(hook), sae, parameter_sha256(sae), source)
