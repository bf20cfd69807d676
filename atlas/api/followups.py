"""Follow-ups on the model: from features that a query found to measured effects."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from atlas.api.choosing import as_prompts, checked, feature_sets
from atlas.api.found import FollowUp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from atlas.api.choosing import Choice, Prompts
    from atlas.progress import Reporter
    from queries.followups.evidence import Evidence, Request
    from queries.followups.interventions import FeatureRef, Kind, Mode, Normalise, Positions, Unit
    from queries.followups.lab import Lab
    from queries.followups.replay import Replay
    from queries.followups.steering.drawing import GenerationSettings


class FollowUps(ABC):
    """Interventions on features of a model; what they find is kept."""

    def steer(
        self,
        features: Choice,
        prompts: Prompts,
        *,
        kind: Kind = "add",
        strengths: Sequence[float] = (-2.0, -1.0, 1.0, 2.0),
        unit: Unit | None = None,
        mode: Mode | None = None,
        positions: Positions = "all",
        chosen: Sequence[int] = (),
        bos: bool = False,
        normalise: Normalise | None = None,
        together: bool = False,
        weights: Mapping[str, float] | None = None,
        metrics: Sequence[str] | None = None,
        generate: Mapping[str, Any] | int | None = None,
        each_prompt: bool = False,
        seed: int = 0,
        store: bool = True,
        reporter: Reporter | None = None,
    ) -> FollowUp:
        """Steer prompts with features and measure what changes; see docs/steering.md.

        >>> atlas.steer("heart", ("The doctor listened to the", " heart"))  # doctest: +SKIP

        Parameters
        ----------
        features
            A name, features or a community that a query found, or a mapping of sets; see
            `atlas.api.choosing.Choice`. Each set is steered by itself.
        prompts
            Texts, pairs of a text and its answer, mappings, or a file; see
            `atlas.api.choosing.Prompts`.
        kind, unit, mode, positions, chosen, bos, normalise, seed
            What is done; see `queries.followups.interventions.Intervention`. Without a unit, `add`
            and `clamp` are in units of each feature's largest activation in the corpus.
        strengths
            Every set is steered at each. An ablation has none.
        together
            Make one set of the features.
        weights
            Keys of features to what multiplies the strength for them; 1 for the others.
        metrics
            Names out of `queries.followups.metrics.METRICS`; by default those that the prompts
            allow: ``logit``, ``probability`` and ``rank`` of the answers, ``logit_diff`` where
            there are foils, and ``kl`` and ``entropy_top10``.
        generate
            Let the model write on, steered and not, side by side: a number of tokens, or fields
            of `queries.followups.steering.drawing.GenerationSettings`.
        each_prompt
            Also an effect for every prompt, beside those over all.
        store
            Keep it in a folder and load it into the graph.
        reporter
            Is told of the progress.

        Returns
        -------
        FollowUp
            Tables ``effects``, ``rows`` (each prompt), ``texts`` and others.

        Raises
        ------
        NotFoundError
            There is no such feature.
        UsageError, CorpusError
            Something cannot be done so, or a prompt cannot be used.
        ModelError
            The model or SAE is not here, or fails the checks that are made first.
        """
        from queries.followups.interventions import WITH_UNIT, Intervention
        from queries.followups.steering.steer import SteeringRequest

        texts = as_prompts(prompts)
        sets = self._sets(features, together=together)
        shares = dict(weights or {})
        if kind in WITH_UNIT and unit is None:
            unit = "global_max"
        request = checked(
            SteeringRequest,
            prompts=texts,
            sets={
                name: (
                    Intervention(
                        kind,
                        tuple(
                            replace(one, weight=shares.get(one.key, 1.0))
                            for one in self._refs(keys)
                        ),
                        unit=unit,
                        mode=mode,
                        positions=positions,
                        chosen=tuple(chosen),
                        bos=bos,
                        normalise=normalise,
                        seed=seed,
                    ),
                )
                for name, keys in sets.items()
            },
            strengths=tuple(strengths),
            metrics=tuple(metrics) if metrics else _metrics(texts),
            generate=_settings(generate),
            each_prompt=each_prompt,
        )
        lab = self.lab(saes_of(sets))
        return self._run(lab, request, store=store, reporter=reporter)

    def replay(
        self, run: str | Path, *, device: str | None = None, reporter: Reporter | None = None
    ) -> Replay:
        """Run a follow-up again and compare; see `queries.followups.replay.replay`.

        Parameters
        ----------
        run
            Its id, or its folder. Where the folder is gone, what the graph has is compared.
        device
            By default CUDA where there is a device.
        reporter
            Is told of the progress.

        Raises
        ------
        NotFoundError
            There is no such follow-up.
        ModelError
            The model or an SAE is not here with the weights of then.
        """
        from queries.followups.replay import lab_of, replay

        stored = self._stored(run)
        return replay(stored, lab=lab_of(stored.identity, device=device), reporter=reporter)

    def _run(
        self, lab: Lab, request: Request, *, store: bool, reporter: Reporter | None
    ) -> FollowUp:
        from queries.followups.replay import run

        found = run(lab, request, reporter=reporter)
        return self._keep(found, reporter=reporter) if store else FollowUp(found)

    def _sets(self, features: Choice, *, together: bool = False) -> dict[str, list[str]]:
        return feature_sets(
            features, resolve=self._resolve, members=self._members, together=together
        )

    @abstractmethod
    def lab(self, saes: Sequence[str] | None = None) -> Lab:
        """Return the model in memory, with SAEs (by key), on which follow-ups run."""

    @abstractmethod
    def _keep(self, found: Evidence, *, reporter: Reporter | None) -> FollowUp:
        """Keep what was found."""

    @abstractmethod
    def _stored(self, run: str | Path) -> Evidence:
        """Return what was kept."""

    @abstractmethod
    def _resolve(self, names: Sequence[str | int]) -> list[str]:
        """Return the keys of features that are named."""

    @abstractmethod
    def _members(self, community: str) -> list[str]:
        """Return the keys of a community's features."""

    @abstractmethod
    def _communities(self, sae: str) -> dict[str, tuple[str, ...]]:
        """Return the communities of an SAE's features that are in one, the widest first."""

    @abstractmethod
    def _refs(self, keys: Sequence[str]) -> tuple[FeatureRef, ...]:
        """Return features with their statistics."""


def saes_of(sets: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the keys of the SAEs of some sets of features."""
    return list(dict.fromkeys(key.rpartition("/")[0] for keys in sets.values() for key in keys))


def _settings(given: Mapping[str, Any] | int | None) -> GenerationSettings | None:
    from queries.followups.steering.drawing import GenerationSettings

    if given is None:
        return None
    fields = {"max_new_tokens": given} if isinstance(given, int) else given
    return checked(GenerationSettings, **fields)


def _metrics(texts: Sequence[Any]) -> tuple[str, ...]:
    """Return the metrics that all of some prompts allow."""
    found = ["kl", "entropy_top10"]
    if all(text.answer is not None for text in texts):
        found += ["logit", "probability", "rank"]
        if all(text.foils for text in texts):
            found.append("logit_diff")
    return tuple(found)
