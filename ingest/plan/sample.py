"""A sample of the text run through the model and the SAEs, timed."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from atlas.lm import LanguageModel
from atlas.saes import LoadedSae
from ingest.codes import shard_path, write_codes
from ingest.mapped import MappedSae

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ingest.inputs import BuildInputs
    from ingest.plan.text import TextSize

#: Tokens of the largest sample.
MOST = 1 << 16
#: Seconds that one batch may take; of a slower model less than a batch is run.
PATIENCE = 20.0
_IDENTITY = {"made for": "a plan"}


@dataclass(frozen=True)
class Sample:
    """Code shards of a sample of the text, and what making them took.

    Attributes
    ----------
    documents
        int64: documents of the corpus that were run, ascending; document d of the shards is the
        d-th of them. The last may be cut.
    whole
        Whether this is all of the text.
    countable
        Positions that count unless they are attention sinks.
    saes
        The SAEs with their shards, the earliest hook first.
    forward
        Seconds to run the model on one token, BOS and padding included in the cost.
    encode
        Seconds to encode one position, by the SAE's name.
    code
        Seconds to tokenise, sort and write, by code of all SAEs.
    device
        Most bytes that PyTorch reserved on the CUDA device; 0 without one.
    """

    documents: NDArray[np.int64]
    whole: bool
    countable: int
    saes: tuple[MappedSae, ...]
    forward: float
    encode: dict[str, float]
    code: float
    device: int


def spread_documents(lengths: NDArray[np.int64], tokens: int) -> NDArray[np.int64]:
    """Choose whole documents of about `tokens` tokens, spread evenly over the corpus.

    They are taken at multiples of the golden ratio, any number of which lie evenly.

    Returns
    -------
    int64, ascending; all documents where the text is not longer.
    """
    if int(lengths.sum()) <= tokens:
        return np.arange(len(lengths), dtype=np.int64)
    order = np.argsort((np.arange(len(lengths)) * 0.6180339887498949) % 1.0, kind="stable")
    order = order[lengths[order] > 0]
    number = int(np.searchsorted(np.cumsum(lengths[order]), tokens)) + 1
    return np.sort(order[:number]).astype(np.int64)


def take_sample(
    inputs: BuildInputs,
    size: TextSize,
    *,
    folder: Path,
    seconds: float,
    tokens: int | None = None,
) -> Sample:
    """Write code shards of a sample with the build's own code, and time its parts.

    Parameters
    ----------
    inputs
        Model, SAEs and text.
    size
        Length of the text.
    folder
        Where to write.
    seconds
        The sample is as large as the model reads in about this time, `MOST` tokens at most.
    tokens
        Take so many tokens instead.
    """
    if tokens is None:
        tokens = _affordable(inputs, seconds)
    chosen = spread_documents(size.lengths, tokens)
    texts, cut = _texts(inputs, size, chosen, tokens)
    clock = _Clock()
    model = _TimedModel(inputs.model, clock)
    saes = [_timed(sae, clock) for sae in inputs.saes]
    began = time.perf_counter()
    options = inputs.recipe.tokens
    with _device_peak(model.device) as peak:
        shards = write_codes(
            model, saes, texts, options=options, folder=folder,
            identity={sae.name: _IDENTITY for sae in saes},
        )  # fmt: skip
    rest = time.perf_counter() - began - clock.forward - sum(clock.encode.values())
    mapped = [_mapped(sae, folder, shards, options.context_size - 1) for sae in inputs.saes]
    some = replace(size, lengths=np.array([len(x) for x in _ids(inputs, texts)], np.int64))
    return Sample(
        documents=chosen,
        whole=len(chosen) == size.documents and not cut,
        countable=int(some.countable(options).sum()),
        saes=tuple(sorted(mapped, key=lambda sae: (sae.depth, sae.name))),
        forward=clock.forward / max(some.read(options), 1),
        encode={name: s / max(clock.positions[name], 1) for name, s in clock.encode.items()},
        code=max(rest, 0.0) / max(clock.codes, 1),
        device=peak[0],
    )


@dataclass
class _Clock:
    """Seconds by what they were spent on, and what was done in them."""

    forward: float = 0.0
    encode: dict[str, float] = field(default_factory=dict)
    positions: dict[str, int] = field(default_factory=dict)
    codes: int = 0


class _TimedModel(LanguageModel):
    """A model whose forward passes are timed."""

    def __init__(self, model: LanguageModel, clock: _Clock) -> None:
        super().__init__(
            model.name,
            model.hf_model,
            tokenizer=model.tokenizer,
            weights_sha256=model.weights_sha256,
        )
        self._clock = clock

    def residuals(self, tokens: torch.Tensor, hooks: Sequence[str]) -> dict[str, torch.Tensor]:
        """Read residual streams, and add the time that it took."""
        began = time.perf_counter()
        found = super().residuals(tokens, hooks)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self._clock.forward += time.perf_counter() - began
        return found


@dataclass(frozen=True)
class _TimedSae(LoadedSae):
    """An SAE whose encoding is timed."""

    clock: _Clock

    def codes(self, stream: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Encode positions, and add the time that it took."""
        began = time.perf_counter()
        found = super().codes(stream)
        spent, clock = time.perf_counter() - began, self.clock
        clock.encode[self.name] = clock.encode.get(self.name, 0.0) + spent
        clock.positions[self.name] = clock.positions.get(self.name, 0) + len(stream)
        clock.codes += len(found[0])
        return found


