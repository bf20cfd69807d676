"""Latent caches of EleutherAI's delphi (formerly sae-auto-interp).

Source of the format: ``delphi/latents/cache.py`` of EleutherAI/delphi at commit cd43058 (and
``loader.py`` at 30158d9, which reads it). A hook's folder holds ``START_END.safetensors``, one
file for each range of latents, END included, and ``config.json``. In each file

- ``locations`` ``[n, 3]``: sequence, position, latent minus START; uint16 where sequence and
  latent allow it, else uint32;
- ``activations`` ``[n]``: float16; those at or below 1e-5 were left out;
- ``tokens`` ``[sequences, context]``: int64, the same in every file; may be left out.

Older caches are read too: without ``tokens`` (``sae_auto_interp/features/cache.py`` of
EleutherAI/sae-auto-interp at b45c4c3), and, earlier still, with int64 locations whose latents
are absolute and activations of the SAE's own type (the same file in jacobcd52/sae-auto-interp at
596d5f6). ``LatentCache.save`` writes one unsplit file with absolute int64 locations.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING

import numpy as np

from atlas.errors import ArtifactError, UsageError
from ingest.brought.batches import RawBatch
from ingest.brought.documents import SequenceDocuments
from ingest.brought.source import FiringSource, list_files
from ingest.brought.tensors import FLOATS, INTEGERS, TensorFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

_SPLIT = re.compile(r"(\d+)_(\d+)\.safetensors")
_COLUMNS = {"document": 0, "position": 1, "feature": 2}
_TOKEN_ROWS = 4096


def is_delphi(path: Path, files: Sequence[Path]) -> bool:
    """Whether safetensors files (at or below `path`) look like a delphi cache."""
    if path.is_dir() and any(_SPLIT.fullmatch(file.name) for file in files):
        return True
    return "locations" in TensorFile(files[0]).shapes


class DelphiSource(FiringSource):
    """The latents of one hook in a delphi cache; each sequence is a document.

    The files of all ranges of latents together are one table.

    Parameters
    ----------
    path
        The hook's folder, or one unsplit file.
    latents
        Whether latents are ``relative`` to the file's first, ``absolute``, or, with ``auto``,
        relative where locations are unsigned and absolute where they are signed.

    Raises
    ------
    ArtifactError
        A file is truncated or lacks a tensor, ranges of latents are missing or overlap, or the
        files come from different runs.
    """

    kind = "delphi"

    def __init__(self, path: Path, *, latents: str = "auto") -> None:
        files = _split_files(path) if path.is_dir() else [_unsplit(path)]
        config = path / "config.json"
        super().__init__(path, [*files, *([config] if config.is_file() else [])])
        self._opened = [TensorFile(file) for file in files]
        self._rows = [_check_tensors(file) for file in self._opened]
        if not sum(self._rows):
            raise ArtifactError(f"{path} holds no firing.")
        if path.is_dir():
            self.d_sae = _tiled([_range(file) for file in files], files)
        self._latents = latents
        if config.is_file():
            self.about = _read_config(config)
        self._check_tokens()
        self._flag()

    def _flag(self) -> None:
        self.flags["activations"] = "delphi keeps activations above 1e-5 only"
        if any(file.dtypes["activations"] in ("F16", "BF16") for file in self._opened):
            self.flags["precision"] = "activations are rounded to 16 bits"
        signed = [file for file in self._opened if not self._relative(file)]
        if self.d_sae is not None and signed:
            # Its mask was "latent < END" although END is the last latent of the range.
            self.flags["latents"] = (
                "an early cache with absolute latents: it left out the last latent of each file"
            )

    def _relative(self, file: TensorFile) -> bool:
        if self.d_sae is None:
            return False
        if self._latents == "auto":
            return file.dtypes["locations"].startswith("U")
        return self._latents == "relative"

    def _check_tokens(self) -> None:
        """Refuse files whose tokens differ: they are of different runs."""
        with_tokens = [file for file in self._opened if "tokens" in file.shapes]
        if not with_tokens:
            return
        if len(with_tokens) < len(self._opened):
            missing = next(file for file in self._opened if "tokens" not in file.shapes)
            raise ArtifactError(
                f"{missing.path} has no tokens, {with_tokens[0].path} has.",
                hint="Bring the files of one run.",
            )
        first = with_tokens[0]
        known = _token_hash(first)
        for file in with_tokens[1:]:
            if _token_hash(file) != known:
                raise ArtifactError(
                    f"The tokens of {file.path} and {first.path} differ.",
                    hint="Bring the files of one run.",
                )
        context = self.about.get("cache_ctx_len", self.about.get("ctx_len"))
        if context is not None and context != str(first.shapes["tokens"][1]):
            raise ArtifactError(
                f"{first.path} has sequences of {first.shapes['tokens'][1]} tokens, its "
                f"config.json says {context}.",
                hint="Bring the config.json of the same run, or none.",
            )

    @property
    def identity(self) -> dict[str, str]:
        """What a shard made from these files records."""
        return super().identity | {"latents": self._latents}

    @property
    def document_type(self) -> pa.DataType:
        """Arrow int64: the sequence's number."""
        import pyarrow as pa

        return pa.int64()

    @property
    def token_type(self) -> pa.DataType | None:
        """None: tokens belong to the sequences, not to the rows."""
        return None

    def documents(self) -> SequenceDocuments | None:
        """Return the sequences, where the cache has its tokens."""
        first = self._opened[0]
        return SequenceDocuments(first) if "tokens" in first.shapes else None

    def batches(self, columns: Sequence[str], *, rows: int) -> Iterator[RawBatch]:
        """Yield slices of the files, in order of their latents."""
        import pyarrow as pa

        for file, length in zip(self._opened, self._rows, strict=True):
            for start in range(0, length, rows):
                stop = min(start + rows, length)
                batch = RawBatch(str(file.path), start + 1, {})
                places = file.read("locations", start, stop)
                for name in columns:
                    if name == "feature":
                        batch.columns[name] = pa.array(self._feature(file, places, batch))
                    elif name in _COLUMNS:
                        column = np.ascontiguousarray(places[:, _COLUMNS[name]])
                        batch.columns[name] = pa.array(column)
                    elif name == "value":
                        batch.columns[name] = pa.array(file.read("activations", start, stop))
                yield batch

    def _feature(
        self, file: TensorFile, places: NDArray[np.generic], batch: RawBatch
    ) -> NDArray[np.int64]:
        latent: NDArray[np.int64] = places[:, _COLUMNS["feature"]].astype(np.int64)
        if self.d_sae is None:
            return latent
        start, end = _range(file.path)
        if self._relative(file):
            latent = latent + start
        out = (latent < start) | (latent > end)
        if out.any():
            at = int(out.argmax())
            batch.fail_at(
                at,
                f"latent {latent[at]} is not in the file's range {start} to {end}",
                hint=f"Locations are {file.dtypes['locations']}, read as "
                f"{'relative' if self._relative(file) else 'absolute'}; set latents to the other.",
            )
        return latent


