"""Options of an attribution run; stored with its result."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from atlas.errors import UsageError

#: Fewest prompts that a correlation is computed of.
MIN_PROMPTS = 8

Aggregation = Literal["first", "last", "max", "sum"]
Test = Literal["both", "pearson", "spearman"]


class EdgeOptions(BaseModel):
    """Which pairs of features become edges.

    Attributes
    ----------
    test
        Correlation that must be significant and over the floor; ``both`` asks it of Pearson's and
        Spearman's, with one sign.
    min_r
        Floor of the absolute correlation.
    within_groups
        Correlate what is left without the means of groups of prompts.
    fdr
        False-discovery rate over all tested pairs.
    resamples
        Bootstrap resamples.
    resample
        What is drawn: prompts, or whole groups of prompts.
    seed
        Seed of the bootstrap.
    max_features
        Most features whose pairs are tested; memory is about 80 bytes a pair.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    test: Test = "both"
    min_r: float = Field(default=0.3, ge=0, le=1)
    within_groups: bool = False
    fdr: float = Field(default=0.05, gt=0, lt=1)
    resamples: int = Field(default=200, ge=2)
    resample: Literal["prompt", "group"] = "prompt"
    seed: int = Field(default=0, ge=0)
    max_features: int = Field(default=8192, ge=2)


class AttributionOptions(BaseModel):
    """How attributions are computed and which features are kept.

    Attributes
    ----------
    metric
        Name of a metric; see `ingest.attribution.metrics`.
    aggregation
        How a feature's positions become one number.
    keep
        ``intersection`` (features with an attribution in every prompt), ``union`` (in any), or
        the least share of prompts.
    steps
        0 is the gradient at the activations; more are steps of integrated gradients.
    batch_tokens
        Most tokens, padding included, in one forward and backward pass.
    skip_positions, sink_ratio
        Mask: first positions of a prompt (BOS is one), and positions whose norm exceeds this many
        times the prompt's median.
    edges
        Which pairs become edges.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: str = "logit-diff"
    aggregation: Aggregation = "sum"
    keep: Literal["intersection", "union"] | Annotated[float, Field(gt=0, le=1)] = 0.5
    steps: int = Field(default=0, ge=0)
    batch_tokens: int = Field(default=1024, ge=2)
    skip_positions: int = Field(default=1, ge=1)
    sink_ratio: float = Field(default=3.0, gt=1)
    edges: EdgeOptions = EdgeOptions()


_O = TypeVar("_O", EdgeOptions, AttributionOptions)


def make_options(kind: type[_O], **values: Any) -> _O:
    """Make options; raises `UsageError` that names each impossible value."""
    try:
        return kind(**values)
    except ValidationError as error:
        wrong = (
            f"{item['loc'][0]}: {item['msg']} (given: {item['input']!r})" for item in error.errors()
        )
        raise UsageError(f"Attribution cannot run so: {'; '.join(wrong)}.") from error
