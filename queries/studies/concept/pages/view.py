"""A stored study, in the form that the sections of its report read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from queries.studies.concept.contrasts import primary
from queries.studies.concept.request import ConceptRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from queries.followups.evidence import Evidence

#: Characters of a feature's words in a label, and what stands between tokens.
WIDTH, BETWEEN = 28, " · "


@dataclass(frozen=True)
class View:
    """A study's request and tables.

    Attributes
    ----------
    request
        What was asked.
    tables
        The stored tables.
    notes
        What a reader should know.
    """

    request: ConceptRequest
    tables: Mapping[str, pa.Table]
    notes: tuple[str, ...]

    @classmethod
    def of(cls, found: Evidence) -> View:
        """Read a study's evidence."""
        return cls(ConceptRequest.model_validate(dict(found.request)), found.tables, found.notes)

    def frame(self, name: str) -> pd.DataFrame:
        """Return a table; without rows and columns where the study has none of the name."""
        table = self.tables.get(name)
        found: pd.DataFrame = pd.DataFrame() if table is None else table.to_pandas()
        return found

    @cached_property
    def selection(self) -> str:
        """The prompts that features were chosen on."""
        return primary(self.tables["contrast"], self.request)

    @cached_property
    def contrast(self) -> pd.DataFrame:
        """The contrast of the selection, the first of the ranking first."""
        frame = self.frame("contrast")
        return frame[frame["selection"] == self.selection].sort_values("rank_order")

    @cached_property
    def confirmed(self) -> pd.DataFrame:
        """Rows of `contrast` that are confirmed."""
        return self.contrast[self.contrast["confirmed"]]

    @cached_property
    def confirmation(self) -> dict[str, Any]:
        """The row of the selection."""
        rows = self.tables["confirmation"].to_pylist()
        return next(row for row in rows if row["selection"] == self.selection)

    @cached_property
    def words(self) -> dict[str, str]:
        """Feature to the tokens that it fires on most."""
        frame = self.frame("fires_on").sort_values(["feature", "rank"])
        return {
            str(feature): BETWEEN.join(token.strip() or repr(token) for token in mine["token"])
            for feature, mine in frame.groupby("feature")
        }

    def tokens(self, way: str, side: str) -> dict[str, str]:
        """Feature to the tokens that it promotes or suppresses, ``raw`` or ``standardised``."""
        frame = self.frame("tokens")
        some = frame[(frame["way"] == way) & (frame["side"] == side)].sort_values("rank")
        return {
            str(feature): BETWEEN.join(token.strip() or repr(token) for token in mine["token"])
            for feature, mine in some.groupby("feature")
        }

    def label(self, feature: str) -> str:
        """Return a feature's short name with what it fires on."""
        words = self.words.get(feature, "")
        cut = words if len(words) <= WIDTH else words[:WIDTH].rpartition(BETWEEN)[0]
        return f"{short(feature)} {cut}".strip()

    @property
    def saes(self) -> Sequence[str]:
        """Keys of the SAEs."""
        return self.request.saes

    @property
    def unit(self) -> str:
        """What a test counts: pairs, or prompts."""
        return "pairs" if bool(self.confirmation["paired"]) else "prompts"

    @property
    def sizes(self) -> str:
        """Say how many prompts both halves have."""
        row = self.confirmation
        if row["paired"]:
            return (
                f"{row['concept_train']} pairs of prompts in training, "
                f"{row['concept_held']} held out"
            )
        return (
            f"{row['concept_train']} and {row['control_train']} prompts in training, "
            f"{row['concept_held']} and {row['control_held']} held out"
        )


def short(feature: str) -> str:
    """Return the name of a feature's SAE, or the SAE of a key, and its index, from 0."""
    return "/".join(feature.split("/")[-2:])


def names(features: pd.Series[str], label: Callable[[str], str]) -> dict[int, str]:
    """Return labels of features by their rows, as pictures want them."""
    return {int(row): label(str(features.loc[row])) for row in features.index.tolist()}


def sae_name(key: str) -> str:
    """Return the name of an SAE with its hook."""
    parts = key.split("/")
    return f"{parts[-1]} ({parts[-2]})" if len(parts) > 1 else key


def arrow(frame: pd.DataFrame) -> pa.Table:
    """Make a table of a frame, for showing."""
    return pa.Table.from_pandas(frame, preserve_index=False)


def slug(key: str) -> str:
    """Return the name of an SAE as part of the name of a figure."""
    name = key.rpartition("/")[2].lower()
    return re.sub(r"[^a-z0-9]+", "-", name).strip("-") or "sae"
