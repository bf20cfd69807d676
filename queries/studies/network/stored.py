"""What a report reads: the tables and the request of a study, as they are stored."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from queries.studies.network.attributions import matrix
from queries.studies.network.graphs import correlations
from queries.studies.network.request import NetworkRequest
from queries.studies.network.trials import OUTCOME

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from queries.followups.evidence import Evidence

    Floats = NDArray[np.float64]

NAMES = {
    "logit_diff": "logit difference", "logit": "logit of the answer",
    "probability": "probability of the answer", "rank": "rank of the answer",
    "entropy_top10": "entropy of the ten likeliest (nats)",
}  # fmt: skip
"""Metrics in words."""
SHORT = {
    "logit_diff": "logit difference", "logit": "logit", "probability": "probability",
    "rank": "rank", "entropy_top10": "entropy (nats)",
}  # fmt: skip
"""The same for an axis."""


@dataclass(frozen=True)
class Stored:
    """A stored network study.

    Attributes
    ----------
    evidence
        All of it.
    """

    evidence: Evidence

    @cached_property
    def request(self) -> NetworkRequest:
        """What was asked."""
        return NetworkRequest.model_validate(dict(self.evidence.request))

    def table(self, name: str) -> pa.Table:
        """Return a table, without rows or columns where the study has none."""
        return self.evidence.tables.get(name, pa.table({}))

    def rows(self, name: str, **values: Any) -> list[dict[str, Any]]:
        """Return the rows of a table that have these values."""
        return [row for row in self.table(name).to_pylist()
                if all(row[key] == value for key, value in values.items())]  # fmt: skip

    def frame(self, name: str) -> pd.DataFrame:
        """Return a table as a data frame."""
        found: pd.DataFrame = self.table(name).to_pandas()
        return found

    @cached_property
    def features(self) -> NDArray[np.int64]:
        """Latent indices of the network's features, ascending."""
        return np.asarray(self.table("features")["feature"].to_numpy(), np.int64)

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """Community of each feature by the chosen grouping; -1 for none."""
        return np.asarray(self.table("features")[self.request.grouping].to_numpy(), np.int64)

    @cached_property
    def kept(self) -> int:
        """Prompts that are kept."""
        return int(self.table("known")["kept"][0].as_py())

    @cached_property
    def names(self) -> dict[int, str]:
        """Latent index to its name: the index, and the token where it is strongest."""
        table = self.table("activity")
        pairs = zip(table["feature"].to_pylist(), table["token"].to_pylist(), strict=True)
        return {feature: f"{feature} {token.strip()!r}" for feature, token in pairs}

    @cached_property
    def r(self) -> Floats:
        """Pearson's r of attributions, float64 ``[features, features]``; 1 on the diagonal."""
        prompts = [row["prompt"] for row in self.rows("candidates") if row["kept"]]
        values = matrix(
            self.table("attributions"), self.request.aggregation, prompts=prompts,
            features=self.features,
        )  # fmt: skip
        found = correlations(values)
        np.fill_diagonal(found, 1.0)
        return found

    @property
    def outcome(self) -> str:
        """Metric that verdicts are of."""
        return OUTCOME if OUTCOME in self.table("steering").column_names else "logit"

    @property
    def steered(self) -> int:
        """Prompts that were steered."""
        return sum(row["steered"] for row in self.rows("candidates"))

    def verdict(self, name: str) -> str:
        """Return the verdict of the finding whose name begins so."""
        return next((str(row["verdict"]) for row in self.rows("findings")
                     if row["name"].startswith(name)), "not tested")  # fmt: skip
