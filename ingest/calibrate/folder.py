"""Checks of a finished build, from the code shards in its folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atlas.artifacts import write_json
from atlas.errors import ArtifactError, NotFoundError
from atlas.paths import home_dir
from atlas.progress import Reporter, SilentReporter
from atlas.recipe import EdgesSection
from ingest.build_folder import REBUILD, BuildFolder, open_build
from ingest.calibrate.near import near_of
from ingest.calibrate.run import calibrate
from ingest.cooccurrence.kinds import KINDS, NO_NEAR
from ingest.cooccurrence.shards import CodeFiles, ShardFile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ingest.calibrate.result import Calibration, Plan
    from ingest.cooccurrence.kinds import NearPairs


def calibrate_build(
    run: str | Path,
    *,
    sae: str | None = None,
    plan: Plan | None = None,
    near: Mapping[str, NearPairs] | None = None,
    home: str | Path | None = None,
    reporter: Reporter | None = None,
) -> dict[str, Calibration]:
    """Check the edges of a build, with the options it was made with.

    Written into the build's folder is ``calibration-SAE.json`` for each SAE.

    Parameters
    ----------
    run
        A build's folder, or the id of a run under ``HOME/builds``.
    sae
        Name or key of one SAE of the build; by default all.
    plan
        Seed, repeats, trades.
    near
        Pairs of near decoder vectors by name of the SAE; by default from the build's table
        `similar`.
    home
        The atlas's folder; see `atlas.paths.home_dir`.
    reporter
        Told of each step.

    Returns
    -------
    dict
        A `Calibration` for each SAE's name.

    Raises
    ------
    NotFoundError
        There is no such build, or no such SAE in it.
    ArtifactError
        The build is not finished, or its codes are missing or damaged.
    """
    told = reporter or SilentReporter()
    build = open_build(find_build(run, home=home), verify=False)
    options = edge_options(build)
    out = {}
    for section in _saes(build, sae):
        name = str(section["name"])
        told.note(f"calibrating {section['key']}")
        result = _calibrate_sae(build, section, options, plan=plan, near=near, reporter=told)
        write_json(build.path / f"calibration-{name.replace('/', '-')}.json", result.to_json())
        for line in result.notes:
            told.note(f"  {line}")
        out[name] = result
    return out


def _calibrate_sae(
    build: BuildFolder,
    section: Mapping[str, Any],
    options: EdgesSection,
    *,
    plan: Plan | None,
    near: Mapping[str, NearPairs] | None,
    reporter: Reporter,
) -> Calibration:
    key, notes = str(section["key"]), list[str]()
    if near is not None:
        pairs = near.get(str(section["name"]), NO_NEAR)
    else:
        pairs, notes = near_of(build, key, options=options)
    result = calibrate(
        code_files(build, section, unit=options.unit).read,
        d_sae=int(section["d_sae"]),
        options=options,
        near=pairs,
        plan=plan,
        sae=key,
        scratch=build.path,
        reporter=reporter,
    )
    notes += _differences(build, key, result)
    return replace(result, notes=(*result.notes, *notes))


def find_build(run: str | Path, *, home: str | Path | None = None) -> Path:
    """Return the folder of a build, given as a folder or as the id of a run."""
    folder = Path(run).expanduser()
    if folder.is_dir():
        return folder
    builds = home_dir(home) / "builds"
    if (builds / str(run)).is_dir():
        return builds / str(run)
    known = sorted(path.parent.name for path in builds.glob("*/run.json"))
    raise NotFoundError(
        f"{run} is neither a folder nor a run in {builds}.",
        hint=f"There are {', '.join(known)}." if known else "Run `atlas build` first.",
    )


def _saes(build: BuildFolder, sae: str | None) -> list[Mapping[str, Any]]:
    saes: list[Mapping[str, Any]] = list(build.run["saes"])
    if sae is None:
        return saes
    chosen = [section for section in saes if sae in (section["name"], section["key"])]
    if not chosen:
        names = ", ".join(str(section["name"]) for section in saes)
        raise NotFoundError(f"{build.run_id} has no SAE {sae!r}.", hint=f"It has {names}.")
    return chosen


def edge_options(build: BuildFolder) -> EdgesSection:
    """Return the ``[edges]`` that a build was made with; what it does not say has its default."""
    parameters = build.run.get("parameters", {})
    known = {name: parameters.get(f"edges.{name}") for name in EdgesSection.model_fields}
    given = {name: value for name, value in known.items() if value is not None}
    return EdgesSection.model_validate(given)


def code_files(build: BuildFolder, sae: Mapping[str, Any], *, unit: str) -> CodeFiles:
    """Return the code shards of one SAE of a build; all must have been made from the same."""
    folder = build.path / "codes" / str(sae["name"])
    paths = sorted(folder.glob("shard-*.safetensors"))
    records = [path.with_suffix(".json") for path in paths]
    if not paths or not all(path.is_file() for path in records):
        raise ArtifactError(
            f"{build.path} has no complete codes of {sae['name']}.",
            hint="Build it again with `atlas build`; codes can be left out when a build is copied.",
        )
    made = [json.loads(path.read_text("utf-8")) for path in records]
    rows, expected = sum(record["rows"] for record in made), build.run["corpus"].get("positions")
    if expected is not None and rows != expected:
        raise ArtifactError(
            f"The codes in {folder} have {rows} positions, the build has {expected}.", hint=REBUILD
        )
    shards = [(ShardFile(path, made[0]["identity"]),) for path in paths]
    return CodeFiles(shards, groups=(int(sae["d_sae"]),), unit=unit)


def _differences(build: BuildFolder, sae_key: str, result: Calibration) -> list[str]:
    """Say where the build's own table has another number of edges than were found here."""
    import pyarrow.compute as pc

    table = build.column("edges", "source", "kind")
    mine = table.filter(pc.starts_with(table.column("source"), f"{sae_key}/"))
    lines = []
    for number, kind in enumerate(KINDS):
        there = int(pc.sum(pc.equal(mine.column("kind"), kind)).as_py() or 0)
        here = result.kept.kinds[number].kept
        if there != here:
            lines.append(f"The build has {there} {kind} edges, this search found {here}.")
    return lines
