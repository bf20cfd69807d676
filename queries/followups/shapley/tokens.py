"""The game in which the tokens of a prompt are the players.

Absent tokens are masked as `shap.maskers.Text` does for language models: each run of them becomes
one ``...``, and the text is tokenised again. What such a prompt is worth is found in batches that
see the unembedding at the last token alone; tokens that a masked prompt begins with as the whole
one does are not run again where that saves work, and prompts that masking makes equal are run
once.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from atlas.errors import UsageError
from atlas.resume import clean_pass
from atlas.shortcuts import onednn_linears, only_at
from queries.followups.shapley.games import shap_library
from queries.followups.shapley.owen import Tree, tree_of_linkage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from atlas.lm import LanguageModel
    from atlas.resume import CleanPass
    from queries.followups.shapley.scores import FeatureScore, Score

    Floats = NDArray[np.float64]
    Tokens = tuple[int, ...]
    #: Prompts in tokens to what each is worth.
    Worth = Callable[[Sequence[Tokens]], Floats]

#: What a run of absent tokens becomes.
MASK = "..."
#: Tokens that as many could be run of in the time that one more pass takes.
PASS = 64


class _PlainTokenizer:
    """A tokenizer that adds no special tokens, in the form that `shap.maskers.Text` wants."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def __call__(self, text: str, **options: Any) -> Any:
        return self.tokenizer(text, add_special_tokens=False, verbose=False, **options)


class TokenMasker:
    """Masks tokens of a prompt.

    Parameters
    ----------
    model
        The language model.
    text
        The prompt.
    bos
        Whether BOS comes before every prompt, and no other special token. Else the tokenizer adds
        what it adds by itself, which is what ``shap.Explainer(model, tokenizer)`` explains.

    Attributes
    ----------
    names
        Text of each player.
    prefix
        Players before the prompt's tokens: special tokens that are never masked.
    merges
        Hierarchy of the tokens, a linkage matrix by shap's rules for text.
    """

    def __init__(self, model: LanguageModel, text: str, *, bos: bool = True) -> None:
        if not model.tokenizer.is_fast:
            raise UsageError(f"{model.name} has no fast tokenizer, which knows where tokens lie.")
        self.text = text
        self.tokenizer: Any = _PlainTokenizer(model.tokenizer) if bos else model.tokenizer
        self.head: Tokens = (model.bos_token_id,) if bos else ()
        text_masker = shap_library().maskers.Text
        self.masker = text_masker(self.tokenizer, mask_token=MASK, collapse_mask_token=True)
        self.names = tuple(map(str, self.masker.token_segments(text)[0]))
        self.prefix = int(self.masker.keep_prefix)
        merges = self.masker.clustering(text) if len(self.names) > 1 else np.zeros((0, 4))
        self.merges: Floats = merges

    @property
    def tree(self) -> Tree:
        """Hierarchy of the tokens."""
        return tree_of_linkage(self.merges)

    def tokens(self, masks: NDArray[np.bool_]) -> list[Tokens]:
        """Return prompts in tokens, for masks ``[prompts, players]``, True where present."""
        texts = [str(self.masker(mask, self.text)[0][0]) for mask in masks]
        return [(*self.head, *self.tokenizer(text)["input_ids"]) for text in texts]

    @property
    def whole(self) -> Tokens:
        """The prompt with all its tokens, as masking leaves it."""
        return self.tokens(np.ones((1, len(self.names)), bool))[0]


class TokenGame:
    """What a prompt is worth where some of its tokens are masked.

    Parameters
    ----------
    masker
        Masks tokens of the prompt.
    worth
        What prompts are worth; asked once for each.
    """

    def __init__(self, masker: TokenMasker, worth: Worth) -> None:
        self.masker, self.worth = masker, worth
        self.known: dict[Tokens, float] = {}

    def __call__(self, masks: NDArray[np.bool_]) -> Floats:
        """Return what coalitions ``[coalitions, tokens]`` are worth."""
        rows = self.masker.tokens(masks)
        new = [row for row in dict.fromkeys(rows) if row not in self.known]
        if new:
            self.known.update(zip(new, self.worth(new).tolist(), strict=True))
        return np.array([self.known[row] for row in rows])


