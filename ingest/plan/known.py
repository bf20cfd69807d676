"""What is known of a text and of firing rates, put together to a plan."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numba
import numpy as np

from ingest.plan.disk import disk_phases
from ingest.plan.graph import graph_size
from ingest.plan.memory import device_phases, memory_phases
from ingest.plan.needs import Need, Phase
from ingest.plan.pairs import predict_search
from ingest.plan.plan import Plan
from ingest.plan.rates import side_by_side
from ingest.plan.rows import expected_rows
from ingest.plan.sizes import BuildSize, ModelSize, SaeSize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ingest.inputs import BuildInputs
    from ingest.plan.machine import Machine
    from ingest.plan.pairs import Search
    from ingest.plan.plan import Measured
    from ingest.plan.rates import Rates
    from ingest.plan.text import TextSize


@dataclass(frozen=True)
class Known:
    """What a plan is made from.

    Attributes
    ----------
    inputs
        Model, SAEs and text.
    size
        Length of the text.
    rates
        Firings of each SAE in the whole text, counted or expected, the earliest hook first.
    share
        Share of the countable positions that are no attention sinks.
    """

    inputs: BuildInputs
    size: TextSize
    rates: tuple[Rates, ...]
    share: float

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Countable positions of each document."""
        return self.size.countable(self.inputs.recipe.tokens)

    def build_size(self) -> BuildSize:
        """Gather what the bytes of the build follow from."""
        recipe = self.inputs.recipe
        searches = self._searches()
        shape = _model_size(self.inputs)
        per_shard = np.add.reduceat(
            self.lengths, np.arange(0, len(self.lengths), recipe.tokens.shard_documents)
        )
        largest = round(int(per_shard.max()) * self.share)
        return BuildSize(
            recipe=recipe,
            documents=self.size.documents,
            model=shape,
            saes=tuple(self._sae(rates, largest) for rates in self.rates),
            searches=searches,
            text=self.size.memory,
            positions=self.rates[0].positions,
            largest_shard=largest,
            shards=len(per_shard),
            threads=numba.get_num_threads(),
            rows=expected_rows(
                recipe, self.rates, searches, documents=self.size.documents,
                vocabulary=shape.vocabulary,
            ),
        )  # fmt: skip

    def _searches(self) -> tuple[Search, ...]:
        recipe, rates = self.inputs.recipe, self.rates
        wanted: list[tuple[Rates, tuple[int, ...]]] = [(one, (one.d_sae,)) for one in rates]
        depth = {sae.name: sae.hook.depth for sae in self.inputs.saes}
        for early, late in combinations(rates, 2):
            if recipe.edges.feeds and depth[early.name] < depth[late.name]:
                wanted.append((side_by_side(early, late), (early.d_sae, late.d_sae)))
        return tuple(
            predict_search(one, groups=groups, lengths=self.lengths, options=recipe.edges)
            for one, groups in wanted
        )

    def _sae(self, rates: Rates, largest: int) -> SaeSize:
        sae = next(one for one in self.inputs.saes if one.name == rates.name)
        return SaeSize(
            name=rates.name,
            features=rates.d_sae,
            weights=sum(p.numel() * p.element_size() for p in sae.sae.parameters()),
            codes=rates.codes,
            largest_shard=round(rates.l0 * largest),
            marked=round(rates.marked),
        )

    def plan(
        self, build: BuildSize, *, machine: Machine, measured: Measured | None, graph: bool
    ) -> Plan:
        """Put the plan together."""
        memory, stored = memory_phases(build), graph_size(build.rows)
        device = device_phases(build)
        if device and measured is not None:
            taken = Need("what PyTorch reserved", measured.device)
            device = (*device, Phase("running the sample", (taken,)))
        running = {need.what: need.bytes for need in memory[0].needs}
        return Plan(
            name=self.inputs.recipe.name,
            documents=self.size.documents,
            tokens=self.size.tokens,
            tokenised=self.size.tokenised,
            positions=build.positions,
            masked=1 - build.positions / max(self.size.read(self.inputs.recipe.tokens), 1),
            l0={rates.name: rates.l0 for rates in self.rates},
            searches=build.searches,
            rows=build.rows,
            memory=memory,
            device=device,
            disk=disk_phases(build, stored if graph else None),
            graph=stored,
            machine=machine,
            measured=measured,
            fixed=sum(running.values()) - running["one shard of codes"],
            lengths=self.size.lengths,
            ids=[document.id for document in self.inputs.documents],
        )


def _model_size(inputs: BuildInputs) -> ModelSize:
    model = inputs.model
    config, head = model.hf_model.config, model.hf_model.get_output_embeddings().weight
    hidden = getattr(config, "intermediate_size", None) or 4 * model.d_model
    return ModelSize(
        weights=sum(p.numel() * p.element_size() for p in model.hf_model.parameters()),
        width=model.d_model,
        hidden=int(hidden),
        vocabulary=len(head),
        number=head.element_size(),
        cuda=model.device.type == "cuda",
    )
