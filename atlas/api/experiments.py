"""Follow-ups beside steering: patching, attention, circuits, Shapley values, promotion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from atlas.api.choosing import as_prompts, checked
from atlas.api.followups import FollowUps

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atlas.api.choosing import Choice, Prompts
    from atlas.api.found import FollowUp
    from atlas.progress import Reporter


class Experiments(FollowUps):
    """Follow-ups whose options are the fields of their requests."""

    def patch(
        self,
        prompts: Prompts,
        corrupt: Sequence[str],
        *,
        sets: Mapping[str, Choice] | None = None,
        saes: Sequence[str] | None = None,
        store: bool = True,
        reporter: Reporter | None = None,
        **options: Any,
    ) -> FollowUp:
        """Patch activations of clean prompts into corrupt ones, or back; see docs/patching.md.

        Parameters
        ----------
        prompts
            The clean prompts, with answers.
        corrupt
            The corrupt prompt of each, of as many tokens.
        sets
            Sets of features that are patched together.
        saes
            Keys of the SAEs at whose hooks is patched; by default all.
        store
            Keep it in a folder and load it into the graph.
        reporter
            Is told of the progress.
        **options
            Other fields of `queries.followups.patching.patch.PatchingRequest`.

        Raises
        ------
        UsageError, CorpusError, NotFoundError, ModelError
            What cannot be done, and what to do about it.
        """
        from queries.followups.patching.patch import PatchingRequest, PatchSet

        named = {} if sets is None else self._sets(dict(sets))
        request = checked(
            PatchingRequest,
            prompts=as_prompts(prompts),
            corrupt=tuple(corrupt),
            sets=tuple(PatchSet(name=name, features=tuple(keys)) for name, keys in named.items()),
            saes=tuple(saes or ()),
            **options,
        )
        return self._run(self.lab(saes), request, store=store, reporter=reporter)

    def patch_paths(
        self,
        edges: Mapping[str, Choice],
        prompts: Prompts,
        *,
        store: bool = True,
        reporter: Reporter | None = None,
        **options: Any,
    ) -> FollowUp:
        """Measure what a feature's effect is through features of a later hook.

        Parameters
        ----------
        edges
            Name of a feature to features of one deeper SAE, such as those that it feeds.
        prompts
            The prompts, with answers.
        store, reporter
            As in `patch`.
        **options
            Other fields of `queries.followups.path_patching.patch_paths.PathPatchingRequest`.

        Raises
        ------
        UsageError, CorpusError, NotFoundError, ModelError
            What cannot be done, and what to do about it.
        """
        from queries.followups.path_patching.patch_paths import PathEdge, PathPatchingRequest

        made = [
            PathEdge(sender=self._resolve([sender])[0], receivers=tuple(receivers))
            for sender, receivers in self._sets(dict(edges)).items()
        ]
        request = checked(
            PathPatchingRequest, prompts=as_prompts(prompts), edges=tuple(made), **options
        )
        return self._run(self.lab(), request, store=store, reporter=reporter)

    def attention(
        self,
        prompts: Prompts,
        *,
        saes: Sequence[str] | None = None,
        store: bool = False,
        reporter: Reporter | None = None,
        **options: Any,
    ) -> FollowUp:
        """Return attention patterns, and the features that fire where heads look.

        `queries.followups.attention.picture.attention_page` draws them.

        Parameters
        ----------
        prompts
            The prompts.
        saes
            Keys of the SAEs whose features are looked up; by default all.
        store, reporter
            As in `patch`; nothing of it becomes part of the graph.
        **options
            Other fields of `queries.followups.attention.attend.AttentionRequest`.

        Raises
        ------
        UsageError, CorpusError, NotFoundError, ModelError
            What cannot be done, and what to do about it.
        """
        from queries.followups.attention.attend import AttentionRequest

        request = checked(
            AttentionRequest, prompts=as_prompts(prompts), saes=tuple(saes or ()), **options
        )
        return self._run(self.lab(saes), request, store=store, reporter=reporter)

    def attributions(
        self,
        prompts: Prompts,
        *,
        saes: Sequence[str] | None = None,
        store: bool = True,
        reporter: Reporter | None = None,
        **options: Any,
    ) -> FollowUp:
        """Attribute a metric to the features of one or several hooks; see docs/circuits.md.

        Parameters
        ----------
        prompts
            The prompts, with answers.
        saes
            Keys of the SAEs; by default all.
        store, reporter
            As in `patch`.
        **options
            Other fields of `queries.followups.attribution.attribute.AttributionRequest`.

        Raises
        ------
        UsageError, CorpusError, NotFoundError, ModelError
            What cannot be done, and what to do about it.
        """
        from queries.followups.attribution.attribute import AttributionRequest

        request = checked(
            AttributionRequest, prompts=as_prompts(prompts), saes=tuple(saes or ()), **options
        )
        return self._run(self.lab(saes), request, store=store, reporter=reporter)

    def trace(
        self,
        prompts: Prompts,
        *,
        saes: Sequence[str] | None = None,
        reference: Prompts = (),
        store: bool = True,
        reporter: Reporter | None = None,
        **options: Any,
    ) -> FollowUp:
        """Find the circuits of prompts, and test them by ablation; see docs/circuits.md.

        `queries.followups.circuits.picture.draw_circuit` draws one.

        Parameters
        ----------
        prompts
            The prompts, with answers.
        saes
            Keys of the SAEs, one a depth; by default all.
        reference
            Prompts whose mean activations ablated nodes take; by default they become 0.
        store, reporter
            As in `patch`.
        **options
            Other fields of `queries.followups.circuits.trace.CircuitRequest`.

        Raises
        ------
        UsageError, CorpusError, NotFoundError, ModelError
            What cannot be done, and what to do about it.
        """
        from queries.followups.circuits.trace import CircuitRequest

        request = checked(
            CircuitRequest,
            prompts=as_prompts(prompts),
            reference=as_prompts(reference),
            saes=tuple(saes or ()),
            **options,
        )
        return self._run(self.lab(saes), request, store=store, reporter=reporter)

    def explain(
        self,
        prompts: Prompts,
        *,
        players: str = "features",
        of: str | int = "logit",
        sae: str | None = None,
        features: Choice = (),
        store: bool = True,
        reporter: Reporter | None = None,
        **options: Any,
    ) -> FollowUp:
        """Share what the model says among tokens, features or communities; see docs/shap.md.

        `queries.followups.shapley.page.shap_page` draws it, and `shap_explanation` there gives what
        shap's own plots take.

        Parameters
        ----------
        prompts
            The prompts, with answers where the metric is of one.
        players
            ``tokens``, ``features`` or ``communities``.
        of
            A metric, or a feature whose activation is explained.
        sae
            Key of the SAE whose features play; may be left out where there is one.
        features
            Features that play, or whose communities do; by default those that matter most.
        store, reporter
            As in `patch`.
        **options
            Other fields of `queries.followups.shapley.explain.ShapRequest`. Where
            communities play and none are given, they are the graph's.

        Raises
        ------
        UsageError, CorpusError, NotFoundError, ModelError
            What cannot be done, and what to do about it.
        """
        from queries.followups.shapley.explain import ShapRequest
        from queries.followups.shapley.scores import SCORES

        explained = str(of) if of in SCORES else self._resolve([of])[0]
        chosen = self._sets(features, together=True) if features else {}
        keys = [key for some in chosen.values() for key in some]
        wanted = {sae} if sae else {key.rpartition("/")[0] for key in keys}
        if "/" in explained:
            wanted.add(explained.rpartition("/")[0])
        lab = self.lab(sorted(wanted) or None)
        if players == "communities" and "communities" not in options:
            options["communities"] = self._communities(sae or next(iter(lab.saes)))
        request = checked(
            ShapRequest,
            prompts=as_prompts(prompts),
            players=players,
            of=explained,
            sae=sae,
            features=tuple(keys),
            **options,
        )
        return self._run(lab, request, store=store, reporter=reporter)
