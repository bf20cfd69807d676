"""Sweeping features, strengths and prompts, against whole passes through the same model.

`python -m benchmarks.steering --json` steers 32 prompts of 15 to 38 tokens with 50 features at 8
strengths (12,800 steered passes) of SmolLM2-135M in float32, with the shipped SAE at block 18 of
30, by ``queries.followups.steering.steer.sweep`` with its metrics. The intervention is the one of
published studies: at every token, strength x the feature's largest activation x its decoder
direction is added to the residual stream, so that every job changes every prompt. Two ways of
doing the same with whole passes are timed on a random part of the jobs and scaled up:

- published: one prompt, one feature and one strength a pass, a hook at block 18, logits at all
  positions: the loop that published studies run;
- batched: all prompts in one pass, right-padded to the longest, one feature and one strength.

Every few passes of the sweep it is halted for some of theirs, so that all of them meet the same
load of the machine; their median pass is scaled up, so that one that something else disturbs does
not count for us (``*_of_means`` has the mean). ``max_abs_logit_diff`` is the largest difference of
a logit at a prompt's last token between the sweep's engine and the two. The baselines compute no
metrics; the sweep does.

With ``--kinds`` two others are timed in the same way: the same addition at the last token alone
(``last_*``: keys and values of all others are reused) and ablation to zero where a feature fires
(``ablate_*``: what changes nothing is not run; see ``jobs_unchanged``).
"""

from __future__ import annotations

import argparse
import platform
import resource
import time
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from atlas.hooks import HookPoint, editing
from benchmarks._figures import print_figures
from benchmarks._prompts import PROMPTS
from queries.followups.engine import Engine
from queries.followups.interventions import FeatureRef, Intervention
from queries.followups.lab import Lab, PromptText
from queries.followups.steering.steer import sweep

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from queries.followups.engine import Job, Outcome, Prepared
    from queries.followups.lab import TaskPrompt

MODEL, SAE = "smollm2-135m", "smollm2-135m-l18-8k"
FEATURES = 50
STRENGTHS = (-2.0, -1.0, -0.5, -0.25, 0.25, 0.5, 1.0, 2.0)
PUBLISHED, BATCHED = 128, 8
"""Whole passes that are timed: of one prompt, and of all."""
HALTS = 8


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--features", type=int, default=FEATURES)
    parser.add_argument("--published", type=int, default=PUBLISHED, help="passes of one prompt")
    parser.add_argument("--batched", type=int, default=BATCHED, help="passes of all prompts")
    parser.add_argument("--batch-tokens", type=int, help="of the sweep's engine")
    parser.add_argument("--kinds", action="store_true", help="also others: see above")
    options = parser.parse_args()
    figures = measure(options)
    print_figures(figures, as_json=options.json)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure everything; about six minutes on two cores."""
    given = {"batch_tokens": options.batch_tokens} if options.batch_tokens else {}
    lab = Lab.load(MODEL, [SAE], device="cpu", **given)
    prompts, _ = lab.prompts(
        [
            PromptText(id=f"p{number}", prompt=text, answer=space + target)
            for number, (text, space, target) in enumerate(PROMPTS)
        ]
    )
    features = choose(lab, prompts, options.features)
    steered = [Intervention("add", (f,), unit="global_max") for f in features]
    size = (options.published, options.batched)
    figures = about(lab, prompts, features)
    figures |= compare(lab, prompts, steered=steered, strengths=STRENGTHS, passes=size)
    if options.kinds:
        last = [replace(what, positions="last") for what in steered]
        found = compare(lab, prompts, steered=last, strengths=STRENGTHS, passes=size)
        figures |= {f"last_{name}": value for name, value in found.items()}
        ablated = [Intervention("ablate", (f,), positions="firing") for f in features]
        found = compare(lab, prompts, steered=ablated, strengths=(1.0,), passes=size)
        figures |= {f"ablate_{name}": value for name, value in found.items()}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return figures | {"peak_rss_mib": round(peak / 1024)}


def about(
    lab: Lab, prompts: Sequence[TaskPrompt], features: Sequence[FeatureRef]
) -> dict[str, Any]:
    """Say what is measured, on what."""
    lengths = [len(prompt.tokens) for prompt in prompts]
    return {
        "model": f"{lab.model.name}, {lab.model.n_layers} blocks, {lab.model.dtype}",
        "sae": features[0].sae,
        "intervention": "add strength x largest activation x decoder direction, all tokens",
        "features": len(features),
        "strengths": list(STRENGTHS),
        "prompts": len(prompts),
        "tokens_with_bos": f"{min(lengths)} to {max(lengths)}, mean {np.mean(lengths):.1f}",
        "threads": torch.get_num_threads(),
        "batch_tokens": lab.engine.batch_tokens,
        "machine": f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
        "versions": {name: version(name) for name in ("torch", "transformers", "sae-lens")},
    }


def choose(lab: Lab, prompts: Sequence[TaskPrompt], number: int) -> list[FeatureRef]:
    """Draw features evenly over firing rates from those that fire, with maxima in the prompts."""
    (key,) = lab.saes
    codes = lab.engine.prepare([prompt.tokens for prompt in prompts]).codes[key]
    inside = np.zeros((codes.rows, codes.positions), bool)
    for row, prompt in enumerate(prompts):
        inside[row, 1 : len(prompt.tokens)] = True
    acts = codes.values.toarray()[inside.ravel()]
    fires = (acts > 0).mean(axis=0)
    order = np.flatnonzero(fires)[np.argsort(fires[fires > 0], kind="stable")]
    rng = np.random.default_rng(0)
    drawn = [int(rng.choice(part)) for part in np.array_split(order, number)]
    return [FeatureRef(key, index, maximum=float(acts[:, index].max())) for index in drawn]


class Clock:
    """Seconds of the wall and of the processor, over several spans."""

    def __init__(self) -> None:
        self.walls: list[float] = []
        self.cpus: list[float] = []

    @property
    def wall(self) -> float:
        """Of all spans together."""
        return sum(self.walls)

    @property
    def cpu(self) -> float:
        """Of all spans together, over all threads."""
        return sum(self.cpus)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Add the time that the context is open."""
        began = time.perf_counter(), time.process_time()
        yield
        self.walls.append(time.perf_counter() - began[0])
        self.cpus.append(time.process_time() - began[1])