class MetricOfPrompts:
    """A metric at the last token of prompts that begin more or less as a known one does.

    Parameters
    ----------
    model
        The language model.
    prompt
        The known one, whose keys and values are kept.
    score
        The metric.
    batch_tokens
        Most padded tokens of a pass.
    """

    def __init__(
        self, model: LanguageModel, prompt: Sequence[int], score: Score, *, batch_tokens: int = 4096
    ) -> None:
        self.model, self.score = model, score
        self.batch_tokens = batch_tokens
        self.prompt = np.array(prompt)
        self.clean, self.logits = clean_pass(
            model, [list(prompt)], depths=[0], reads=[[len(prompt) - 1]], batch_tokens=batch_tokens
        )

    def __call__(self, rows: Sequence[Sequence[int]]) -> Floats:
        """Return the metric of each prompt."""
        shared = np.array([self._shared(row) for row in rows])
        found = np.empty(len(rows))
        for start, some in parted(shared):
            longest = max(len(rows[k]) for k in some) - start
            step = max(1, self.batch_tokens // longest)
            for first in range(0, len(some), step):
                batch = some[first : first + step]
                logits = last_logits(self.model, [rows[k] for k in batch], self.clean, start)
                found[batch] = self.score(logits, self.logits).double().cpu().numpy()
        return found

    def _shared(self, row: Sequence[int]) -> int:
        """Tokens that a prompt begins with as the known one does; its last is not among them."""
        most = min(len(row) - 1, len(self.prompt))
        same = np.asarray(row[:most]) == self.prompt[:most]
        return int(most if same.all() else same.argmin())


class ActivationOfPrompts:
    """How strongly a feature fires in prompts; the pass stops at its hook.

    Parameters
    ----------
    model
        The language model.
    score
        The feature, and where it is read.
    batch_tokens
        Most padded tokens of a pass.
    """

    def __init__(
        self, model: LanguageModel, score: FeatureScore, *, batch_tokens: int = 4096
    ) -> None:
        self.model, self.score, self.batch_tokens = model, score, batch_tokens

    def __call__(self, rows: Sequence[Sequence[int]]) -> Floats:
        """Return the score of each prompt."""
        parts = []
        step = max(1, self.batch_tokens // max(map(len, rows)))
        hook = self.score.sae.hook.name
        for first in range(0, len(rows), step):
            some = rows[first : first + step]
            stream = self.model.residuals(padded(some, self.model.bos_token_id), [hook])[hook]
            after = int(all(row[0] == self.model.bos_token_id for row in some))
            ends = [len(row) for row in some]
            parts.append(self.score.of(self.score.activations(stream), ends, after))
        return np.concatenate(parts)


def parted(shared: NDArray[np.int64]) -> list[tuple[int, list[int]]]:
    """Divide prompts into at most two groups that begin where all of a group differ.

    Parameters
    ----------
    shared
        int64 ``[prompts]``: tokens of each that need not be run.

    Returns
    -------
    list of (int, list of int)
        First position to run, and the prompts. A second group is worth its pass only where it
        saves more than `PASS` tokens.
    """
    least = int(shared.min())
    best, saved = least, least * len(shared)
    for start in np.unique(shared)[1:]:
        late = int((shared >= start).sum())
        saving = int(start) * late + least * (len(shared) - late) - PASS
        if saving > saved:
            best, saved = int(start), saving
    groups = [(best, np.flatnonzero(shared >= best)), (least, np.flatnonzero(shared < best))]
    return [(start, some.tolist()) for start, some in groups if len(some)]


def padded(rows: Sequence[Sequence[int]], fill: int, start: int = 0) -> torch.Tensor:
    """Return prompts from a position on, padded on the right, int64 ``[prompts, longest]``."""
    tokens = torch.full((len(rows), max(map(len, rows)) - start), fill, dtype=torch.int64)
    for place, row in enumerate(rows):
        tokens[place, : len(row) - start] = torch.tensor(row[start:])
    return tokens


@torch.inference_mode()
def last_logits(
    model: LanguageModel, rows: Sequence[Sequence[int]], clean: CleanPass, start: int
) -> torch.Tensor:
    """Logits at the last token of prompts that share their tokens before `start` with one.

    Parameters
    ----------
    model
        The language model.
    rows
        The prompts, each longer than `start`.
    clean
        A pass over the one prompt, from depth 0 on.
    start
        First position that is run.

    Returns
    -------
    torch.Tensor
        float32 ``[prompts, vocabulary]``.
    """
    from transformers import DynamicCache

    cache = None
    if start:
        cache = DynamicCache()
        for layer, keys in clean.keys.items():
            kept = (keys, clean.values[layer])
            cache.update(*(x[:, :, :start].expand(len(rows), -1, -1, -1) for x in kept), layer)
    last = torch.tensor([len(row) - start - 1 for row in rows], device=model.device)
    place = torch.arange(len(rows), device=model.device)

    def select(_module: Any, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (args[0][place, last][None], *args[1:])

    head: torch.nn.Module = model.hf_model.get_output_embeddings()
    with ExitStack() as attached:
        attached.callback(head.register_forward_pre_hook(select).remove)
        attached.enter_context(onednn_linears([*model.blocks, head]))
        attached.enter_context(only_at(model.blocks[-1], place, last))
        tokens = padded(rows, model.bos_token_id, start).to(model.device)
        output = model.hf_model(tokens, past_key_values=cache, use_cache=cache is not None)
    logits: torch.Tensor = output.logits[0].float()
    return logits
