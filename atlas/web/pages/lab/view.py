"""The Lab: experiments on the model, from a prompt that somebody types to evidence in the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dash import ALL, ClientsideFunction, Input, Output, State, ctx, dcc, html, no_update

from atlas.errors import AtlasError, NotFoundError, UsageError
from atlas.web.page import Page, Query
from atlas.web.pages.lab.form import (
    FIELDS,
    field_values,
    form,
    of_address,
    options,
    shown_fields,
    sliders,
)
from atlas.web.pages.lab.shown import progress, result
from atlas.web.pages.lab.work import Bench
from atlas.web.parts import address, error, link, panel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dash import Dash

    from atlas.web.pages.lab.jobs import Job
    from atlas.web.store import Store

#: Milliseconds between two looks at a job that is not over.
_LOOK = 500
#: Jobs that are listed.
_LISTED = 12


def page(store: Store) -> Page:
    """Return the page."""
    return Page("/lab", "Lab", "Lab", lambda query: _layout(store, query))


def bench(store: Store) -> Bench:
    """Return the Lab of an atlas; there is one a server."""
    found: Bench = store.keep(("lab",), lambda: Bench(store))
    return found


def callbacks(app: Dash, store: Store) -> None:
    """Register the form, the queue and what is shown of a job."""
    _form_callbacks(app, store)
    _job_callbacks(app, store)


def _form_callbacks(app: Dash, store: Store) -> None:
    @app.callback(
        *(
            Output(f"lab-part-{name}", "style")
            for name in ("features", "steer", "explain", "patch")
        ),
        Input("lab-task", "value"),
        Input("lab-of", "value"),
    )  # type: ignore[untyped-decorator]
    def show(task: str, of: str) -> tuple[Any, ...]:
        return tuple({} if shown else {"display": "none"} for shown in shown_fields(task, of))

    @app.callback(
        Output("lab-features", "options"),
        Input("lab-features", "search_value"),
        Input("lab-features", "value"),
        State("lab-run", "data"),
    )  # type: ignore[untyped-decorator]
    def search(text: str | None, chosen: Sequence[str] | None, run: str) -> Any:
        return options(store, text or "", list(chosen or ()), run)

    @app.callback(
        Output("lab-sliders", "children"),
        Output("lab-unit", "disabled"),
        Input("lab-features", "value"),
        Input("lab-kind", "value"),
        Input("lab-unit", "value"),
        State({"type": "lab-strength", "key": ALL}, "value"),
        State({"type": "lab-strength", "key": ALL}, "id"),
        State("lab-first", "data"),
    )  # type: ignore[untyped-decorator]
    def slide(
        chosen: Sequence[str] | None, kind: str, unit: str, values: Sequence[float],
        names: Sequence[Mapping[str, str]], first: Mapping[str, float],
    ) -> tuple[Any, bool]:  # fmt: skip
        set_before = {name["key"]: value for name, value in zip(names, values, strict=True)}
        about = bench(store).labels(list(chosen or ()))
        made = sliders(
            list(chosen or ()), kind=kind, unit=unit, about=about,
            values={**first, **set_before},
        )  # fmt: skip
        return made, kind not in ("add", "clamp")

    @app.callback(
        Output("lab-features", "options", allow_duplicate=True),
        Output("lab-features", "value"),
        Output("lab-task", "value"),
        Input({"type": "lab-add", "key": ALL, "place": ALL}, "n_clicks"),
        State("lab-features", "value"),
        State("lab-run", "data"),
        prevent_initial_call=True,
    )  # type: ignore[untyped-decorator]
    def add(clicks: Sequence[int], chosen: Sequence[str] | None, run: str) -> Any:
        if not ctx.triggered_id or not any(clicks):
            return no_update, no_update, no_update
        keys = list(dict.fromkeys([*(chosen or ()), ctx.triggered_id["key"]]))
        # A value that is no option is dropped: both are set at once.
        return options(store, "", keys, run), keys, "steer"


def _job_callbacks(app: Dash, store: Store) -> None:
    @app.callback(
        Output("lab-job", "data"),
        Output("lab-refused", "children"),
        Output("lab-here", "data"),
        Input("lab-go", "n_clicks"),
        *(State(f"lab-{name}", "value") for name in FIELDS),
        State({"type": "lab-strength", "key": ALL}, "value"),
        State({"type": "lab-strength", "key": ALL}, "id"),
        State("lab-run", "data"),
        prevent_initial_call=True,
    )  # type: ignore[untyped-decorator]
    def go(clicks: int | None, *given: Any) -> tuple[Any, ...]:
        if not clicks:
            return no_update, no_update, no_update
        *values, strengths, names, run = given
        by_key = {name["key"]: value for name, value in zip(names, strengths, strict=True)}
        asked = field_values(values, by_key, run=run)
        try:
            job = bench(store).submit(asked)
        except AtlasError as what:
            return no_update, error(what), no_update
        return job.id, None, address("/lab", run=run, job=job.id)

    app.clientside_callback(
        ClientsideFunction("atlas_address", "remember"),
        Output("lab-here", "modified_timestamp"),
        Input("lab-here", "data"),
        prevent_initial_call=True,
    )

    @app.callback(
        Output("lab-progress", "children"),
        Output("lab-result", "children"),
        Output("lab-jobs", "children"),
        Output("lab-look", "disabled"),
        Output("lab-cancel", "disabled"),
        Output("lab-shown", "data"),
        Input("lab-look", "n_intervals"),
        Input("lab-job", "data"),
        Input("lab-cancel", "n_clicks"),
        State("lab-shown", "data"),
    )  # type: ignore[untyped-decorator]
    def look(
        _: int | None, key: str | None, clicks: int | None, shown: str | None
    ) -> tuple[Any, ...]:
        jobs = bench(store).jobs
        if ctx.triggered_id == "lab-cancel" and clicks and key:
            jobs.cancel(key)
        recent = [job for job in jobs.recent() if job.asked.get("task") != "load"]
        settled = all(job.over for job in recent)
        try:
            job = jobs.get(key) if key else None
        except NotFoundError as what:
            return error(what), None, _others(recent), settled, True, None
        if job is None:
            return None, None, _others(recent), settled, True, None
        state = f"{job.id} {job.over}"
        found = no_update if shown == state else result(job)
        return (progress(job, jobs.before(job.id)), found, _others(recent), settled,
                job.over or job.stopping, state)  # fmt: skip

    @app.callback(
        Output("lab-model", "children"),
        Output("lab-go", "disabled"),
        Output("lab-loading", "disabled"),
        Input("lab-loading", "n_intervals"),
        State("lab-run", "data"),
    )  # type: ignore[untyped-decorator]
    def loading(_: int | None, run: str) -> tuple[Any, ...]:
        return _model(bench(store).load(run))


def _model(job: Job) -> tuple[Any, bool, bool]:
    """Return whether the model is there, whether nothing can be run, whether that is settled."""
    if job.state == "done":
        return html.P(f"{job.result} is loaded.", className="dim"), False, True
    if job.over:
        why = error(job.error) if job.error else html.P("Loading it was cancelled.")
        return html.Div([html.P("Nothing can be run here:"), why]), True, True
    return html.P("The model and its SAEs are being loaded ...", className="dim"), True, False


def _layout(store: Store, query: Query) -> Any:
    lab = bench(store)
    job = _job(lab, query.get("job"))
    run = store.run(query.get("run") or (str(job.asked["run"]) if job else None))
    saes = lab.saes(run)
    if not saes:
        raise UsageError(f"The run {run} has no SAE.", hint="Load a build of features.")
    first = {**(job.asked if job else {}), **of_address(query)}
    key = query.get("job")
    model, off, settled = _model(lab.load(run, again=True))
    return [
        html.H1("Lab"),
        html.P(["What experiments find is kept in the graph as evidence. Features and model of ",
                link("/runs", run, key=run), "."], className="dim"),
        html.Div(model, id="lab-model", role="status"),
        dcc.Interval(id="lab-loading", interval=_LOOK, disabled=settled),
        *(dcc.Store(id=f"lab-{name}", data=data) for name, data in
          {"run": run, "job": key, "here": None, "shown": None,
           "first": dict(zip(first.get("features") or (), first.get("strengths") or (),
                             strict=False))}.items()),
        form(first, saes=saes, known=lab.labels(first.get("features") or []), off=off),
        html.Div(id="lab-refused", **{"aria-live": "assertive"}),
        html.Div(id="lab-progress", role="status", className="progress"),
        dcc.Interval(id="lab-look", interval=_LOOK),
        html.Div(id="lab-result", className="results"),
        html.Div(id="lab-jobs"),
    ]  # fmt: skip


def _job(lab: Bench, key: str | None) -> Job | None:
    """Return the job of an address, if it is remembered."""
    try:
        return lab.jobs.get(key) if key else None
    except NotFoundError:
        return None


def _others(jobs: Sequence[Job]) -> Any:
    """Return links to what was asked here."""
    items = [
        html.Li(
            [
                link("/lab", job.title, run=str(job.asked["run"]), job=job.id),
                html.Span(f" {job.state}: {str(job.asked['prompt'])[:80]}", className="dim"),
            ]
        )
        for job in jobs[:_LISTED]
    ]
    return panel("Asked here since the explorer began", html.Ul(items)) if items else None
