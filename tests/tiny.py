"""A tiny language model and SAE in the formats of the real ones, made on the spot."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

WORDS = (
    "the a heart blood lung pumps through body patient doctor has had pain fever court judge "
    "law trial guilty music song band plays note sings ball team goal wins match of in and . ,"
).split()


def tokenizer(folder: Path) -> None:
    """Write a word-level tokenizer with BOS."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate(["<bos>", "<unk>", *WORDS])}
    base = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    base.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=base, bos_token="<bos>", eos_token="<bos>", unk_token="<unk>"
    ).save_pretrained(folder)


def model(folder: Path, *, family: str = "llama", layers: int = 4) -> Path:
    """Write a random model of 32 dimensions (family llama or gpt2) with its tokenizer."""
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    size = len(WORDS) + 2
    if family == "llama":
        config = LlamaConfig(
            vocab_size=size, hidden_size=32, intermediate_size=64, num_hidden_layers=layers,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128,
            bos_token_id=0, eos_token_id=0, initializer_range=0.4,
        )  # fmt: skip
        made = LlamaForCausalLM(config)
    else:
        config = GPT2Config(
            vocab_size=size, n_embd=32, n_layer=layers, n_head=4, n_positions=128,
            bos_token_id=0, eos_token_id=0, initializer_range=0.4,
        )  # fmt: skip
        made = GPT2LMHeadModel(config)
    made.save_pretrained(folder)
    tokenizer(folder)
    return folder


def sae(
    folder: Path,
    *,
    hook: str = "blocks.2.hook_resid_pre",
    d_in: int = 32,
    k: int = 10,
    stream: torch.Tensor | None = None,
) -> Path:
    """Write a TopK SAE of 2 * d_in latents.

    Given activations ``[n, d_in]``, its latents are their principal directions, each with both
    signs: the k largest components are then reconstructed exactly.
    """
    from sae_lens.saes.sae import SAEMetadata
    from sae_lens.saes.topk_sae import TopKSAE, TopKSAEConfig

    torch.manual_seed(1)
    metadata = SAEMetadata(model_name="tiny", hook_name=hook, prepend_bos=True)
    made = TopKSAE(
        TopKSAEConfig(
            d_in=d_in,
            d_sae=2 * d_in,
            k=k,
            device="cpu",
            dtype="float32",
            apply_b_dec_to_input=True,
            metadata=metadata,
        )
    )
    if stream is not None:
        made.b_dec.data = stream.mean(dim=0)
        directions = torch.linalg.svd(stream - made.b_dec, full_matrices=False).Vh
        both = torch.cat([directions, -directions])
        made.W_dec.data, made.W_enc.data = both, both.T.contiguous()
    made.save_model(folder)
    return folder


def fit(root: Path, hooks: Mapping[str, str]) -> None:
    """Write a model to ROOT/model and, for each name, an SAE fitted to its hook to ROOT/NAME."""
    from atlas.lm import LanguageModel
    from ingest.blocks import batches, tokenize

    lm = LanguageModel.load(str(model(root / "model")), device="cpu")
    blocks = list(tokenize(texts(), lm.tokenizer, context_size=32, bos=0))
    found = [
        lm.residuals(batch.tokens, [*hooks.values()])
        for batch in batches(blocks, batch_tokens=64, pad=0)
    ]
    for name, hook in hooks.items():
        streams = [stream[hook][:, 1:].flatten(0, 1).float() for stream in found]
        sae(root / name, hook=hook, stream=torch.cat(streams))


def write_texts(folder: Path, number: int) -> None:
    """Write texts to files of a folder."""
    folder.mkdir()
    for place, text in enumerate(texts(number)):
        (folder / f"{place:03d}.txt").write_text(text)


def texts(number: int = 60) -> list[str]:
    """Short texts on four topics, in a fixed order."""
    import random

    rng = random.Random(0)
    topics = [WORDS[2:14], WORDS[14:19], WORDS[19:25], WORDS[25:30]]
    return [
        " ".join(rng.choice((*topics[i % 4], "the", "a", "of")) for _ in range(rng.randint(8, 30)))
        for i in range(number)
    ]
