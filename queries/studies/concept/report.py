"""The report of a concept study, from what is stored of it: no model is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from queries.studies.concept.pages.causes import (
    head_section,
    link_section,
    patch_section,
    shap_section,
    steering_section,
)
from queries.studies.concept.pages.methods import methods
from queries.studies.concept.pages.prompts import (
    comparison_section,
    feature_section,
    prompt_section,
)
from queries.studies.concept.pages.view import View, arrow, sae_name
from queries.studies.concept.pages.weights import map_section, subgraph_section, weight_section
from queries.studies.report import Bullets, Section, Table, write_report

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from queries.followups.evidence import Evidence


def write_study_report(found: Evidence, folder: Path) -> Path:
    """Write a study's page, with its tables and pictures, into a folder.

    Parameters
    ----------
    found
        The study's evidence.
    folder
        Gets the page, and the folders of tables and figures.

    Returns
    -------
    pathlib.Path
        The page.
    """
    view = View.of(found)
    model = found.identity["model"]
    return write_report(
        folder,
        title=f"Features of a concept: {view.request.name}",
        lead=lead(view),
        sections=sections(view),
        methods=methods(view),
        tables=found.tables,
        about={
            "study": found.id,
            "model": f"{model['key']} (weights {model['weights_sha256'][:12]})",
            "SAEs": "; ".join(sae_name(sae["key"]) for sae in found.identity["saes"]),
            "made": found.created,
            "versions": ", ".join(f"{name} {version}" for name, version in found.versions.items()),
        },
    )


def sections(view: View) -> list[Section]:
    """Return the sections in their order."""
    found = Section(
        "What was found",
        [
            Table(
                "findings", _findings(view), "Every result; the whole table has its test.",
                limit=40,
                columns={"name": "of", "verdict": "verdict", "estimate": "estimate", "low": "low",
                         "high": "high", "q": "q", "n": "n", "unit": "unit"},
            )
        ],
    )  # fmt: skip
    return [
        prompt_section(view),
        feature_section(view),
        comparison_section(view),
        weight_section(view),
        map_section(view),
        subgraph_section(view),
        patch_section(view),
        head_section(view),
        shap_section(view),
        steering_section(view),
        link_section(view),
        found,
        Section("Notes", [Bullets(list(view.notes))] if view.notes else ["There are none."]),
    ]


def _findings(view: View) -> pa.Table:
    """Return the findings with the names of SAEs in place of their keys."""
    frame = view.frame("findings")
    for key in view.saes:
        frame["name"] = frame["name"].str.replace(key, key.rpartition("/")[2], regex=False)
    return arrow(frame)


def lead(view: View) -> list[str]:
    """Say the answer in a few sentences."""
    row = view.confirmation
    said = [
        (
            f"{row['found_more']} of {row['features']} features fire more for the concept on the "
            f"training half, and {row['confirmed']} of them are confirmed on the held-out half "
            f"({view.sizes})."
        )
    ]
    frame = view.frame("steering")
    for action, verb in (("add", "raises"), ("ablate", "lowers")):
        mine = frame[frame["action"] == action] if len(frame) else frame
        together = mine[mine["features"] > 1] if len(mine) else mine
        if len(together):
            best = together.iloc[int(together["features"].argmax())]
            done = "Adding" if action == "add" else "Taking out"
            where = "at control prompts" if action == "add" else "at concept prompts"
            sure = verb if best["as_expected"] else f"does not measurably {verb[:-1]}"
            said.append(
                f"{done} {best['features']} of them {where} {sure} the probability of the "
                f"concept's words: {best['difference']:+.2f} nats beside matched random features "
                f"({best['low']:+.2f} to {best['high']:+.2f}, q = {best['q']:.2g}, "
                f"{best['n']} prompts)."
            )
    return [" ".join(said)]
