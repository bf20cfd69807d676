"""What a reader of a concept study should know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from queries.studies.concept.filtering import asked

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from queries.studies.builds import CorpusFigures
    from queries.studies.concept.setting import Setting


def study_notes(
    setting: Setting,
    *,
    selection: str,
    corpora: Mapping[str, CorpusFigures],
    positions: pa.Table,
) -> list[str]:
    """Say what a study rests on and what is left out of it, one line each.

    Parameters
    ----------
    setting
        The study.
    selection
        The prompts that features were chosen on.
    corpora
        Figures of builds, by the SAEs that have them.
    positions
        Table ``positions``.
    """
    request = setting.request
    notes = [
        "indices of features, layers, heads and tokens are from 0",
        f"features are chosen on the prompts of the selection {selection}",
    ]
    if selection != request.selection:
        notes.append(f"the selection {request.selection} has too few prompts and is not used")
    if not asked(setting):
        notes.append("no prompt has a term, so that none is filtered and no head is looked for")
    without = [key for key in request.saes if key not in corpora]
    if without:
        some = ", ".join(without)
        notes.append(f"no build has {some}: firing rates are those of the prompts")
    masked = int(np.sum(positions["masked"].to_numpy()))
    if masked:
        notes.append(f"{masked} tokens are masked as attention sinks")
    return notes
