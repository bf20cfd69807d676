"""What a request for activation patching patches, one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from atlas.errors import UsageError
from queries.followups.interventions import FeatureRef
from queries.followups.patching.candidates import candidates
from queries.followups.patching.patches import Part, Patch, PatchJob

if TYPE_CHECKING:
    from collections.abc import Iterator

    from queries.followups.lab import Lab
    from queries.followups.patching.pairs import Pairs
    from queries.followups.patching.patch import PatchingRequest
    from queries.followups.patching.patcher import Patcher


@dataclass(frozen=True)
class Plan:
    """One thing to patch.

    Attributes
    ----------
    name
        In the summary.
    what
        ``features``, ``error``, ``stream``, ``feature`` or ``set``.
    patch
        What is patched.
    sae
        Key of the SAE; None for a set.
    features
        Keys of the features that are listed.
    position
        The only position, counted from the end; None where it is not patched by position.
    estimate
        First-order change.
    """

    name: str
    what: str
    patch: Patch
    sae: str | None = None
    features: tuple[str, ...] = ()
    position: int | None = None
    estimate: float | None = None


@dataclass(frozen=True)
class Planner:
    """Lists what a request patches, in a fixed order.

    Attributes
    ----------
    lab
        The model and its SAEs.
    request
        What is asked.
    pairs
        The pairs.
    patcher
        The pairs after their clean pass.
    """

    lab: Lab
    request: PatchingRequest
    pairs: Pairs
    patcher: Patcher

    def plans(self) -> Iterator[Plan]:
        """Yield what is patched.

        Raises
        ------
        NotFoundError
            An SAE is not loaded.
        UsageError
            A set is empty, or two have the same name.
        """
        request = self.request
        saes = request.saes or tuple(self.lab.saes)
        for sae in saes:
            self.lab.sae(sae)
            for what in dict.fromkeys(request.parts):
                yield Plan(f"{what} at {sae}", what, self._patch(Part(sae, what)), sae=sae)
        yield from self._sets()
        for sae in saes if request.each != 0 else ():
            yield from self._each(sae)
        for sae in saes if request.by_position else ():
            yield from self._by_position(sae)

    def _patch(self, *parts: Part) -> Patch:
        return Patch(parts, self.request.positions, self.request.chosen)

    def _sets(self) -> Iterator[Plan]:
        names = [some.name for some in self.request.sets]
        if len(set(names)) < len(names):
            raise UsageError("Two sets have the same name.", hint="Give each its own.")
        for some in self.request.sets:
            features = [FeatureRef.parse(key) for key in dict.fromkeys(some.features)]
            by_sae: dict[str, list[int]] = {}
            for feature in features:
                by_sae.setdefault(feature.sae, []).append(feature.index)
            parts = [Part(sae, "features", tuple(index)) for sae, index in by_sae.items()]
            parts += [Part(sae, "error") for sae in some.errors]
            if not parts:
                raise UsageError(f"The set {some.name} is empty.", hint="Give it a feature.")
            keys = tuple(feature.key for feature in features)
            yield Plan(some.name, "set", self._patch(*parts), features=keys)

    def _each(self, sae: str) -> Iterator[Plan]:
        found = candidates(
            self.patcher,
            self.pairs,
            sae,
            patch=self._patch(Part(sae, "features")),
            select=self.request.select,
            most=self.request.each,
        )
        for index, estimate in found:
            yield Plan(
                f"{sae}/{index}",
                "feature",
                self._patch(Part(sae, "features", (index,))),
                sae=sae,
                features=(f"{sae}/{index}",),
                estimate=estimate if self.request.select == "gradient" else None,
            )

    def _by_position(self, sae: str) -> Iterator[Plan]:
        """Patch the positions at which any pair can differ, the first of them first."""
        far = 0
        for pair in range(len(self.pairs)):
            job = PatchJob(
                self.pairs.base(pair), self.pairs.source(pair), Patch((Part(sae, "stream"),))
            )
            where = self.patcher.differing(job)
            length = len(self.pairs.clean[pair].tokens)
            far = max(far, length - int(where.argmax()) if where.any() else 0)
        for what in dict.fromkeys(self.request.by_position):
            for place in range(-far, 0):
                patch = Patch((Part(sae, what),), "chosen", (place,))
                yield Plan(f"{what} at {sae}, {place}", what, patch, sae=sae, position=place)
