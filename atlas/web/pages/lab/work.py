"""What the Lab does on the model: reading a prompt, steering, explaining, patching.

Runs in the thread of the Lab's jobs; `Atlas` runs the experiment and keeps what it found.
"""

from __future__ import annotations

import importlib.util
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from atlas.errors import ModelError, NotFoundError
from atlas.web.pages.lab.asked import SAES, TASKS, check, chosen_saes, prompt_of
from atlas.web.pages.lab.jobs import Jobs
from atlas.web.pages.lab.read import answered, prompt_tokens, read_prompt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from atlas.api.found import FollowUp
    from atlas.web.pages.lab.asked import Asked
    from atlas.web.pages.lab.jobs import Job, Progress
    from atlas.web.pages.lab.read import Reading
    from atlas.web.store import Store
    from queries.followups.lab import Lab

#: Most coalitions of one explanation; single features that are patched.
_EVALUATIONS, _EACH = 500, 10
_NEEDS = ("torch", "transformers", "sae_lens")
_ABOUT = """
UNWIND $keys AS key
MATCH (f:Feature {key: key}) RETURN key, f.label AS label, f.max AS max
"""


@dataclass(frozen=True)
class Found:
    """What an experiment found.

    Attributes
    ----------
    followup
        Its tables, and where it is kept.
    labels
        Labels of the features that it is about.
    tokens
        Texts of the prompt's tokens, without BOS.
    notes
        What a reader should know, beside its own notes.
    """

    followup: FollowUp
    labels: Mapping[str, str]
    tokens: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Bench:
    """The Lab of an atlas: its queue, and the work that goes into it.

    Parameters
    ----------
    store
        The atlas; what is found is kept in it.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.jobs = Jobs()
        self._loads: dict[str, str] = {}
        self._lock = threading.Lock()

    def saes(self, run: str) -> list[str]:
        """Return the keys of a run's SAEs.

        Raises
        ------
        ModelError
            What is needed to run a model is not installed.
        NotFoundError
            There is no such run.
        """
        lacking = [name for name in _NEEDS if importlib.util.find_spec(name) is None]
        if lacking:
            raise ModelError(
                f"The Lab runs the model, and {', '.join(lacking)} is not installed here.",
                hint="Install the atlas with its extra lm.",
            )
        rows = self.store.keep(
            ("runs without edges",), lambda: self.store.ask("runs", edges=False), seconds=30
        )
        return next((list(row["saes"]) for row in rows if row["key"] == run), [])

    def load(self, run: str, *, again: bool = False) -> Job:
        """Return the job that loads a run's model and SAEs.

        Parameters
        ----------
        run
            Key of the run.
        again
            Try once more where it failed.
        """
        saes = self.saes(run)
        with self._lock:  # two that open the page at once make one job
            before = self._loads.get(run)
            if before is not None:
                with suppress(NotFoundError):  # forgotten, if long ago
                    job = self.jobs.get(before)
                    if not (again and job.state in ("failed", "cancelled")):
                        return job
            asked = {"run": run, "task": "load", "saes": saes[:SAES]}
            job = self.jobs.submit(f"Load the model of {run}",
                                   lambda reporter: self._load(asked, reporter), asked)  # fmt: skip
            self._loads[run] = job.id
            return job

    def _load(self, asked: Asked, reporter: Progress) -> str:
        with self._lent(asked, reporter) as lab:
            return str(lab.model.name)

    def submit(self, asked: Asked) -> Job:
        """Check what is asked and put it into the queue; raises `UsageError` where it is wrong."""
        task = check(asked)
        return self.jobs.submit(
            TASKS[task], lambda reporter: self._do(asked, reporter, task), asked
        )

    def labels(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return label and largest activation of the features that the graph has."""
        rows = self.store.atlas.cypher(_ABOUT, keys=list(dict.fromkeys(keys)))
        return {row["key"]: dict(row) for row in rows}

    @contextmanager
    def _lent(self, asked: Asked, reporter: Progress) -> Iterator[Lab]:
        """Lend the model and the SAEs; a job that is cancelled ends at the model's next pass.

        Experiments tell of their steps, but one step may be hundreds of passes.
        """
        with reporter.step("Reading the model and SAEs"):
            lab = self.store.atlas.lab(chosen_saes(asked, self.saes(str(asked["run"]))))
        network = lab.model.hf_model.base_model
        hook = network.register_forward_pre_hook(lambda *_: reporter.check())
        try:
            yield lab
        finally:
            hook.remove()

    def _do(self, asked: Asked, reporter: Progress, task: str) -> Found | Reading:
        tasks: dict[str, Callable[[Lab, Asked, Progress], Found | Reading]] = {
            "read": self._read, "steer": self._steer, "explain": self._explain,
            "patch": self._patch,
        }  # fmt: skip
        with self._lent(asked, reporter) as lab:
            return tasks[task](lab, asked, reporter)

    def _read(self, lab: Lab, asked: Asked, reporter: Progress) -> Reading:
        with reporter.step("Reading the prompt"):
            return read_prompt(lab, str(asked["prompt"]), about=self.labels)

    def _steer(self, lab: Lab, asked: Asked, reporter: Progress) -> Found:
        tokens = prompt_tokens(lab, str(asked["prompt"]))
        keys, strengths = list(asked["features"]), [float(one) for one in asked["strengths"]]
        alike = len(set(strengths)) == 1
        found = self.store.atlas.steer(
            {"all": keys} if asked.get("together") else keys,
            [prompt_of(asked)],
            kind=asked["kind"],
            unit=asked["unit"] if asked["kind"] in ("add", "clamp") else None,
            strengths=(strengths[0],) if alike else (1.0,),
            weights=None if alike else dict(zip(keys, strengths, strict=True)),
            positions=asked["positions"],
            generate={
                "max_new_tokens": int(asked["written"]),
                "temperature": float(asked["temperature"]),
                "seed": int(asked["seed"]),
            },
            seed=int(asked["seed"]),
            store=True,
            reporter=reporter,
        )
        return self._found(found, keys, lab, tokens)

    def _explain(self, lab: Lab, asked: Asked, reporter: Progress) -> Found:
        tokens = prompt_tokens(lab, str(asked["prompt"]))
        prompt, notes = answered(lab, prompt_of(asked), tokens)
        of = asked["of"]
        found = self.store.atlas.explain(
            [prompt],
            players=asked["players"],
            of=asked["features"][0] if of == "feature" else of,
            sae=next(iter(lab.saes)),
            max_evals=_EVALUATIONS,
            seed=int(asked["seed"]),
            store=True,
            reporter=reporter,
        )
        named = [row["player"] for row in found.tables["players"].to_pylist()]
        return self._found(found, [*named, *asked["features"]], lab, tokens, notes)

    def _patch(self, lab: Lab, asked: Asked, reporter: Progress) -> Found:
        tokens = prompt_tokens(lab, str(asked["prompt"]))
        prompt_tokens(lab, str(asked["corrupt"]))
        asks = prompt_of(asked, foil=str(asked.get("foil") or ""))
        prompt, notes = answered(lab, asks, tokens)
        found = self.store.atlas.patch(
            [prompt],
            [str(asked["corrupt"])],
            sets={"chosen features": list(asked["features"])} if asked["features"] else None,
            saes=list(lab.saes),
            metrics=("logit_diff",) if prompt.get("foils") else ("logit",),
            direction=asked["direction"],
            each=_EACH,
            by_position=("stream",),
            store=True,
            reporter=reporter,
        )
        rows = found.tables["patch_summary"].to_pylist()
        keys = [row["feature"] for row in rows if row["feature"]]
        return self._found(found, keys, lab, tokens, notes)

    def _found(
        self,
        found: FollowUp,
        keys: Sequence[str],
        lab: Lab,
        tokens: Sequence[int],
        notes: Sequence[str] = (),
    ) -> Found:
        about = self.labels(keys)
        labels = {key: row["label"] for key, row in about.items() if row["label"]}
        return Found(found, labels, tuple(lab.text(one) for one in tokens[1:]), tuple(notes))
