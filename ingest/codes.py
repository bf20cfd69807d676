"""Text to code shards: forward pass, mask, SAE codes, one shard for some whole documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from atlas.artifacts import CodeShard, shard_is_done, write_shard
from atlas.errors import ModelError
from atlas.progress import Reporter, SilentReporter
from ingest.blocks import batches, keep_mask, tokenize

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from atlas.lm import LanguageModel
    from atlas.recipe import TokensSection
    from atlas.saes import LoadedSae


def shard_path(folder: Path, sae: str, number: int) -> Path:
    """Path of a code shard in a build's folder."""
    return folder / "codes" / sae / f"shard-{number:05d}.safetensors"


def write_codes(
    model: LanguageModel,
    saes: Sequence[LoadedSae],
    texts: Sequence[str],
    *,
    options: TokensSection,
    folder: Path,
    identity: dict[str, dict[str, str]],
    reporter: Reporter | None = None,
) -> int:
    """Write the code shards of all documents; shards that are there are kept.

    Parameters
    ----------
    model, saes
        The SAEs may read different hooks; one forward pass serves them all. The mask is made at
        the deepest hook and shared, so that all SAEs count the same positions.
    texts
        The corpus; document d is ``texts[d]``.
    options
        Block size, masks and shard size.
    folder
        The build's folder.
    identity
        For each SAE's name what its codes are made from; stored and checked.

    Returns
    -------
    int
        Number of shards.

    Raises
    ------
    ArtifactError
        A shard of another identity lies in the folder.
    ModelError
        Activations are not finite.
    """
    starts = range(0, len(texts), options.shard_documents)
    with (reporter or SilentReporter()).step(
        "running the model (documents)", len(texts)
    ) as advance:
        for number, start in enumerate(starts):
            missing = [
                sae
                for sae in saes
                if not shard_is_done(shard_path(folder, sae.name, number), identity[sae.name])
            ]
            if missing:
                part = texts[start : start + options.shard_documents]
                for sae, shard in _encode(model, missing, part, start, options, saes):
                    path = shard_path(folder, sae.name, number)
                    write_shard(path, shard, identity=identity[sae.name])
            advance(min(start + options.shard_documents, len(texts)))
    return len(starts)


def _encode(
    model: LanguageModel,
    saes: Sequence[LoadedSae],
    texts: Sequence[str],
    first: int,
    options: TokensSection,
    all_saes: Sequence[LoadedSae],
) -> Iterator[tuple[LoadedSae, CodeShard]]:
    blocks = list(
        tokenize(
            texts,
            model.tokenizer,
            context_size=options.context_size,
            bos=model.bos_token_id,
            first_document=first,
        )
    )
    deepest = max(all_saes, key=lambda sae: sae.hook.depth).hook.name
    hooks = list({sae.hook.name for sae in saes} | {deepest})
    parts: dict[str, list[tuple[NDArray[np.int64], ...]]] = {sae.name: [] for sae in saes}
    where: list[NDArray[np.int64]] = []
    seen = 0
    for batch in batches(blocks, batch_tokens=options.batch_tokens, pad=model.bos_token_id):
        streams = model.residuals(batch.tokens, hooks)
        keep = keep_mask(
            streams[deepest],
            batch.lengths,
            skip_positions=options.skip_positions,
            sink_ratio=options.sink_ratio,
        )
        row, column = (x.cpu().numpy() for x in keep.nonzero(as_tuple=True))
        document = np.array([block.document for block in batch.blocks])[row]
        offset = np.array([block.start for block in batch.blocks])[row]
        token = batch.tokens.numpy()[row, column]
        where.append(np.stack([document, offset + column - 1, token]))
        for sae in saes:
            stream = streams[sae.hook.name][keep]
            check_finite(stream, sae.hook.name, document, model.name)
            r, index, value = (x.numpy() for x in sae.codes(stream))
            if not np.isfinite(value).all():
                raise ModelError(
                    f"SAE {sae.name} gives activations that are not finite in document "
                    f"{int(document[r[~np.isfinite(value)][0]])} (counted from 0).",
                    hint="Check its weights; they may be damaged.",
                )
            parts[sae.name].append((r + seen, index, value))
        seen += len(row)
    rows = np.concatenate(where, axis=1) if where else np.zeros((3, 0), np.int64)
    for sae in saes:
        yield sae, _shard(rows, parts[sae.name])


def check_finite(stream: torch.Tensor, hook: str, document: NDArray[np.int64], model: str) -> None:
    """Raise unless all activations ``[positions, d_model]`` are finite, naming the document."""
    bad = ~torch.isfinite(stream).all(dim=-1)
    if bool(bad.any()):
        first = int(bad.nonzero()[0])
        raise ModelError(
            f"{model} gives activations that are not finite at {hook} in document "
            f"{int(document[first])} (counted from 0).",
            hint="Try float32, or remove the document.",
        )


def _shard(rows: NDArray[np.int64], parts: list[tuple[NDArray[np.int64], ...]]) -> CodeShard:
    """Put rows of batches (of mixed documents) into document and position order."""
    order = np.lexsort((rows[1], rows[0]))
    new_place = np.empty(len(order), np.int64)
    new_place[order] = np.arange(len(order))
    r, index, value = (
        (np.concatenate(column) for column in zip(*parts, strict=True))
        if parts
        else (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
    )
    place = new_place[r]
    by_row = np.lexsort((index, place))
    return CodeShard(
        indptr=np.searchsorted(place[by_row], np.arange(len(order) + 1)).astype(np.int64),
        index=index[by_row].astype(np.int32),
        value=value[by_row].astype(np.float32),
        document=rows[0][order].astype(np.int32),
        position=rows[1][order].astype(np.int32),
        token=rows[2][order].astype(np.int32),
    )
