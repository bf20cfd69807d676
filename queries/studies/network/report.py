"""The report of a network study, from its stored tables alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from queries.studies.network.report_methods import limits, methods
from queries.studies.network.report_steering import (
    centrality_section,
    set_section,
    steering_section,
)
from queries.studies.network.report_structure import (
    attribution_section,
    graph_section,
    metric_section,
    prompt_section,
)
from queries.studies.network.stored import Stored
from queries.studies.report import Section, write_report

if TYPE_CHECKING:
    from pathlib import Path

    from queries.followups.evidence import Evidence


def write_study_report(evidence: Evidence, folder: str | Path) -> Path:
    """Write the page, its figures and its tables into a folder.

    Parameters
    ----------
    evidence
        Of a network study.
    folder
        Where to.

    Returns
    -------
    pathlib.Path
        Of the page.

    Raises
    ------
    UsageError
        matplotlib or jinja2 is not installed.
    ArtifactError
        A file cannot be written.
    """
    found = Stored(evidence)
    return write_report(
        folder,
        title=f"Network study: {found.request.name}",
        lead=lead(found),
        sections=sections(found),
        methods=methods(found),
        tables=evidence.tables,
        about=_about(found),
    )


def lead(found: Stored) -> list[str]:
    """Say how many prompts the model gets right, and what became of the hypotheses."""
    first = found.rows("known")[0]
    said = (
        f"The model gets {first['first']} of {first['candidates']} prompts right "
        f"({100 * first['share']:.1f} %, 95 % interval {100 * first['low']:.1f} to "
        f"{100 * first['high']:.1f}): the answer ranks first in its vocabulary. The study is of "
        f"{found.kept} prompts"
    )
    kept = {
        "first": ", these.",
        "choice": ", whose answer's logit is above those of all wrong answers.",
        "all": ", all of them, whether right or wrong.",
    }
    return [
        said + kept[found.request.keep],
        *(f"{name}: {found.verdict(name[:2])}." for name in (
            "H1, steering the network's features changes performance",
            "H2, sets from within a community differ from sets between communities",
            "H3, centrality predicts the effect of steering",
        )),
    ]  # fmt: skip


def sections(found: Stored) -> list[Section]:
    """Return the report's sections in their order."""
    return [
        prompt_section(found),
        attribution_section(found),
        graph_section(found),
        metric_section(found),
        steering_section(found),
        set_section(found),
        centrality_section(found),
        limits(found),
    ]


def _about(found: Stored) -> dict[str, str]:
    identity, evidence = found.evidence.identity, found.evidence
    sae = next(one for one in identity["saes"] if one["key"] == found.request.sae)
    return {
        "model": f"{identity['model']['key']} (weights {identity['model']['weights_sha256'][:12]})",
        "SAE": f"{sae['key']} (weights {sae['weights_sha256'][:12]})",
        "study": evidence.id,
        "created": evidence.created,
    }
