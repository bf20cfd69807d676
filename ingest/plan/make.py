"""Making plans: with measurements, or from what a build knows before it starts."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atlas.errors import CorpusError
from atlas.paths import home_dir
from ingest.cooccurrence.shards import CodeFiles, ShardFile
from ingest.plan.known import Known
from ingest.plan.machine import this_machine
from ingest.plan.plan import Measured
from ingest.plan.rates import assumed_rates, counted_rates, scaled_rates
from ingest.plan.sample import take_sample
from ingest.plan.seconds import stage_seconds
from ingest.plan.speeds import measure_speeds
from ingest.plan.text import measure_text
from ingest.preflight import check_shapes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.inputs import BuildInputs
    from ingest.mapped import MappedSae
    from ingest.plan.machine import Machine
    from ingest.plan.plan import Plan
    from ingest.plan.rates import Rates
    from ingest.plan.sample import Sample
    from ingest.plan.text import TextSize

#: Seconds for the sample's forward pass, and for the panels of pairs.
SAMPLE_SECONDS, PANEL_SECONDS = 4.0, 2.0


def make_plan(
    inputs: BuildInputs,
    *,
    home: str | Path | None = None,
    graph: bool = True,
    sample_tokens: int | None = None,
    machine: Machine | None = None,
) -> Plan:
    """Predict what a build will cost, from a sample of its text that is run and timed here.

    A sample of the documents, spread evenly, goes through the model, the SAEs and the search for
    edges with the build's own code, in a temporary folder. Where the text is not longer than the
    sample, tokens, positions, codes and tested pairs are those of the build.

    Parameters
    ----------
    inputs
        Model, SAEs and text.
    home
        The atlas's folder; see `atlas.paths.home_dir`. Nothing is written there.
    graph
        Whether the graph will lie on the same disk.
    sample_tokens
        Tokens of the sample; by default what the model reads in a few seconds.
    machine
        What there is; by default this machine is looked at.

    Raises
    ------
    CorpusError, ModelError
        The text or the model cannot be used.
    """
    for sae in inputs.saes:
        check_shapes(inputs.model, sae)
    size = measure_text(inputs.text)
    with tempfile.TemporaryDirectory(prefix="atlas-plan-") as name:
        folder = Path(name)
        inputs.reporter.note("running a sample of the text")
        sample = take_sample(
            inputs, size, folder=folder, seconds=SAMPLE_SECONDS, tokens=sample_tokens
        )
        rates = [_rates(inputs, sae) for sae in sample.saes]
        if rates[0].positions == 0:
            raise CorpusError("No position is left after masking.", hint="Give longer documents.")
        known = _known(inputs, size, sample, rates)
        inputs.reporter.note("timing the search for edges on the sample")
        scale = known.rates[0].positions / rates[0].positions
        speeds = measure_speeds(inputs, sample, scratch=folder, scale=scale, seconds=PANEL_SECONDS)
    build = known.build_size()
    measured = Measured(
        documents=len(sample.documents),
        positions=rates[0].positions,
        whole=sample.whole,
        tokens_per_second=1 / max(sample.forward, 1e-12),
        positions_per_second={name: 1 / max(s, 1e-12) for name, s in sample.encode.items()},
        seconds=stage_seconds(build, size, sample=sample, speeds=speeds),
        device=sample.device,
    )
    folder = home_dir(home) / "builds" / inputs.run_id
    there = machine or this_machine(folder, cuda=build.model.cuda)
    return known.plan(build, machine=there, measured=measured, graph=graph)


def quick_plan(
    inputs: BuildInputs,
    figures: dict[str, Any],
    *,
    folder: Path,
    machine: Machine | None = None,
) -> Plan:
    """Predict what a build will take of memory and disk, without measuring anything.

    Every position counts, and firing rates are assumed to be log-normal with the mean that the
    preflight measured, so that the plan errs on the side of too much. There are no times, and
    Neo4j's disk is not counted.

    Parameters
    ----------
    inputs
        Model, SAEs and text.
    figures
        `ingest.preflight.SaeFigures` of each SAE, as JSON objects, by its name.
    folder
        Folder of the build; what lies there already counts as free.
    machine
        What there is; by default this machine is looked at.

    Raises
    ------
    CorpusError
        The text holds no token.
    """
    size = measure_text(inputs.text)
    positions = int(size.countable(inputs.recipe.tokens).sum())
    rates = [
        assumed_rates(
            sae.name, sae.d_sae, l0=float(figures[sae.name]["l0"]), silent=0.0, positions=positions
        )
        for sae in sorted(inputs.saes, key=lambda sae: (sae.hook.depth, sae.name))
    ]
    known = Known(inputs, size, tuple(rates), 1.0)
    build = known.build_size()
    there = machine or this_machine(folder, cuda=build.model.cuda)
    return known.plan(build, machine=there, measured=None, graph=False)


def _rates(inputs: BuildInputs, sae: MappedSae) -> Rates:
    def files(unit: str) -> CodeFiles:
        shards = [(ShardFile(path, sae.identity),) for path in sae.paths]
        return CodeFiles(shards, (sae.d_sae,), unit=unit, block=sae.block)

    return counted_rates(sae.name, files(inputs.recipe.edges.unit), files("token"))


def _known(inputs: BuildInputs, size: TextSize, sample: Sample, rates: Sequence[Rates]) -> Known:
    """Expect from a sample what the whole text has; nothing is expected where it is all of it."""
    share = rates[0].positions / max(sample.countable, 1)
    if sample.whole:
        return Known(inputs, size, tuple(rates), share)
    lengths = size.countable(inputs.recipe.tokens)
    documents, positions = int((lengths > 0).sum()), round(int(lengths.sum()) * share)
    units = round(rates[0].m.positions * positions / rates[0].positions)
    if inputs.recipe.edges.unit == "document":
        units = documents
    expected = (
        scaled_rates(one, positions=positions, units=units, documents=documents) for one in rates
    )
    return Known(inputs, size, tuple(expected), share)