def _timed(sae: LoadedSae, clock: _Clock) -> _TimedSae:
    return _TimedSae(sae.name, sae.hook, sae.sae, sae.weights_sha256, sae.source, clock)


def _affordable(inputs: BuildInputs, seconds: float) -> int:
    """Say how many tokens the model and the SAEs read in about `seconds`.

    Whole batches, since a pass has a part that does not grow with it, and one at least; less of
    it where that would take more than `PATIENCE` seconds.
    """
    options = inputs.recipe.tokens
    context = options.context_size
    _pass(inputs, 1, 8)  # warms up
    one, four = _pass(inputs, 1, context), _pass(inputs, 4, context)
    a_block = max((four - one) / 3, four / 16)
    a_pass = max(one - a_block, 0.0)
    batch = a_pass + a_block * max(options.batch_tokens / context, 1)
    if batch > PATIENCE:
        return min(max(int((PATIENCE - a_pass) / a_block), 1) * context, MOST)
    return min(max(int(seconds / batch), 1) * max(options.batch_tokens, context), MOST)


def _pass(inputs: BuildInputs, blocks: int, length: int) -> float:
    """Time one forward pass, and encoding what it gives."""
    hooks = list({sae.hook.name for sae in inputs.saes})
    tokens = torch.full((blocks, length), inputs.model.bos_token_id)
    began = time.perf_counter()
    streams = inputs.model.residuals(tokens, hooks)
    for sae in inputs.saes:
        sae.codes(streams[sae.hook.name].flatten(0, 1))
    return time.perf_counter() - began


def _texts(
    inputs: BuildInputs, size: TextSize, chosen: NDArray[np.int64], tokens: int
) -> tuple[list[str], bool]:
    """Return the texts, and whether one was cut: a document far longer than the sample is."""
    texts, cut = [], False
    for d in chosen.tolist():
        text, length = inputs.documents[d].text, int(size.lengths[d])
        if length > 2 * tokens:
            text, cut = text[: max(len(text) * tokens // length, 1)], True
        texts.append(text)
    return texts, cut


def _ids(inputs: BuildInputs, texts: Sequence[str]) -> list[list[int]]:
    tokenizer = inputs.model.tokenizer
    ids: list[list[int]] = tokenizer(list(texts), add_special_tokens=False, verbose=False)[
        "input_ids"
    ]
    return ids


def _mapped(sae: LoadedSae, folder: Path, shards: int, block: int) -> MappedSae:
    return MappedSae(
        name=sae.name,
        key=sae.name,
        hook=sae.hook.name,
        depth=sae.hook.depth,
        d_sae=sae.d_sae,
        paths=tuple(shard_path(folder, sae.name, number) for number in range(shards)),
        identity=_IDENTITY,
        block=block,
        w_dec=None,
        w_enc=None,
    )


@contextmanager
def _device_peak(device: torch.device) -> Iterator[list[int]]:
    """Yield a list whose entry is, afterwards, the most bytes taken on a CUDA device."""
    peak = [0]
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    yield peak
    if device.type == "cuda":
        peak[0] = torch.cuda.max_memory_reserved(device)
