"""Codes in safetensors: tensors document, position, feature, value and perhaps token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from atlas.errors import ArtifactError
from ingest.brought.batches import REQUIRED, RawBatch
from ingest.brought.source import FiringSource, list_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

#: safetensors' names of the types that numpy reads, and bfloat16, which torch reads.
INTEGERS = ("I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64")
FLOATS = ("F16", "BF16", "F32", "F64")


class TensorFile:
    """A safetensors file read in slices; nothing but the slice asked for is loaded.

    Parameters
    ----------
    path
        The file.

    Attributes
    ----------
    shapes, dtypes
        Of each tensor, by name; dtypes as safetensors names them, such as ``F16``.

    Raises
    ------
    ArtifactError
        The file cannot be read; a truncated one is found here, not while reading.
    """

    def __init__(self, path: Path) -> None:
        from safetensors import SafetensorError, safe_open

        self.path = path
        try:
            self._handle = _untyped(safe_open)(path, framework="np")
            names: list[str] = self._handle.keys()
            slices = {name: self._handle.get_slice(name) for name in names}
        except (SafetensorError, OSError) as error:
            raise ArtifactError(
                f"{path} cannot be read as safetensors: {error}.",
                hint="It may be truncated: copy it anew.",
            ) from error
        self.shapes = {name: tuple(s.get_shape()) for name, s in slices.items()}
        self.dtypes = {name: str(s.get_dtype()) for name, s in slices.items()}

    def read(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Return rows start to stop of a tensor; bfloat16 comes as float32."""
        if self.dtypes[name] != "BF16":
            part: NDArray[Any] = self._handle.get_slice(name)[start:stop]
            return part
        from safetensors import safe_open  # numpy has no bfloat16

        with safe_open(self.path, framework="pt") as handle:
            wide: NDArray[Any] = handle.get_slice(name)[start:stop].float().numpy()
        return wide

    def need(self, name: str, dtypes: Sequence[str], *, columns: int | None = None) -> int:
        """Check a tensor and return its number of rows.

        Parameters
        ----------
        name
            The tensor.
        dtypes
            Types that it may have.
        columns
            Size of the second axis; None for one axis.
        """
        if name not in self.shapes:
            raise ArtifactError(
                f"{self.path} has no tensor {name}.",
                hint=f"Found: {', '.join(sorted(self.shapes)) or 'nothing'}.",
            )
        if self.dtypes[name] not in dtypes:
            raise ArtifactError(
                f"{self.path}: tensor {name} is {self.dtypes[name]}.",
                hint=f"Known types: {', '.join(dtypes)}.",
            )
        shape = self.shapes[name]
        if len(shape) != 1 + (columns is not None) or (columns and shape[1] != columns):
            wanted = "[n]" if columns is None else f"[n, {columns}]"
            raise ArtifactError(
                f"{self.path}: tensor {name} has shape {list(shape)}; {wanted} is needed."
            )
        return int(shape[0])


def _untyped(function: Any) -> Any:
    """Hide the half-typed signatures of safetensors from the type checker."""
    return function


class TensorSource(FiringSource):
    """Safetensors files with tensors document, position, feature, value and perhaps token.

    All have one axis of the same length. The ids are integers (floats are accepted if whole).

    Parameters
    ----------
    path
        A file or a folder.

    Raises
    ------
    ArtifactError
        There is no file or no row, one is truncated, or a tensor is missing or of a wrong type,
        shape or length.
    """

    kind = "safetensors"

    def __init__(self, path: Path) -> None:
        super().__init__(path, list_files(path, (".safetensors",)))
        if not self.files:
            raise ArtifactError(f"{path} holds no safetensors file.")
        opened = [TensorFile(file) for file in self.files]
        self._rows = [_rows(file) for file in opened]
        if not sum(self._rows):
            raise ArtifactError(f"{path} holds no row.", hint="A table of codes needs firings.")
        with_token = {"token" in file.shapes for file in opened}
        if len(with_token) > 1:
            raise ArtifactError(
                f"Some files of {path} have a tensor token and some do not.",
                hint="Give it in all files or in none.",
            )
        self._token = with_token.pop()

    @property
    def document_type(self) -> pa.DataType:
        """Arrow int64."""
        import pyarrow as pa

        return pa.int64()

    @property
    def token_type(self) -> pa.DataType | None:
        """Arrow int64; None without a tensor ``token``."""
        import pyarrow as pa

        return pa.int64() if self._token else None

    def batches(self, columns: Sequence[str], *, rows: int) -> Iterator[RawBatch]:
        """Yield slices of the files, in their order."""
        import pyarrow as pa

        wanted = [name for name in columns if name != "token" or self._token]
        for path, length in zip(self.files, self._rows, strict=True):
            file = TensorFile(path)
            for start in range(0, length, rows):
                stop = min(start + rows, length)
                arrays = {name: pa.array(file.read(name, start, stop)) for name in wanted}
                yield RawBatch(str(path), start + 1, arrays)


def _rows(file: TensorFile) -> int:
    names = [*REQUIRED, *(["token"] if "token" in file.shapes else [])]
    lengths = {name: file.need(name, (*INTEGERS, *FLOATS)) for name in names}
    for name, length in lengths.items():
        if length != lengths["document"]:
            raise ArtifactError(
                f"{file.path}: tensor {name} has {length:,} rows, document has "
                f"{lengths['document']:,}.",
                hint="All tensors need one length.",
            )
    return lengths["document"]
