"""The prompts of a concept study in tokens, in pairs and in halves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.errors import CorpusError, UsageError
from ingest.attribution.tokens import BadPromptError, prompt_tokens
from queries.followups.lab import TaskPrompt
from queries.studies.prompt_tables import CONCEPT, CONTROL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from queries.followups.lab import Lab, PromptText
    from queries.studies.concept.request import ConceptRequest

    Bools = NDArray[np.bool_]
    Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Setting:
    """A request on a lab, with its prompts read; everywhere a prompt is its number, from 0.

    Attributes
    ----------
    lab
        The model and its SAEs.
    request
        What is asked.
    prompts
        The prompts in tokens, BOS first, in the order of the request.
    concept
        bool ``[prompts]``: whether a prompt is of the concept.
    pairs
        int64 ``[pairs, 2]``: concept prompt and its control; empty where nothing is matched.
    train
        bool ``[prompts]``: the training half.
    used
        bool ``[prompts]``: prompts of the contrast; where there are pairs, those that have one.
    notes
        What was done to prompts, one line each.
    """

    lab: Lab
    request: ConceptRequest
    prompts: tuple[TaskPrompt, ...]
    concept: Bools
    pairs: Ints
    train: Bools
    used: Bools
    notes: tuple[str, ...]

    @classmethod
    def of(cls, lab: Lab, request: ConceptRequest) -> Setting:
        """Read the prompts of a request.

        Raises
        ------
        UsageError
            The request does not fit together: a group, term, match or SAE is not known, or a half
            would have too few prompts of a set.
        CorpusError
            Prompts cannot be read.
        NotFoundError
            An SAE is not loaded.
        """
        _check(lab, request)
        prompts, notes = _tokens(lab, request)
        groups = [text.group for text in request.prompts]
        concept = np.array([group == CONCEPT for group in groups])
        number = {text.id: k for k, text in enumerate(request.prompts)}
        # In the order of the prompts: a stored request has its names in another order.
        pairs = np.array(
            sorted((number[one], number[other]) for one, other in request.matches.items()), np.int64
        ).reshape(-1, 2)
        used = np.isin(np.arange(len(prompts)), pairs) if len(pairs) else np.ones(len(groups), bool)
        train = _train(request, concept, pairs)
        if not used.all():
            notes.append(f"{(~used).sum()} of {len(used)} prompts have no match and are left out")
        found = cls(lab, request, tuple(prompts), concept, pairs, train, used, tuple(notes))
        found._check_halves()
        return found

    def _check_halves(self) -> None:
        for name, half in (("training", self.train), ("held-out", ~self.train)):
            for group, mine in ((CONCEPT, self.concept), (CONTROL, ~self.concept)):
                number = int((half & mine & self.used).sum())
                if number < 2:
                    raise UsageError(
                        f"The {name} half has {number} prompts of the set {group}.",
                        hint="Give more prompts, or another train_share.",
                    )

    def texts(self, numbers: Sequence[int]) -> tuple[PromptText, ...]:
        """Return some prompts as written."""
        return tuple(self.request.prompts[k] for k in numbers)

    @property
    def ids(self) -> list[str]:
        """Ids of the prompts."""
        return [text.id for text in self.request.prompts]

    @cached_property
    def term_places(self) -> list[tuple[int, ...]]:
        """Tokens of each prompt's term, 0 the first after BOS; none where it has no term."""
        tokenizer = self.lab.model.tokenizer
        return [
            term_places(tokenizer, text.prompt, self.request.terms.get(text.id, ""))
            for text in self.request.prompts
        ]

    def held_out(self, *, concept: bool, most: int) -> list[int]:
        """Return up to `most` held-out prompts of a set, in the order of the request."""
        wanted = self.used & ~self.train & (self.concept == concept)
        found: list[int] = np.flatnonzero(wanted)[:most].tolist()
        return found


def term_places(tokenizer: Any, text: str, term: str) -> tuple[int, ...]:
    """Return the tokens of a text that a term touches, wherever it stands; 0 is the first."""
    if not term:
        return ()
    found = tokenizer(
        text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
    )["offset_mapping"]  # fmt: skip
    places = set()
    start = text.find(term)
    while start >= 0:
        inside = (start, start + len(term))
        places |= {
            k
            for k, (low, high) in enumerate(found)
            if low < inside[1] and high > inside[0] and text[low:high].strip()
        }
        start = text.find(term, start + 1)
    return tuple(sorted(places))


def _check(lab: Lab, request: ConceptRequest) -> None:
    """Raise where names of a request do not fit together."""
    if not request.saes:
        raise UsageError("There is no SAE.", hint="Give one at least.")
    for key in request.saes:
        lab.sae(key)
    groups = {text.id: text.group for text in request.prompts}
    if len(groups) < len(request.prompts):
        raise UsageError("Two prompts have the same id.", hint="Give each its own.")
    for one, group in groups.items():
        if group not in {CONCEPT, CONTROL}:
            raise UsageError(
                f"Prompt {one} is of the group {group!r}.",
                hint=f"Groups are {CONCEPT!r} and {CONTROL!r}.",
            )
    _check_matches(request, groups)
    prompts = {text.id: text.prompt for text in request.prompts}
    for one, term in request.terms.items():
        if term not in prompts.get(one, ""):
            raise UsageError(f"The term {term!r} is not in a prompt {one}.")


def _check_matches(request: ConceptRequest, groups: Mapping[str, str | None]) -> None:
    for one, other in request.matches.items():
        if groups.get(one) != CONCEPT or groups.get(other) != CONTROL:
            raise UsageError(
                f"{one} is matched with {other}.", hint="Match a concept prompt with a control."
            )
    if len({*request.matches.values()}) < len(request.matches):
        raise UsageError("Two concept prompts are matched with the same control.")


def _tokens(lab: Lab, request: ConceptRequest) -> tuple[list[TaskPrompt], list[str]]:
    """Tokenise prompts; those that are too long are cut."""
    most = min(request.max_tokens, (lab.context_size or request.max_tokens + 1) - 1)
    found, faults, cut, first = [], [], 0, 0
    for text in request.prompts:
        try:
            one = prompt_tokens(
                lab.model.tokenizer, text.prompt, answer=text.answer, foils=text.foils
            )
        except BadPromptError as error:
            faults.append(f"{text.id}: {error}")
            continue
        cut += len(one.ids) > most
        first += one.cut
        # What follows the cut is no continuation of it.
        whole = len(one.ids) <= most
        tokens = (lab.model.bos_token_id, *one.ids[:most])
        foils = one.foils if whole else ()
        found.append(TaskPrompt(text.id, tokens, one.answer if whole else None, foils))
    if faults:
        raise CorpusError(
            f"{len(faults)} of {len(request.prompts)} prompts cannot be used: "
            f"{'; '.join(faults[:20])}.",
            hint="Correct or remove these prompts.",
        )
    notes = [f"{cut} of {len(found)} prompts are cut after {most} tokens"] if cut else []
    if first:
        notes.append(f"{first} answers have more than one token; the first counts")
    return found, notes


def _train(request: ConceptRequest, concept: Bools, pairs: Ints) -> Bools:
    """Draw the training half: whole pairs, or prompts of either set by themselves."""
    train = np.zeros(len(concept), bool)
    rng = np.random.default_rng(request.seed)
    apart = (np.flatnonzero(concept)[:, None], np.flatnonzero(~concept)[:, None])
    for rows in (pairs,) if len(pairs) else apart:
        drawn = rng.permutation(len(rows))[: round(request.train_share * len(rows))]
        train[rows[drawn]] = True
    return train
