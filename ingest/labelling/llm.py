"""A labeller that asks a language model, through the package litellm; never used unasked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from atlas.errors import ModelError, UsageError
from atlas.graph.failures import first_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from ingest.labelling.evidence import Evidence, Shown

_LONGEST = 80
_MOST = 8
_MARK = 0.5
_TASK = """\
A feature of a sparse autoencoder fires on some tokens of text. Below are contexts in which it fires
most; the tokens it fires on strongly are between « and ». Say in at most six words what the feature
stands for. Answer with these words alone.
"""


def label_prompt(evidence: Evidence) -> str:
    """Return what a language model is asked about a feature.

    It has the eight strongest contexts, with tokens of at least half the context's largest
    activation between « and », the tokens the feature fires on and those it promotes. It has
    neither the feature's present label nor any held-out context.
    """
    lines = [_TASK, *(f"- {_marked(shown)}" for shown in evidence.contexts[:_MOST])]
    for title, tokens in (
        ("Tokens it fires on", evidence.tokens),
        ("Tokens it makes more likely", evidence.promoted),
    ):
        if tokens:
            lines.append(f"{title}: {', '.join(repr(token) for token in tokens[:_MOST])}")
    return "\n".join(lines)


def _marked(shown: Shown) -> str:
    """Return a context in one line, its strong tokens marked."""
    least = _MARK * max(shown.activations, default=0.0)
    if least <= 0 or len(shown.tokens) != len(shown.activations):
        return " ".join(shown.text.split())
    marked = (
        f"«{token}»" if value >= least else token
        for token, value in zip(shown.tokens, shown.activations, strict=True)
    )
    return " ".join("".join(marked).split())


def clean_answer(text: str) -> str | None:
    """Return the first line of an answer as a label: no quotes or full stop, 80 letters at most."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    line = line.removeprefix("Label:").strip().strip("\"'«».*` ")
    return line[:_LONGEST].strip() or None


def litellm_labeller(model: str, **options: Any) -> Callable[[Evidence], str | None]:
    """Return a labeller that asks a model through litellm.

    Contexts of the corpus are sent to whoever serves the model.

    Parameters
    ----------
    model
        Its name in litellm, such as ``ollama/llama3.2``. Keys are taken from the environment.
    **options
        More arguments of ``litellm.completion``; by default ``temperature=0`` and
        ``max_tokens=40``.

    Returns
    -------
    Callable
        A labeller for `ingest.labelling.label_features`. It raises `ModelError` where the model
        cannot be asked.

    Raises
    ------
    UsageError
        litellm is not installed.
    """
    try:
        import litellm

        # What litellm's errors derive from.
        from openai import OpenAIError  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        raise UsageError(
            "A language model as labeller needs the package litellm.",
            hint="Install the extra: pip install 'sae-feature-atlas[litellm]'.",
        ) from None
    litellm.suppress_debug_info = True  # else it prints advice beside every error
    chosen = {"temperature": 0, "max_tokens": 40} | options

    def ask(evidence: Evidence) -> str | None:
        message = {"role": "user", "content": label_prompt(evidence)}
        try:
            answer = litellm.completion(model=model, messages=[message], **chosen)
        except OpenAIError as error:
            raise ModelError(
                f"{model} did not label {evidence.key}: {first_line(error)}",
                hint="Labels given until now are kept; the same command goes on after them.",
            ) from error
        return clean_answer(answer.choices[0].message.content or "")

    return ask
