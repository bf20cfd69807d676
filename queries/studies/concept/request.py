"""What is asked of a study of a concept."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from queries.followups.evidence import Request
from queries.followups.lab import PromptText  # noqa: TC001 - pydantic reads it
from queries.studies.builds import BuildRef  # noqa: TC001 - pydantic reads it

Statistic = Literal["mean", "max"]
Selection = Literal["all", "filtered"]
Order = Literal["difference", "g", "auc"]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TokenShap(_Settings):
    """The filter: SHAP values of each prompt's tokens.

    Attributes
    ----------
    of
        What is explained, as log odds: the model's own likeliest ``next`` token, as published, or
        the prompt's ``answer``.
    top
        A prompt is kept where a token of its term is among this many of the largest by size.
    max_evals
        Masked prompts evaluated for each; where the budget ends, neighbours share a value.
    """

    of: Literal["next", "answer"] = "next"
    top: int = Field(default=5, ge=1)
    max_evals: int = Field(default=40, ge=4)


class Maps(_Settings):
    """Groups and maps of the concept's features by their decoder directions.

    Attributes
    ----------
    features
        Most features of an SAE that are grouped, the first of the ranking.
    most
        Largest number of groups that is tried.
    seeds
        Runs of k-means, and of Leiden, whose agreement is told.
    """

    features: int = Field(default=100, ge=4)
    most: int = Field(default=10, ge=2)
    seeds: int = Field(default=20, ge=2)


class Causes(_Settings):
    """What is intervened on, on prompts of the held-out half.

    Attributes
    ----------
    features
        Confirmed features of each SAE that make its set.
    alone
        How many of these are also taken each by itself.
    pairs
        Most pairs that are patched.
    prompts
        Most prompts of each set that are steered.
    strengths
        Factors of the addition: 1 adds to each feature its mean over the tokens at which it fires
        in concept prompts of the training half.
    controls
        Sets of matched random features that each set is held against.
    attention
        Most concept prompts whose attention is read.
    shap
        Most concept prompts whose features get SHAP values.
    max_evals
        Coalitions evaluated for each of these.
    """

    features: int = Field(default=8, ge=1)
    alone: int = Field(default=3, ge=0)
    pairs: int = Field(default=50, ge=1)
    prompts: int = Field(default=50, ge=2)
    strengths: tuple[float, ...] = (0.5, 1.0)
    controls: int = Field(default=4, ge=1)
    attention: int = Field(default=24, ge=2)
    shap: int = Field(default=8, ge=1)
    max_evals: int = Field(default=120, ge=4)


class ConceptRequest(Request):
    """Asks which features of some SAEs stand for a concept.

    Attributes
    ----------
    name
        Of the study, for titles.
    prompts
        Of the group ``concept`` or ``control``. Without terms and answers they may be documents;
        what needs these is then left out, and a note says so.
    terms
        Prompt to the term that stands in it: the filter, and attention, look for it.
    matches
        Concept prompt to the control prompt that is its pair. Where there are any, other prompts
        are left out of the contrast. Pairs stay together in the halves.
    saes
        Keys of the SAEs; each reads the stream of its own hook.
    builds
        Builds whose corpus tells firing rates and edges.
    words
        Words that speak for the concept, beside the concept prompts' terms and answers; the
        probability of all of them is what steering is judged by.
    train_share
        Share of the pairs (or prompts) in the training half.
    statistic
        Of a feature in a prompt: its ``mean`` activation over the tokens, as published, or its
        ``max``.
    selection
        Prompts of the contrast that everything later rests on: ``all``, or those that the filter
        keeps. The contrast is shown for both.
    order
        What confirmed features are ranked by on the training half: the ``difference`` of means,
        as published, Hedges' ``g``, or ``auc``.
    top
        Length of the list of features.
    min_prompts
        Features that fire in fewer training prompts, of whichever set, are not tested.
    max_tokens
        Longer prompts are cut, and a note says so.
    sink_ratio
        Positions whose norm is larger than this times the median are masked, as is BOS.
    permutations, resamples, fdr
        Of the permutation test, of the bootstrap, and the false discovery rate.
    shap, maps, causes
        Settings of these parts.
    seed
        Of all draws.
    """

    kind: ClassVar[str] = "concept_study"

    name: str = "concept"
    prompts: tuple[PromptText, ...]
    terms: dict[str, str] = Field(default_factory=dict)
    matches: dict[str, str] = Field(default_factory=dict)
    saes: tuple[str, ...]
    builds: tuple[BuildRef, ...] = ()
    words: tuple[str, ...] = ()
    train_share: float = Field(default=0.5, gt=0, lt=1)
    statistic: Statistic = "mean"
    selection: Selection = "all"
    order: Order = "g"
    top: int = Field(default=40, ge=1)
    min_prompts: int = Field(default=5, ge=1)
    max_tokens: int = Field(default=512, ge=2)
    sink_ratio: float = Field(default=3.0, gt=1)
    permutations: int = Field(default=9999, ge=19)
    resamples: int = Field(default=1000, ge=20)
    fdr: float = Field(default=0.05, gt=0, lt=1)
    shap: TokenShap = TokenShap()
    maps: Maps = Maps()
    causes: Causes = Causes()
    seed: int = 0
