"""How long SHAP values take, beside whole forward passes and shap's own pipeline.

`python -m benchmarks.shap --json` explains the packaged SmolLM2-135M in float32, with the shipped
SAE of block 18 of 30, on the CPU.

- Features: the players are those of a prompt that matter most; every coalition of them is run
  from the hook on. Beside it the same coalitions with whole passes that edit the stream at the
  hook: one pass a coalition (``ratio_single``), batches of the size of ours (``ratio_batched``),
  and such batches that see the unembedding at the last token alone (``ratio_batched_last``).
  ``max_abs_diff`` is the largest difference between a feature's value by ours and by whole passes.
- Tokens: ``ratio_token`` is the time of ``shap.Explainer(model, tokenizer)`` over ours, at equal
  ``max_evals``; ``token_max_abs_diff`` the largest difference of values, which are log odds.

What is compared runs in turn, so that other work on the machine slows both; ratios are quotients
of sums over the prompts of medians over the rounds. Single passes are timed on some coalitions
and scaled to all; everything else is run whole.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import shap
import torch

from atlas.hooks import editing
from benchmarks._figures import print_figures
from queries.followups.lab import Lab, PromptText
from queries.followups.shapley.features import FeatureGame
from queries.followups.shapley.owen import evaluations_of_pairs
from queries.followups.shapley.players import Firing, absences, chosen_players
from queries.followups.shapley.scores import Score
from queries.followups.shapley.tokens import MetricOfPrompts, TokenGame, TokenMasker
from queries.followups.shapley.values import explained, partitioned

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

MODEL, SAE = "smollm2-135m", "smollm2-135m-l18-8k"
PROMPTS = (
    PromptText(id="short", prompt="The capital of France is", answer=" Paris"),
    PromptText(
        id="middle", prompt="When the doctor had read the results she told him that his heart was",
        answer=" failing",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Task:
    """A prompt whose features are explained, ours and by whole passes."""

    make: Callable[[], FeatureGame]
    masks: NDArray[np.bool_]
    whole: Callable[..., NDArray[np.float64]]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--players", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--singles", type=int, default=4, help="single passes of a round")
    parser.add_argument("--max-evals", type=int, default=100, help="of tokens")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    lab = Lab.load(MODEL, [SAE], device="cpu")
    figures = {
        "model": MODEL,
        "sae": next(iter(lab.saes)),
        "threads": torch.get_num_threads(),
        "rounds": options.rounds,
        **features(lab, options),
        **tokens(lab, options),
    }
    print_figures(figures, as_json=options.json)


def features(lab: Lab, options: argparse.Namespace) -> dict[str, Any]:
    """Time coalitions of features, ours and by whole passes, in turn."""
    sums = dict.fromkeys(("ours", "single", "batched", "batched_last"), 0.0)
    differences = []
    tasks = [_task(lab, number, options.players) for number in range(len(PROMPTS))]
    for task in tasks:
        few = task.masks[np.linspace(0, len(task.masks) - 1, options.singles, dtype=int)]
        times: dict[str, list[float]] = {name: [] for name in sums}
        for number in range(options.rounds + 1):
            found = {
                "ours": _timed(lambda task=task: task.make()(task.masks)),
                "single": _timed(lambda task=task, few=few: [task.whole(m[None]) for m in few]),
                "batched": _timed(lambda task=task: task.whole(task.masks)),
                "batched_last": _timed(lambda task=task: task.whole(task.masks, last=True)),
            }
            for name, (seconds, _) in found.items() if number else ():  # the first is not warm
                times[name].append(seconds)
        scale = len(task.masks) / len(few)
        for name, seconds in times.items():
            sums[name] += median(seconds) * (scale if name == "single" else 1)
        values = [explained(game, options.players).values for game in (task.make(), task.whole)]
        differences.append(float(np.abs(values[0] - values[1]).max()))
    return {
        "players": options.players,
        "coalitions": len(tasks) * 2**options.players,
        "singles_timed": len(tasks) * options.singles,
        "ours_s": round(sums["ours"], 2),
        **{f"ratio_{name}": round(sums[name] / sums["ours"], 2) for name in list(sums)[1:]},
        "max_abs_diff": max(differences),
    }


def _task(lab: Lab, number: int, top: int) -> Task:
    """Prepare a prompt; what the absence of a player changes is the same for both."""
    (prompt,), _ = lab.prompts(PROMPTS[number : number + 1])
    prepared = lab.engine.prepare([prompt.tokens])
    key, sae = next(iter(lab.saes.items()))
    firing = Firing.of(prepared, 0, key)
    players = chosen_players(
        firing, weight=firing.acts.max(axis=0).astype(float), groups=None, features=(), top=top,
        rest=False,
    )  # fmt: skip
    become = np.zeros((1, len(prompt.tokens) - 1, len(players)), np.float32)
    changes = absences(sae, prepared, 0, key=key, players=players, become=become)
    score = Score(prompt, "logit", lab.model.device)
    tokens = torch.tensor([prompt.tokens])
    batch = max(1, lab.engine.batch_tokens // len(prompt.tokens))

    @torch.inference_mode()
    def whole(masks: NDArray[np.bool_], *, last: bool = False) -> NDArray[np.float64]:
        return np.concatenate(
            [rows(masks[k : k + batch], last) for k in range(0, len(masks), batch)]
        )

    def rows(masks: NDArray[np.bool_], last: bool) -> NDArray[np.float64]:
        absent = torch.from_numpy(~masks).float()
        change = (absent @ changes[0].flatten(1)).view(len(masks), *changes.shape[2:])
        handle = editing(lab.model.blocks, sae.hook, lambda stream: stream + change)
        try:
            some = {"logits_to_keep": 1} if last else {}
            found = lab.model.hf_model(tokens.expand(len(masks), -1), use_cache=False, **some)
        finally:
            handle.remove()
        return score(found.logits[:, -1].float(), prepared.logits).double().numpy()

    def game() -> FeatureGame:
        return FeatureGame(
            lab.model, prepared, 0, depth=sae.hook.depth, absences=changes, score=score,
            batch_tokens=lab.engine.batch_tokens,
        )  # fmt: skip

    masks = np.array([[k >> place & 1 for place in range(top)] for k in range(2**top)], bool)
    return Task(game, masks, whole)


def tokens(lab: Lab, options: argparse.Namespace) -> dict[str, Any]:
    """Time token values, ours and by shap's own pipeline, in turn."""
    theirs = shap.Explainer(lab.model.hf_model, lab.model.tokenizer)
    sums, differences, evaluations = np.zeros(2), [], 0
    for text in PROMPTS:
        times: list[tuple[float, float]] = []
        for number in range(3):
            np.random.seed(0)  # noqa: NPY002 - shap draws ties from the global state
            slow, wanted = _timed(
                lambda text=text: theirs(
                    [text.prompt], [text.answer], max_evals=options.max_evals, silent=True
                )
            )
            fast, found = _timed(lambda text=text: _token_values(lab, text, options.max_evals))
            times += [(fast, slow)] if number else []  # the first is not warm
            differences.append(float(np.abs(wanted.values[0][:, 0] - found.values).max()))
        sums += np.median(times, axis=0)
        evaluations += found.evaluations
    return {
        "token_max_evals": options.max_evals,
        "token_coalitions": evaluations,
        "token_ours_s": round(float(sums[0]), 2),
        "ratio_token": round(float(sums[1] / sums[0]), 2),
        "token_max_abs_diff": max(differences),
    }


def _token_values(lab: Lab, text: PromptText, max_evals: int) -> Any:
    (prompt,), _ = lab.prompts([text])
    masker = TokenMasker(lab.model, text.prompt, bos=False)
    score = Score(prompt, "log_odds", lab.model.device)
    worth = MetricOfPrompts(lab.model, masker.whole, score, batch_tokens=lab.engine.batch_tokens)
    needed = evaluations_of_pairs(masker.tree)
    game = TokenGame(masker, worth)
    return partitioned(game, masker.merges, max_evals=max_evals, needed=needed, seed=0)


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


if __name__ == "__main__":
    main()
