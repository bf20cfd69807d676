"""What the Lab shows of a job: how far it is, what it found, and where that is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dash import dcc, html

from atlas.web.pages.lab import panels
from atlas.web.pages.lab.read import Reading
from atlas.web.pages.lab.work import Found
from atlas.web.parts import error, link, number, panel, show_cypher
from ingest.load_attribution import WAITING

if TYPE_CHECKING:
    from atlas.web.pages.lab.jobs import Job

_EVIDENCE = """
MATCH (r:Run {key: $run})<-[:FROM_RUN]-(i:Intervention)-[:CAUSED]->(e:Effect)
RETURN i.key AS intervention, i.kind AS kind,
       [(i)-[:ON]->(f:Feature) | f.key] AS features,
       e.metric AS metric, e.target AS target, e.baseline AS baseline, e.value AS value,
       e.change AS change
ORDER BY i.key, metric
"""
_CREDITS = """
MATCH (r:Run {key: $run})<-[:FROM_RUN]-(x:Explanation)
RETURN x.key AS explanation, x.metric AS metric, x.target AS target, x.base AS base,
       x.value AS value, x.names AS players, x.values AS values
"""
_SHOWN = {"steer": panels.steered, "explain": panels.explained, "patch": panels.patched}


def progress(job: Job, before: int) -> Any:
    """Return how far a job is, in words and as a bar."""
    if job.state == "waiting":
        others = "one other job" if before == 1 else f"{before} other jobs"
        return [html.P(f"Waiting for {others}." if before else "Waiting.")]
    if job.state == "running":
        share = {"value": str(job.done), "max": str(job.total)} if job.total else {}
        far = f" ({number(job.done)} of {number(job.total)})" if job.total else ""
        doing = "stopping" if job.stopping else job.step or "beginning"
        said = f"{job.title}: {doing}{far} ..."
        waits = [html.P(WAITING, className="dim")] if WAITING in job.notes[-1:] else []
        return [html.P(said), html.Progress(**share, **{"aria-label": "Progress"}), *waits]
    if job.state == "failed":
        return [error(job.error)] if job.error else []
    if job.state == "cancelled":
        return [html.P("Cancelled; nothing was kept.")]
    return [html.P(f"{job.title}: done in {job.seconds:.1f} s.")]


def result(job: Job) -> list[Any]:
    """Return what a job found, as panels; nothing where it found nothing yet."""
    if isinstance(job.result, Reading):
        return panels.reading(job.result)
    if not isinstance(job.result, Found):
        return []
    return [*_SHOWN[job.asked["task"]](job, job.result), _kept(job.result)]


def _kept(found: Found) -> Any:
    """Return where the evidence is, and how it is run again."""
    key = found.followup.id
    command = f"atlas replay {key}"
    notes = [*found.notes, *found.followup.notes]
    explains = "explanations" in found.followup.tables
    return panel(
        "Kept as evidence",
        html.P([html.Span(link("/runs", key, key=key), id="lab-evidence"),
                " in the graph. Run again with:"]),
        html.Div(
            [
                html.Pre(html.Code(command), id="lab-replay", tabIndex=0,
                         **{"aria-label": "Command that runs it again"}),
                dcc.Clipboard(target_id="lab-replay", title="Copy", className="copy"),
            ],
            className="command",
        ),
        html.Ul([html.Li(note) for note in notes], className="dim small") if notes else None,
        cypher=show_cypher(_CREDITS if explains else _EVIDENCE, {"run": key}, place="evidence"),
    )  # fmt: skip