def _split_files(path: Path) -> list[Path]:
    files = list_files(path, (".safetensors",))
    if not files:
        raise ArtifactError(f"{path} holds no safetensors file.")
    deeper = sorted({str(f.parent.relative_to(path)) for f in files if f.parent != path})
    if deeper:
        raise UsageError(
            f"{path} holds several folders of codes: {', '.join(deeper[:5])}.",
            hint="Give the folder of one hook.",
        )
    if len(files) == 1 and not _SPLIT.fullmatch(files[0].name):
        raise UsageError(f"{files[0]} is not split by latents.", hint="Give the file itself.")
    for file in files:
        if not _SPLIT.fullmatch(file.name):
            raise ArtifactError(
                f"{file} is not named START_END.safetensors.",
                hint="A hook's folder holds the files of one run and nothing else.",
            )
    return sorted(files, key=_range)


def _unsplit(path: Path) -> Path:
    if _SPLIT.fullmatch(path.name):
        raise UsageError(
            f"{path} holds one range of latents only.", hint="Give the folder that it lies in."
        )
    return path


def _range(path: Path) -> tuple[int, int]:
    match = _SPLIT.fullmatch(path.name)
    return (int(match[1]), int(match[2])) if match else (0, -1)


def _tiled(ranges: Sequence[tuple[int, int]], files: Sequence[Path]) -> int:
    """Check that the ranges follow each other from 0; return the number of latents."""
    wanted = 0
    for (start, end), file in zip(ranges, files, strict=True):
        if start > wanted:
            raise ArtifactError(
                f"{file.parent} lacks the file of latents {wanted} to {start - 1}.",
                hint="Bring all files of the run: the missing latents would look dead.",
            )
        if start < wanted or end < start:
            raise ArtifactError(
                f"{file} overlaps another file's range of latents.",
                hint="Files of two runs are mixed: keep those of one.",
            )
        wanted = end + 1
    return wanted


def _check_tensors(file: TensorFile) -> int:
    rows = file.need("locations", INTEGERS, columns=3)
    activations = file.need("activations", FLOATS)
    if rows != activations:
        raise ArtifactError(
            f"{file.path} has {rows:,} locations and {activations:,} activations.",
            hint="It may come from two runs: make it anew.",
        )
    if "tokens" in file.shapes:
        width = file.shapes["tokens"][-1] if len(file.shapes["tokens"]) == 2 else 1
        file.need("tokens", INTEGERS, columns=width)
    return rows


def _token_hash(file: TensorFile) -> str:
    rows, width = file.shapes["tokens"]
    digest = hashlib.sha256(f"{rows} {width} ".encode())
    for start in range(0, rows, _TOKEN_ROWS):
        part = file.read("tokens", start, min(start + _TOKEN_ROWS, rows))
        digest.update(part.astype(np.int64).tobytes())
    return digest.hexdigest()


def _read_config(path: Path) -> dict[str, str]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} cannot be read as JSON: {error}.") from error
    if not isinstance(values, dict):
        raise ArtifactError(f"{path} is not a JSON object.")
    return {key: str(value) for key, value in sorted(values.items()) if value is not None}
