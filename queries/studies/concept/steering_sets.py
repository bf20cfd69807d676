"""What a concept is steered with, and the words that it is judged by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from queries.followups.interventions import FeatureRef, Intervention

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from queries.followups.interventions import Arm
    from queries.studies.concept.setting import Setting

#: Fewest letters of a token that is not the whole word.
LETTERS = 4

WORDS = pa.schema([("token_id", pa.int64()), ("token", pa.string()), ("from", pa.string())])
"""A row a token that speaks for the concept, with the first word that begins with it."""


@dataclass(frozen=True)
class SteeredSet:
    """Features that are intervened on together, with their controls.

    Attributes
    ----------
    name
        Of the set.
    action
        ``add`` at control prompts, or ``ablate`` at concept prompts.
    strength
        Of an addition; an ablation has 1.
    arms
        Draw 0: the features. The others: their controls.
    """

    name: str
    action: Literal["add", "ablate"]
    strength: float
    arms: Mapping[int, Arm]


def concept_words(setting: Setting, next_table: pa.Table) -> pa.Table:
    """Return the tokens that speak for the concept; see `WORDS`.

    They are the first tokens of the concept prompts' terms and answers and of the request's words,
    each behind a space, but for those that begin a term or answer of a control prompt, or that
    the model expects after one. A piece of a word counts from `LETTERS` letters on: many words
    begin with a shorter one.
    """
    request, tokenizer = setting.request, setting.lab.model.tokenizer

    def first(word: str) -> int | None:
        found = tokenizer(" " + word.strip(), add_special_tokens=False, verbose=False)["input_ids"]
        texts = {token: setting.lab.text(token).strip() for token in found}
        kept = [token for token in found if texts[token]]
        telling = kept and (texts[kept[0]] == word.strip() or len(texts[kept[0]]) >= LETTERS)
        return int(kept[0]) if telling else None

    likeliest = next_table["next"].to_pylist()
    ours: dict[int, str] = {}
    theirs = {tokenizer.unk_token_id}
    for number, text in enumerate(request.prompts):
        words = [word for word in (request.terms.get(text.id), text.answer) if word]
        if setting.concept[number]:
            for word in words:
                token = first(word)
                if token is not None:
                    ours.setdefault(token, word)
        else:
            theirs |= {first(word) for word in words} | {likeliest[number]}
    for word in request.words:
        token = first(word)
        if token is not None:
            ours.setdefault(token, word)
    rows = [{"token_id": token, "token": setting.lab.text(token), "from": word}
            for token, word in sorted(ours.items()) if token not in theirs]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=WORDS)


def sets_of(
    setting: Setting, features: Mapping[str, Sequence[int]], controls: pa.Table
) -> list[SteeredSet]:
    """Return what is steered: each SAE's features together, all SAEs' together, some alone."""
    request, frame = setting.request.causes, controls.to_pandas()
    groups: dict[str, list[tuple[str, int]]] = {
        sae: [(sae, k) for k in index] for sae, index in features.items() if index
    }
    if len(groups) > 1:
        groups["all SAEs"] = [one for some in groups.values() for one in some]
    for sae, index in features.items():
        groups |= {f"{sae}/{k}": [(sae, k)] for k in index[: request.alone]}
    known = {(row.sae, row.feature, row.draw): row for row in frame.itertuples()}
    added = {(row.sae, row.feature): row.added for row in frame.itertuples()}
    draws = range(1, request.controls + 1)
    found = []
    for name, some in groups.items():
        members = {0: [(sae, k, added.get((sae, k), 0.0)) for sae, k in some]}
        for draw in draws:
            rows = [known[sae, k, draw] for sae, k in some if (sae, k, draw) in known]
            if len(rows) == len(some):
                members[draw] = [(row.sae, row.control, row.control_added) for row in rows]
        found += [
            SteeredSet(name, "add", x, {draw: _addition(rows, x) for draw, rows in members.items()})
            for x in request.strengths
        ]
        ablations = {draw: _ablation(rows) for draw, rows in members.items()}
        found.append(SteeredSet(name, "ablate", 1.0, ablations))
    return found


def _addition(rows: Sequence[tuple[str, int, float]], strength: float) -> Arm:
    features = tuple(FeatureRef(sae, int(k), weight=float(much)) for sae, k, much in rows)
    return (Intervention("add", features, strength),)


def _ablation(rows: Sequence[tuple[str, int, float]]) -> Arm:
    return (Intervention("ablate", tuple(FeatureRef(sae, int(k)) for sae, k, _ in rows)),)
