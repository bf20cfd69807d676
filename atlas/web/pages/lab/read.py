"""A prompt as the model reads it: its tokens, what fires at each, and what may follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from atlas.errors import CorpusError, UsageError
from atlas.web.pages.lab.asked import TOKENS, spaced

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from queries.followups.lab import Lab, TaskPrompt

    About = Mapping[str, Mapping[str, Any]]

#: Features that are told of each token; the likeliest next tokens that are told.
_TOP, _NEXT = 5, 5
#: Likely tokens that are tried as an answer.
_TRIED = 20


@dataclass(frozen=True)
class Fired:
    """A feature at a token.

    Attributes
    ----------
    key, label
        Of the feature; no label where it has none or is not in the graph.
    activation
        At the token.
    share
        Of its largest activation in the corpus; None where that is not known.
    known
        Whether the graph has it.
    """

    key: str
    label: str | None
    activation: float
    share: float | None
    known: bool = True


@dataclass(frozen=True)
class Reading:
    """A prompt in tokens, and what fires at each.

    Attributes
    ----------
    tokens
        Texts, without BOS.
    fired
        For each token the strongest features of the SAEs that were read.
    following
        The likeliest next tokens with their probabilities.
    """

    tokens: tuple[str, ...]
    fired: tuple[tuple[Fired, ...], ...]
    following: tuple[tuple[str, float], ...]


def read_prompt(lab: Lab, text: str, *, about: Callable[[Sequence[str]], About]) -> Reading:
    """Read a prompt.

    Parameters
    ----------
    lab
        Model and SAEs.
    text
        The prompt.
    about
        Returns label and largest activation of the features that the graph has.

    Raises
    ------
    CorpusError, UsageError
        It cannot be read, or has too many tokens.
    """
    tokens = prompt_tokens(lab, text)
    prepared = lab.engine.prepare([tokens])
    codes = {key: some.values.tocsr() for key, some in prepared.codes.items()}
    per_token = [strongest(codes, place) for place in range(1, len(tokens))]
    chance = prepared.logits[0].float().softmax(dim=0)
    likeliest = chance.topk(min(_NEXT, len(chance)))
    known = about([key for some in per_token for key, _ in some])
    return Reading(
        tuple(lab.text(token) for token in tokens[1:]),
        tuple(tuple(_fired(key, value, known) for key, value in some) for some in per_token),
        tuple(
            (lab.text(int(token)), float(value))
            for value, token in zip(likeliest.values, likeliest.indices, strict=True)
        ),
    )


def prompt_tokens(lab: Lab, text: str) -> tuple[int, ...]:
    """Return a prompt's tokens, BOS first; raises `UsageError` where they are too many."""
    from queries.followups.lab import PromptText

    (prompt,), _ = lab.prompts((PromptText(id="prompt", prompt=text),))
    if len(prompt.tokens) - 1 > TOKENS:
        raise UsageError(
            f"The prompt has {len(prompt.tokens) - 1} tokens; the most is {TOKENS}.",
            hint="Shorten it; `atlas steer` and its kin take longer ones.",
        )
    return prompt.tokens


def answered(
    lab: Lab, prompt: dict[str, Any], tokens: Sequence[int]
) -> tuple[dict[str, Any], list[str]]:
    """Return a prompt with an answer: its own, or the likeliest token that can follow as text."""
    if "answer" in prompt:
        return prompt, []
    logits = lab.engine.prepare([list(tokens)]).logits[0]
    for token in logits.topk(min(_TRIED, len(logits))).indices.tolist():
        text = lab.text(token)
        for answer in (text, spaced(text)):
            if _target(lab, {**prompt, "answer": answer}) == token:
                said = f"No answer was given; the likeliest next token was taken: {text!r}."
                return {**prompt, "answer": answer}, [said]
    raise UsageError("The model finds no word likely here.", hint="Give an answer.")


def _target(lab: Lab, prompt: Mapping[str, Any]) -> int | None:
    """Return the token that a prompt is scored on; None where the answer does not fit it."""
    from queries.followups.lab import PromptText

    try:
        found: list[TaskPrompt] = lab.prompts((PromptText(**prompt),))[0]
    except CorpusError:
        return None
    return found[0].target


def strongest(codes: Mapping[str, Any], place: int) -> list[tuple[str, float]]:
    """Return the strongest features at a position, over all SAEs: keys and activations.

    Parameters
    ----------
    codes
        Key of an SAE to activations ``[positions, d_sae]``, sparse, by row.
    place
        The position.
    """
    found: list[tuple[str, float]] = []
    for sae, values in codes.items():
        row = values[[place], :].tocoo()
        each = sorted(zip(row.data.tolist(), row.col.tolist(), strict=True), reverse=True)
        found += [(f"{sae}/{index}", value) for value, index in each[:_TOP] if value > 0]
    return found


def _fired(key: str, value: float, about: About) -> Fired:
    row = about.get(key)
    most = row["max"] if row else None
    return Fired(
        key,
        row["label"] if row else None,
        value,
        min(1.0, value / most) if most else None,
        known=row is not None,
    )