class WholePasses:
    """A random part of the jobs by whole passes with a hook, some passes at each halt.

    Parameters
    ----------
    lab
        The model and its SAE.
    prompts
        The prompts.
    passes
        Numbers of the prompts in each pass, and what is done to them.
    """

    def __init__(
        self,
        lab: Lab,
        prompts: Sequence[TaskPrompt],
        *,
        passes: Sequence[tuple[tuple[int, ...], Intervention]],
    ) -> None:
        self.lab, self.prompts, self.passes = lab, prompts, passes
        self.clock = Clock()
        self.logits: dict[tuple[int, Intervention], torch.Tensor] = {}
        self._run(*passes[0])  # else the first one pays for what is made once

    def halt(self, number: int) -> None:
        """Run the passes of a halt."""
        first, last = (len(self.passes) * k // HALTS for k in (number, number + 1))
        for rows, what in self.passes[first:last]:
            with self.clock.running():
                logits = self._run(rows, what)
            for row, found in zip(rows, logits, strict=True):
                end = len(self.prompts[row].tokens) - 1
                self.logits[row, what] = found[end].clone()

    @torch.inference_mode()
    def _run(self, rows: tuple[int, ...], what: Intervention) -> torch.Tensor:
        """Return logits ``[rows, positions, vocabulary]`` of one pass."""
        tokens = [torch.tensor(self.prompts[row].tokens) for row in rows]
        padded = torch.nn.utils.rnn.pad_sequence(tokens, batch_first=True)
        where = torch.zeros(padded.shape, dtype=torch.bool)
        for place, some in enumerate(tokens):
            where[place, (len(some) - 1 if what.positions == "last" else 1) : len(some)] = True
        (feature,) = what.features
        sae = self.lab.saes[feature.sae]

        way: torch.Tensor = sae.sae.W_dec[feature.index]
        if getattr(sae.sae.cfg, "rescale_acts_by_decoder_norm", False):
            way = way / way.norm()  # its activations count in directions of length 1

        def edit(stream: torch.Tensor) -> torch.Tensor:
            if what.kind == "add":
                change = torch.full(where.shape, what.strength * float(feature.maximum or 0))
            else:
                change = -sae.sae.encode(stream)[..., feature.index]
            return stream + (change * where)[..., None] * way

        handle = editing(self.lab.model.blocks, HookPoint.parse(sae.hook.name), edit)
        try:
            found: torch.Tensor = self.lab.model.hf_model(padded, use_cache=False).logits
            return found
        finally:
            handle.remove()


class HaltingEngine(Engine):
    """The engine, halted for whole passes on its way; keeps its logits of the same jobs."""

    def __init__(self, lab: Lab, others: Sequence[WholePasses]) -> None:
        super().__init__(lab.model, list(lab.saes.values()), batch_tokens=lab.engine.batch_tokens)
        self.others, self.halted = others, Clock()
        wanted = [(row, what) for one in others for rows, what in one.passes for row in rows]
        self.logits: dict[tuple[int, Intervention], torch.Tensor] = dict.fromkeys(
            wanted, torch.empty(0)
        )
        self.unchanged = 0

    def run(
        self, prepared: Prepared, jobs: Sequence[Job], *, force: bool = False
    ) -> Iterator[Outcome]:
        """Run jobs as the engine does, with halts that are spread evenly over them."""
        done = number = 0
        for outcome in super().run(prepared, jobs, force=force):
            yield outcome
            self.unchanged += 0 if outcome.changed else len(outcome.jobs)
            done += len(outcome.jobs)
            with self.halted.running():
                self._keep(outcome, jobs)
                while number < HALTS and done >= (number + 0.5) * len(jobs) / HALTS:
                    for one in self.others:
                        one.halt(number)
                    number += 1

    def _keep(self, outcome: Outcome, jobs: Sequence[Job]) -> None:
        for job, logits in zip(outcome.jobs, outcome.logits, strict=True):
            prompt, (what,) = jobs[job]
            if (prompt, what) in self.logits:
                self.logits[prompt, what] = logits.clone()


def compare(
    lab: Lab,
    prompts: Sequence[TaskPrompt],
    *,
    steered: Sequence[Intervention],
    strengths: Sequence[float],
    passes: tuple[int, int],
) -> dict[str, Any]:
    """Time a sweep, and `passes` whole passes of one prompt and of all prompts in its halts."""
    rng = np.random.default_rng(1)
    arms = [replace(what, strength=strength) for what in steered for strength in strengths]
    alone = [
        ((int(rng.integers(len(prompts))),), arms[int(rng.integers(len(arms)))])
        for _ in range(passes[0])
    ]
    everyone = tuple(range(len(prompts)))
    together = [(everyone, arms[int(k)]) for k in rng.integers(len(arms), size=passes[1])]
    published = WholePasses(lab, prompts, passes=alone)
    batched = WholePasses(lab, prompts, passes=together)
    engine = HaltingEngine(lab, (published, batched))
    sets = {what.features[0].key: what for what in steered}
    whole = Clock()
    with whole.running():
        sweep(engine, prompts, sets=sets, strengths=strengths)
    ours = whole.wall - engine.halted.wall, whole.cpu - engine.halted.cpu
    number = len(arms) * len(prompts)
    return figures_of(engine, published, batched, ours=ours, number=number)


def figures_of(
    engine: HaltingEngine,
    published: WholePasses,
    batched: WholePasses,
    *,
    ours: tuple[float, float],
    number: int,
) -> dict[str, Any]:
    """Put times of ours and of both others, scaled up to all jobs, beside each other."""
    figures: dict[str, Any] = {
        "jobs": number,
        "jobs_unchanged": engine.unchanged,
        "sweep_s": round(ours[0], 1),
        "sweep_cpu_s": round(ours[1], 1),
        "sweep_jobs_per_s": round(number / ours[0], 1),
    }
    for name, other in (("published", published), ("batched", batched)):
        passes = number / len(other.passes[0][0])
        wall, cpu = passes * median(other.clock.walls), passes * median(other.clock.cpus)
        figures |= {
            f"{name}_jobs_timed": sum(len(rows) for rows, _ in other.passes),
            f"{name}_s_scaled_up": round(wall, 1),
            f"ratio_{name}": round(wall / ours[0], 2),
            f"ratio_{name}_cpu": round(cpu / ours[1], 2),
            f"ratio_{name}_of_means": round(
                other.clock.wall / len(other.passes) * passes / ours[0], 2
            ),
        }
    figures["max_abs_logit_diff"] = max(
        float((logits - engine.logits[key]).abs().max())
        for other in (published, batched)
        for key, logits in other.logits.items()
    )
    return figures


if __name__ == "__main__":
    main()
