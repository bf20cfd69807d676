"""How strongly each feature fires in each prompt, each SAE on the stream of its own hook."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from scipy import sparse

from ingest.blocks import TokenBlock, batches, keep_mask

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from atlas.progress import Reporter
    from atlas.saes import LoadedSae
    from ingest.blocks import Batch
    from queries.studies.concept.request import Statistic
    from queries.studies.concept.setting import Setting

    Floats = NDArray[np.float64]

ACTIVATIONS = pa.schema(
    [
        ("sae", pa.string()),
        ("prompt", pa.int32()),
        ("feature", pa.int32()),
        ("mean", pa.float32()),
        ("max", pa.float32()),
        ("tokens", pa.int32()),
        ("peak", pa.int32()),
    ]
)
"""A row a feature that fires in a prompt, both by number from 0: mean activation over all tokens
that count, the largest, at how many tokens it fires, and where it is largest (0 is the first
token after BOS)."""

POSITIONS = pa.schema([("prompt", pa.int32()), ("counted", pa.int32()), ("masked", pa.int32())])
"""A row a prompt: tokens that count, and those masked as sinks, BOS not among them."""


@dataclass(frozen=True)
class Firing:
    """Activations of one SAE, read from the table.

    Attributes
    ----------
    mean, max
        float64 ``[prompts, d_sae]``, sparse.
    tokens
        Likewise: tokens at which a feature fires.
    counted
        int64 ``[prompts]``: tokens that count.
    """

    mean: sparse.csc_array[np.float64]
    max: sparse.csc_array[np.float64]
    tokens: sparse.csc_array[np.float64]
    counted: NDArray[np.int64]

    @classmethod
    def of(cls, tables: Mapping[str, pa.Table], sae: str, *, width: int) -> Firing:
        """Read an SAE of `width` latents from the tables ``activations`` and ``positions``."""
        import pyarrow.compute as pc

        table = tables["activations"]
        rows = table.filter(pc.equal(table["sae"], sae))
        counted = tables["positions"]["counted"].to_numpy().astype(np.int64)
        at = (rows["prompt"].to_numpy(), rows["feature"].to_numpy())

        def matrix(name: str) -> sparse.csc_array[np.float64]:
            values = rows[name].to_numpy().astype(float)
            return sparse.csc_array((values, at), shape=(len(counted), width))

        return cls(matrix("mean"), matrix("max"), matrix("tokens"), counted)

    def of_features(self, index: Sequence[int] | NDArray[np.int64], statistic: Statistic) -> Floats:
        """Return a statistic of some features, float64 ``[prompts, features]``."""
        found: Floats = getattr(self, statistic)[:, list(index)].toarray()
        return found

    @property
    def fires(self) -> sparse.csc_array[np.float64]:
        """1 where a feature fires in a prompt, ``[prompts, d_sae]``."""
        found = self.max.copy()
        found.data = (found.data > 0).astype(float)
        return found


def activation_tables(setting: Setting, *, reporter: Reporter) -> dict[str, pa.Table]:
    """Run all prompts to the deepest hook and encode each stream with its own SAE.

    Returns
    -------
    dict
        ``activations``, see `ACTIVATIONS`; ``positions``, see `POSITIONS`. The mask of sinks is
        made at the deepest hook and is the same for all SAEs.
    """
    model, request = setting.lab.model, setting.request
    saes = {key: setting.lab.sae(key) for key in request.saes}
    deepest = max(saes.values(), key=lambda sae: sae.hook.depth).hook.name
    blocks = [
        TokenBlock(number, 0, np.array(prompt.tokens, np.int32))
        for number, prompt in enumerate(setting.prompts)
    ]
    parts: list[pa.Table] = []
    counts = np.zeros((len(blocks), 2), np.int64)
    done = 0
    with reporter.step("activations (prompts)", len(blocks)) as advance:
        size = setting.lab.engine.batch_tokens
        for batch in batches(blocks, batch_tokens=size, pad=model.bos_token_id):
            streams = model.residuals(batch.tokens, list({s.hook.name for s in saes.values()}))
            keep = keep_mask(streams[deepest], batch.lengths, sink_ratio=request.sink_ratio)
            numbers = [block.document for block in batch.blocks]
            counts[numbers, 0] = keep.sum(dim=1).cpu().numpy()
            counts[numbers, 1] = batch.lengths.numpy() - 1 - counts[numbers, 0]
            where = keep.nonzero(as_tuple=True)
            row, place = (x.cpu().numpy() for x in where)
            for key, sae in saes.items():
                stream = streams[sae.hook.name][where]
                position, index, value = (x.numpy() for x in sae.codes(stream.float()))
                codes = (position, index, value)
                parts.append(_summed(key, sae, codes, at=(row, place), batch=batch))
            done += len(numbers)
            advance(done)
    order = [("sae", "ascending"), ("prompt", "ascending"), ("feature", "ascending")]
    columns = [np.arange(len(blocks)), counts[:, 0], counts[:, 1]]
    return {
        "activations": pa.concat_tables(parts).sort_by(order),
        "positions": pa.table(columns, schema=POSITIONS),
    }


def _summed(
    key: str,
    sae: LoadedSae,
    codes: tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]],
    *,
    at: tuple[NDArray[np.int64], NDArray[np.int64]],
    batch: Batch,
) -> pa.Table:
    """Sum up codes by prompt and feature; `at` has row and place of each encoded position."""
    position, index, value = codes
    row, place = at[0][position], at[1][position]
    cells = row * sae.d_sae + index
    # The largest of a cell comes first, the earlier of equal ones.
    order = np.lexsort((place, -value, cells))
    cell, first, back = np.unique(cells[order], return_index=True, return_inverse=True)
    counted = np.bincount(at[0], minlength=len(batch.blocks))
    total = np.bincount(back, value[order].astype(np.float64), minlength=len(cell))
    rows = cell // sae.d_sae
    document = np.array([block.document for block in batch.blocks])
    columns = {
        "sae": pa.repeat(key, len(cell)),
        "prompt": document[rows],
        "feature": cell % sae.d_sae,
        "mean": total / counted[rows],
        "max": value[order][first],
        "tokens": np.bincount(back, minlength=len(cell)),
        "peak": place[order][first] - 1,
    }
    return pa.table([pa.array(columns[name]).cast(kind) for name, kind in
                     zip(ACTIVATIONS.names, ACTIVATIONS.types, strict=True)],
                    schema=ACTIVATIONS)  # fmt: skip
