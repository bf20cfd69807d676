"""A language model whose residual streams can be read and replaced.

The one module that imports transformer_lens (`atlas.saes` does so for sae_lens). Residual
streams come from a plain `transformers` forward pass that stops at the deepest hook asked for;
hooks have TransformerLens's names.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from atlas import models
from atlas.artifacts import file_sha256
from atlas.errors import ModelError
from atlas.hooks import HookPoint, StopForwardError, editing, reading

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def preferred_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the processor multiplies it natively, else float32.

    On a CPU without bfloat16 instructions float32 is several times faster; with them it is 5 to
    10 times slower.
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    if device.type == "cpu":
        supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
        amx = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()
        return torch.bfloat16 if supported or amx else torch.float32
    return torch.float32


def default_device() -> torch.device:
    """Return the first CUDA device, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class LanguageModel:
    """A causal language model whose residual streams can be read at several hooks in one pass.

    Parameters
    ----------
    name
        Key of the model in the atlas, for example ``smollm2-135m``.
    hf_model
        The `transformers` model, in eval mode.
    tokenizer
        Its fast tokenizer.
    weights_sha256
        Hash that identifies the weights.
    """

    def __init__(
        self,
        name: str,
        hf_model: PreTrainedModel,
        *,
        tokenizer: PreTrainedTokenizerBase,
        weights_sha256: str,
    ) -> None:
        self.name = name
        self.hf_model = hf_model
        self.tokenizer = tokenizer
        self.weights_sha256 = weights_sha256
        self.device = next(hf_model.parameters()).device
        self.dtype = next(hf_model.parameters()).dtype

    @classmethod
    def load(
        cls,
        name: str,
        *,
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> LanguageModel:
        """Load a packaged model, a local Hugging Face folder, or a hub name.

        Parameters
        ----------
        name
            ``smollm2-135m`` (pulled on first use), a folder, or a name of the hub such as
            ``gpt2``.
        device
            Defaults to CUDA where there is a device, else the CPU.
        dtype
            Defaults to `preferred_dtype`.

        Raises
        ------
        ModelError
            The model cannot be found or loaded.
        """
        where = torch.device(device) if device is not None else default_device()
        folder, key, digest = _resolve(name)
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging as hf_logging

        hf_logging.disable_progress_bar()
        try:
            hf_model = AutoModelForCausalLM.from_pretrained(
                folder, dtype=dtype or preferred_dtype(where)
            )
            tokenizer = AutoTokenizer.from_pretrained(folder)
        except (OSError, ValueError) as error:
            raise ModelError(
                f"Model {name!r} cannot be loaded: {str(error).splitlines()[0]}",
                hint="Give a packaged model (`atlas models list`), a local folder, or a hub name.",
            ) from error
        hf_model = hf_model.to(where).eval().requires_grad_(False)
        digest = digest or parameter_sha256(hf_model)
        return cls(key, hf_model, tokenizer=tokenizer, weights_sha256=digest)

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return int(self.hf_model.config.hidden_size)

    @property
    def n_layers(self) -> int:
        """Number of blocks."""
        return int(self.hf_model.config.num_hidden_layers)

    @property
    def bos_token_id(self) -> int:
        """Token that starts every block: the tokenizer's BOS, else its EOS."""
        bos = self.tokenizer.bos_token_id
        bos = self.tokenizer.eos_token_id if bos is None else bos
        if bos is None:
            raise ModelError(f"The tokenizer of {self.name} has neither a BOS nor an EOS token.")
        return int(bos)

    @cached_property
    def blocks(self) -> torch.nn.ModuleList:
        """The transformer's blocks, found through TransformerLens's architecture adapter."""
        from transformer_lens.factories.architecture_adapter_factory import (
            SUPPORTED_ARCHITECTURES,
        )

        architecture = (self.hf_model.config.architectures or [type(self.hf_model).__name__])[0]
        if architecture not in SUPPORTED_ARCHITECTURES:
            raise ModelError(
                f"TransformerLens has no adapter for {architecture}.",
                hint="Use a model of an architecture that TransformerLens supports.",
            )
        for path in ("model.layers", "transformer.h", "gpt_neox.layers", "model.decoder.layers"):
            try:
                found = self.hf_model.get_submodule(path)
            except AttributeError:
                continue
            if isinstance(found, torch.nn.ModuleList):
                return found
        raise ModelError(f"The blocks of {architecture} were not found.")

    def compile_blocks(self, depth: int) -> None:
        """Compile the first `depth` blocks with torch.compile.

        About 20 % faster on a CPU after half a minute of compilation: for long passes only. A
        C++ compiler must be installed.
        """
        for block in self.blocks[:depth]:
            block.forward = torch.compile(block.forward, dynamic=True)

    @torch.inference_mode()
    def residuals(self, tokens: torch.Tensor, hooks: Sequence[str]) -> dict[str, torch.Tensor]:
        """Read residual streams; the forward pass stops at the deepest hook.

        Parameters
        ----------
        tokens
            int64 ``[batch, position]``; right padding needs no mask, since attention is causal.
        hooks
            Residual-stream hooks, any order.

        Returns
        -------
        dict
            Hook name to ``[batch, position, d_model]`` in the model's dtype, on its device.
        """
        points = [HookPoint.parse(hook) for hook in hooks]
        found: dict[str, torch.Tensor] = {}
        with reading(self.blocks, points, found), suppress(StopForwardError):
            self.hf_model.base_model(tokens.to(self.device), use_cache=False)
        return found

    @torch.inference_mode()
    def logits(
        self,
        tokens: torch.Tensor,
        *,
        hook: str | None = None,
        edit: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Run the whole model, with one residual stream replaced on the way if asked for.

        Parameters
        ----------
        tokens
            int64 ``[batch, position]``.
        hook
            Residual-stream hook whose stream is replaced.
        edit
            Maps the stream ``[batch, position, d_model]`` to its replacement.

        Returns
        -------
        torch.Tensor
            ``[batch, position, vocabulary]`` in the model's dtype.
        """
        handle = None
        if hook is not None and edit is not None:
            handle = editing(self.blocks, HookPoint.parse(hook), edit)
        try:
            output: torch.Tensor = self.hf_model(tokens.to(self.device), use_cache=False).logits
            return output
        finally:
            if handle is not None:
                handle.remove()

    def unembedding(self) -> torch.Tensor:
        """Weights from the residual stream to logits, final norm's gain folded in.

        Returns
        -------
        torch.Tensor
            float32 ``[d_model, vocabulary]``, on the CPU.
        """
        head: torch.Tensor = self.hf_model.get_output_embeddings().weight.detach().float().cpu()
        for path in ("norm", "ln_f", "final_layer_norm", "decoder.final_layer_norm"):
            norm = getattr(self.hf_model.base_model, path, None)
            if norm is not None and getattr(norm, "weight", None) is not None:
                gain: torch.Tensor = norm.weight.detach().float().cpu()
                return (head * gain).T
        return head.T


def _resolve(name: str) -> tuple[str, str, str | None]:
    """Return (what transformers loads, the model's key, the weights' hash if local)."""
    if name in models.PACKAGED:
        folder = models.pull(name)
        record = json.loads((folder / "atlas_model.json").read_text())
        return str(folder), name, record["weights_sha256"]
    path = Path(name).expanduser()
    if path.is_dir():
        weights = sorted(path.glob("*.safetensors"))
        digest = file_sha256(weights[0]) if len(weights) == 1 else None
        return str(path), path.resolve().name, digest
    return name, name, None


def parameter_sha256(model: torch.nn.Module) -> str:
    """SHA-256 over names, shapes and bytes of a model's parameters, as hex."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
        digest.update(
            value.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes()
        )
    return digest.hexdigest()
