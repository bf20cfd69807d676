"""Rows of a brought table: their form, and the checks that every format shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from atlas.errors import ArtifactError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

REQUIRED = ("document", "position", "feature", "value")
"""Columns that every table of codes has; ``token`` is optional."""

_LARGEST = np.iinfo(np.int32).max
_VALUE_HINT = "Codes are finite; float16 overflows above 65,504."
_NEGATIVE_HINT = (
    "Codes of SAEs and transcoders are not negative: bring the activations after the "
    "nonlinearity, not differences, attributions or pre-activations."
)


@dataclass(frozen=True)
class RawBatch:
    """Some rows as they lie in a file, not yet checked.

    Attributes
    ----------
    file
        The file, for messages.
    row
        Number of the first row in that file, from 1.
    columns
        Arrow arrays of one length, by name.
    """

    file: str
    row: int
    columns: dict[str, pa.Array]

    def fail(self, bad: NDArray[np.bool_], what: str, *, hint: str | None = None) -> None:
        """Raise `ArtifactError` that names the first row where `bad` holds, if there is one."""
        if bad.any():
            self.fail_at(int(bad.argmax()), what, hint=hint)

    def fail_at(self, at: int, what: str, *, hint: str | None = None) -> NoReturn:
        """Raise `ArtifactError` for the row at index `at` of this batch."""
        raise ArtifactError(f"{self.file}, row {self.row + at}: {what}.", hint=hint)


@dataclass(frozen=True)
class Firings:
    """Checked rows.

    Attributes
    ----------
    document
        Arrow int64 or string, no nulls.
    position, feature
        int64, in range.
    value
        float32, finite, >= 0. Zeros are for the caller to drop.
    token
        Arrow int64 or string, null where unknown; None without the column.
    """

    document: pa.Array
    position: NDArray[np.int64]
    feature: NDArray[np.int64]
    value: NDArray[np.float32]
    token: pa.Array | None


def check(batch: RawBatch, d_sae: int) -> Firings:
    """Check the rows of a batch.

    Raises
    ------
    ArtifactError
        A null, NaN, infinite or negative value, a negative position, a feature that is not one
        of `d_sae`, or a column of the wrong type; the message names file and row.
    """
    position = integers(batch, "position")
    batch.fail(position < 0, "the position is negative")
    batch.fail(position >= _LARGEST, f"the position is over {_LARGEST:,}")
    feature = integers(batch, "feature")
    out = (feature < 0) | (feature >= d_sae)
    if out.any():
        at = int(out.argmax())
        batch.fail_at(
            at,
            f"feature {feature[at]} is not one of {d_sae:,} latents (0 to {d_sae - 1})",
            hint="Check d_sae, and that features are counted from 0.",
        )
    return Firings(ids(batch), position, feature, activations(batch), tokens(batch))


def is_text(kind: pa.DataType) -> bool:
    """Whether an Arrow type holds text, plain or as a dictionary."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    checks = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(of(kind) for of in checks)


def is_number(kind: pa.DataType) -> bool:
    """Whether an Arrow type holds integers or floating-point numbers."""
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def integers(batch: RawBatch, name: str) -> NDArray[np.int64]:
    """Return a column of whole numbers as int64; float columns are accepted if they are whole."""
    array = batch.columns[name]
    if not is_number(array.type):
        raise ArtifactError(
            f"{batch.file}: column {name} is {array.type}.", hint="Integers are needed."
        )
    _no_nulls(batch, name)
    values: NDArray[Any] = array.to_numpy(zero_copy_only=False)
    if values.dtype.kind == "f":
        whole = np.isfinite(values) & (np.rint(values) == values) & (np.abs(values) < 2.0**62)
        batch.fail(~whole, f"the {name} is not a whole number")
    if values.dtype == np.uint64:
        batch.fail(values > np.iinfo(np.int64).max, f"the {name} is over 2**63 - 1")
    return values.astype(np.int64)


def ids(batch: RawBatch, name: str = "document") -> pa.Array:
    """Return a column of ids as Arrow int64 or string."""
    import pyarrow as pa

    array = batch.columns[name]
    if is_text(array.type):
        _no_nulls(batch, name)
        return array.cast(pa.string())
    return pa.array(integers(batch, name))


def activations(batch: RawBatch) -> NDArray[np.float32]:
    """Return the column ``value`` as float32."""
    array = batch.columns["value"]
    if not is_number(array.type):
        raise ArtifactError(
            f"{batch.file}: column value is {array.type}.", hint="Numbers are needed."
        )
    _no_nulls(batch, "value")
    values: NDArray[Any] = array.to_numpy(zero_copy_only=False)
    batch.fail(np.isnan(values), "the value is NaN", hint=_VALUE_HINT)
    batch.fail(values < 0, "the value is negative", hint=_NEGATIVE_HINT)
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    batch.fail(np.isinf(single), "the value is infinite as float32", hint=_VALUE_HINT)
    return single


def tokens(batch: RawBatch) -> pa.Array | None:
    """Return the column ``token`` as Arrow int64 or string; None where there is none."""
    import pyarrow as pa

    array = batch.columns.get("token")
    if array is None:
        return None
    if is_text(array.type):
        return array.cast(pa.string())
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), pa.int64())
    known = array.drop_null()
    whole = integers(RawBatch(batch.file, batch.row, {"token": known}), "token")
    out = (whole < 0) | (whole > _LARGEST)
    if out.any():
        at = np.flatnonzero(array.is_valid().to_numpy(zero_copy_only=False))[out.argmax()]
        batch.fail_at(int(at), f"token {array[int(at)].as_py()} is not an id (0 to {_LARGEST})")
    return array.cast(pa.int64())


def _no_nulls(batch: RawBatch, name: str) -> None:
    array = batch.columns[name]
    if array.null_count:
        batch.fail(array.is_null().to_numpy(zero_copy_only=False), f"the {name} is missing (null)")
