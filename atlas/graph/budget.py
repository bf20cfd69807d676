"""What a single query may cost: seconds, rows and memory."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Any

from atlas.errors import BudgetError, UsageError

_EMPTY_LIST = sys.getsizeof([])
_EMPTY_DICT = sys.getsizeof({})


@dataclass(frozen=True)
class Budget:
    """Limits of one query. None means no limit.

    Attributes
    ----------
    seconds
        After as many the server ends the transaction.
    rows
        Most rows of the result.
    mib
        Most memory that the rows take in this process, in MiB, about. What the server may use for
        a transaction is its own setting, ``db.memory.transaction.max``.
    """

    seconds: float | None = None
    rows: int | None = None
    mib: float | None = None

    def __post_init__(self) -> None:
        for name in ("seconds", "rows", "mib"):
            value = getattr(self, name)
            number = isinstance(value, int | float) and math.isfinite(value)
            if value is not None and not (number and value > 0):
                raise UsageError(
                    f"The budget's {name} is {value!r}.", hint="Give more than 0, or None."
                )


class Meter:
    """Counts what the rows of one query take, against a budget.

    Parameters
    ----------
    budget
        The limits.
    what
        Name of the query, for the error.
    """

    def __init__(self, budget: Budget, what: str) -> None:
        self._budget = budget
        self._what = what
        self._bytes = 0

    def check(self, count: int, row: Any) -> None:
        """Raise `BudgetError` where `row`, the `count`-th, is beyond the budget."""
        rows, mib = self._budget.rows, self._budget.mib
        if rows is not None and count > rows:
            raise BudgetError(
                f"{self._what}: the result has more than {rows:,} rows, the most allowed.",
                hint="Ask for fewer (a limit), or raise the budget's rows.",
            )
        if mib is not None:
            self._bytes += _size(row)
            if self._bytes > mib * 2**20:
                raise BudgetError(
                    f"{self._what}: the first {count:,} rows take more than {mib:g} MiB.",
                    hint="Ask for fewer rows or columns, or raise the budget's mib.",
                )


def _size(value: Any) -> int:
    """Return about how many bytes a plain value takes."""
    if isinstance(value, str):
        return len(value) + 49
    if isinstance(value, list):
        return _EMPTY_LIST + sum(8 + _size(item) for item in value)
    if isinstance(value, dict):
        return _EMPTY_DICT + sum(16 + len(str(key)) + _size(item) for key, item in value.items())
    return 24
