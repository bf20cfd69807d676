"""What is asked of a network study."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ingest.attribution.options import Aggregation, EdgeOptions
from queries.followups.evidence import Request
from queries.followups.lab import PromptText  # noqa: TC001 - pydantic reads it
from queries.studies.builds import BuildRef  # noqa: TC001 - pydantic reads it

Unit = Literal["global_max", "local_max", "fixed"]
Factor = Annotated[float, Field(gt=0)]

FACTORS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0)
"""Factors over the range of the published study."""

METRICS = ("rank", "logit", "probability", "logit_diff", "entropy_top10")
"""What steering is judged by; see `queries.followups.metrics`."""


class NetworkRequest(Request):
    """Asks how the features behind a task's answers hang together, and what steering them does.

    The strength of steering is ``-base * factor`` in the unit: the published rule takes ``base *
    factor`` times a feature's maximum times its decoder row *from* the stream, so that its base of
    -2 adds the feature.

    Attributes
    ----------
    name
        Of the recipe; for titles.
    prompts
        All candidates, each with its answer, its foils (wrong answers) and, as its group, what
        belongs together (the answer).
    sae
        Key of the SAE in the lab.
    builds
        Builds whose corpus tells maxima and firing rates.
    keep
        Prompts that the study is of: those whose answer ranks ``first`` in the vocabulary, whose
        answer's logit is above those of all foils (``choice``), or ``all``.
    metric
        What is attributed to features, of the logits after the prompt.
    foil
        The foils that ``logit_diff`` takes: one drawn for each prompt, as published, or ``all``.
    aggregations
        How a feature's positions become one number; every one is computed.
    aggregation
        The one that everything after the attributions is of.
    features
        Features with an attribution in every kept prompt (``intersection``), in any (``union``),
        or in that share of them.
    edges
        Which pairs of features become edges of the signed graph.
    published_r
        Pairs with a larger absolute Pearson correlation are edges of the published graph.
    resolution
        Of Leiden's modularity.
    bootstraps, seeds
        Communities of the signed graph are what Leiden's runs with every seed on every bootstrap
        of the prompts agree on.
    agreement
        Share of these runs from which on two features' being together counts; see
        `queries.studies.network.communities.agreed`.
    greedy_bootstraps
        Bootstraps that the published communities are found again on.
    rank_bootstraps
        Bootstraps of the intervals of ranks.
    null_graphs
        Graphs of the same degrees that centralities over communities are held against; 0 for none.
    grouping
        Communities that metrics, sets and hypotheses are of: those of the signed graph, or the
        published ones.
    steered_prompts
        Prompts that are steered, drawn evenly over the answers.
    steered_features
        Features that are steered one by one, drawn evenly over the communities.
    sets, set_sizes
        Sets of each kind (within one community, between communities, controls) and size.
    base, factors
        Of the strengths; see above.
    units
        What a strength is times: the largest activation over the corpus (``global_max``), in the
        prompt (``local_max``), or `fixed_maximum`. All factors are run in the first.
    other_factors
        Factors that are run in the other units.
    fixed_maximum
        The ``fixed`` unit, in activation; by default the median over the network's features of
        their largest activation in the prompts.
    normalise
        Whether sets are steered with each feature at full strength (``none``), at the strength
        divided by the set's ``size``, or both.
    ablate
        Whether single features are ablated as well.
    factor, tested_factors
        Factor that the verdicts are of, and those that hypotheses are tested at.
    graph_factors
        Factors whose interventions become part of the graph.
    fdr
        False-discovery rate of the hypotheses' tests.
    permutations, resamples
        Of the tests and of the intervals.
    seed
        Of all draws.
    """

    kind: ClassVar[str] = "network_study"

    name: str
    prompts: tuple[PromptText, ...]
    sae: str
    builds: tuple[BuildRef, ...] = ()
    keep: Literal["first", "choice", "all"] = "first"
    metric: Literal["logit_diff", "log_prob", "logit"] = "logit_diff"
    foil: Literal["random", "all"] = "random"
    aggregations: tuple[Aggregation, ...] = ("first", "last", "max", "sum")
    aggregation: Aggregation = "sum"
    features: Literal["union", "intersection"] | Annotated[float, Field(gt=0, le=1)] = 0.5
    edges: EdgeOptions = EdgeOptions()
    published_r: float = Field(default=0.7, ge=0, lt=1)
    resolution: float = Field(default=1.0, gt=0)
    bootstraps: int = Field(default=20, ge=2)
    seeds: int = Field(default=20, ge=2)
    agreement: float = Field(default=0.3, gt=0, le=1)
    greedy_bootstraps: int = Field(default=20, ge=2)
    rank_bootstraps: int = Field(default=100, ge=2)
    null_graphs: int = Field(default=200, ge=0)
    grouping: Literal["signed", "published"] = "signed"
    steered_prompts: int = Field(default=12, ge=4)
    steered_features: int = Field(default=60, ge=2)
    sets: int = Field(default=6, ge=2)
    set_sizes: tuple[Annotated[int, Field(ge=2)], ...] = (2, 3, 4)
    base: float = -2.0
    factors: tuple[Factor, ...] = FACTORS
    units: tuple[Unit, ...] = ("global_max", "local_max", "fixed")
    other_factors: tuple[Factor, ...] = (2.0, 5.0, 10.0)
    fixed_maximum: float | None = Field(default=None, gt=0)
    normalise: tuple[Literal["none", "size"], ...] = ("none", "size")
    ablate: bool = True
    factor: float = 2.0
    tested_factors: tuple[Factor, ...] = (0.5, 2.0, 5.0, 10.0)
    graph_factors: tuple[Factor, ...] = (0.5, 2.0)
    fdr: float = Field(default=0.05, gt=0, lt=1)
    permutations: int = Field(default=2000, ge=99)
    resamples: int = Field(default=1000, ge=99)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name in ("aggregations", "units", "normalise", "factors", "set_sizes"):
            values = getattr(self, name)
            if not values and name != "set_sizes":
                raise ValueError(f"{name} must have one at least")
            if max(Counter(values).values(), default=1) > 1:
                raise ValueError(f"{name} names one twice")
        if self.aggregation not in self.aggregations:
            raise ValueError("aggregation must be one of aggregations")
        if self.base == 0:
            raise ValueError("base must not be 0")
        for name in ("tested_factors", "graph_factors"):
            missing = set(getattr(self, name)) - set(self.factors)
            if missing:
                raise ValueError(f"{name}: {min(missing):g} is not among factors")
        if self.factor not in self.tested_factors:
            raise ValueError("factor must be one of tested_factors")
        return self

    def strength(self, factor: float) -> float:
        """Strength of an addition at a factor; see the class."""
        return -self.base * factor
