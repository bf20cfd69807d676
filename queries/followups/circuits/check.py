"""Is a circuit what the model uses? The metric with only a set of nodes, and without it.

As in sparse feature circuits (Marks et al. 2024): at every hook, features outside a set are set to
0 or their mean, in nested passes, so that a deeper hook reads what the changed stream gives. With
m the metric, M the model and C the set, faithfulness is (m(C) - m(none)) / (m(M) - m(none)) and
completeness the same of what is left when the set itself is taken out. What fires only because of
a change is in no set: gone from m(C) and m(none), left when the set is taken out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from atlas.resume import clean_pass, resumed_pass
from ingest.attribution.features import reconstruct
from queries.followups.codes import unit_scale

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from atlas.resume import Edit
    from atlas.saes import LoadedSae
    from queries.followups.attribution.attribute import Score
    from queries.followups.lab import Lab, TaskPrompt

    Floats = NDArray[np.float64]
    #: int64 ``[n, 3]``: number of the hook, position (0 is BOS), latent index or -1 of the error.
    Members = NDArray[np.int64]
    #: Nodes, and whether they are what is left (True) or what is taken out (False).
    Set = tuple[Members, bool]

Errors = Literal["kept", "ablated", "circuit"]

#: Entries of one ``[rows, positions, d_sae]`` block.
BLOCK = 1 << 23


@dataclass(frozen=True)
class Reference:
    """What an ablated node becomes, for each hook.

    Attributes
    ----------
    features
        ``[d_sae]``.
    errors
        ``[d_model]``.
    """

    features: tuple[torch.Tensor, ...]
    errors: tuple[torch.Tensor, ...]

    @classmethod
    def zero(cls, lab: Lab, saes: Sequence[LoadedSae]) -> Reference:
        """Return zeros."""
        device = lab.model.device
        return cls(
            tuple(torch.zeros(sae.d_sae, device=device) for sae in saes),
            tuple(torch.zeros(lab.model.d_model, device=device) for _ in saes),
        )

    @classmethod
    @torch.inference_mode()
    def mean(cls, lab: Lab, saes: Sequence[LoadedSae], prompts: Sequence[TaskPrompt]) -> Reference:
        """Return means over all positions after BOS of some prompts."""
        zero = cls.zero(lab, saes)
        features, errors, n = list(zero.features), list(zero.errors), 0
        for prompt in prompts:
            found = lab.model.residuals(
                torch.tensor([prompt.tokens]), [sae.hook.name for sae in saes]
            )
            n += len(prompt.tokens) - 1
            for k, sae in enumerate(saes):
                stream = found[sae.hook.name][0, 1:]
                decoded = reconstruct(sae, stream, scale=1.0)
                errors[k] = errors[k] + (stream - decoded).sum(dim=0)
                features[k] = features[k] + sae.sae.encode(stream).sum(dim=0)
        return cls(tuple(x / n for x in features), tuple(x / n for x in errors))


class Check:
    """Measures a prompt's metric with sets of nodes only, or without them.

    Parameters
    ----------
    lab, prompt
        The model and the prompt. BOS stays as it is.
    saes
        From the shallowest hook on.
    score
        The metric.
    reference
        What an ablated node becomes.
    errors
        Whether the errors, as the changed stream has them, all stay (``kept``), none does
        (``ablated``), or are nodes like features (``circuit``).
    """

    def __init__(
        self,
        lab: Lab,
        prompt: TaskPrompt,
        *,
        saes: Sequence[LoadedSae],
        score: Score,
        reference: Reference,
        errors: Errors,
    ) -> None:
        self.lab, self.prompt, self.saes, self.score = lab, prompt, saes, score
        self.reference, self.errors = reference, errors

    def measure(self, sets: Sequence[Set]) -> Floats:
        """Return the metric for each set, float64 ``[sets]``.

        Parameters
        ----------
        sets
            Nodes, and whether they are what is left (True) or what is taken out (False).
        """
        lab, last = self.lab, len(self.prompt.tokens) - 1
        depths = [sae.hook.depth for sae in self.saes]
        clean, _ = clean_pass(
            lab.model,
            [self.prompt.tokens],
            depths=depths,
            reads=[[last]],
            batch_tokens=lab.engine.batch_tokens,
        )
        stream = clean.streams[depths[0]][0]
        parts = [np.zeros(0)]
        for some in self._batches(sets):
            edits = {depth: self._edit(level, some) for level, depth in enumerate(depths)}
            logits = resumed_pass(
                lab.model,
                clean,
                torch.zeros(len(some), dtype=torch.int64),
                stream=edits[depths[0]](stream.expand(len(some), -1, -1)),
                depth=depths[0],
                edits={depth: edits[depth] for depth in depths[1:]},
                at=[(row, last) for row in range(len(some))],
            )
            parts.append(self.score(logits).double().cpu().numpy())
        found: Floats = np.concatenate(parts)
        return found

    def curve(
        self,
        circuit: Members,
        *,
        ranked: Members,
        firing: Members,
        sizes: Sequence[int],
        draws: int,
        seed: int,
    ) -> list[dict[str, Any]]:
        """Measure a circuit, the first nodes of a ranking, and random sets of the same sizes.

        Parameters
        ----------
        circuit
            The circuit.
        ranked
            Nodes, the most important first; its first ``n`` are the set ``top`` of size n.
        firing
            All nodes. Random sets are drawn from it, with as many of each hook and kind as the set
            that they are compared with.
        sizes
            Sizes, of which those that the ranking has are taken.
        draws, seed
            Random sets of each size.

        Returns
        -------
        list of dict
            Rows of ``set`` (``circuit``; ``top``; ``random``, of the size of a ``top``;
            ``random_circuit``, of the circuit's; ``all``), ``size``, ``draw``, ``only`` and
            ``without`` (the metric), ``faithfulness`` and ``completeness`` (None where the metric
            of the model is that of no node at all), ``full`` and ``empty``.
        """
        if self.errors != "circuit":  # errors are no nodes: all stay, or none
            circuit, ranked, firing = (x[x[:, 2] >= 0] for x in (circuit, ranked, firing))
        sets: list[tuple[str, int | None, Members]] = [("circuit", None, circuit)]
        tops = [ranked[:size] for size in sorted(set(sizes)) if size <= len(ranked)]
        sets += [("top", None, some) for some in tops]
        for name, some in [("random_circuit", circuit), *(("random", some) for some in tops)]:
            for draw in range(draws):
                rng = np.random.default_rng([seed, len(some), draw, name == "random"])
                sets.append((name, draw, _drawn(some, firing, rng)))
        sets.append(("all", None, firing))
        asked = [(members, only) for _, _, members in sets for only in (True, False)]
        found = self.measure([*asked, (firing[:0], True)])
        return _shares(sets, found, full=self.full())

    def full(self) -> float:
        """Return the metric of the model as it is."""
        logits = self.lab.model.logits(torch.tensor([self.prompt.tokens]))[:, -1].float()
        return float(self.score(logits)[0])

    def _batches(self, sets: Sequence[Set]) -> Iterator[Sequence[Set]]:
        length = len(self.prompt.tokens)
        widest = max(sae.d_sae for sae in self.saes)
        most = min(self.lab.engine.batch_tokens // length, BLOCK // (length * widest))
        size = max(1, most)
        for first in range(0, len(sets), size):
            yield sets[first : first + size]

    def _edit(self, level: int, sets: Sequence[Set]) -> Edit:
        """Return an edit of the streams of some sets, a row each."""
        loaded, sae = self.saes[level], self.saes[level].sae

        @torch.inference_mode()
        def edit(stream: torch.Tensor) -> torch.Tensor:
            x = stream.to(sae.dtype)
            acts = sae.encode(x)
            error = x - _decoded(loaded, x, acts)
            stays, left = self._stays(level, sets, acts)
            changed = torch.where(stays, acts, self.reference.features[level].to(acts))
            rest = torch.where(left[..., None], error, self.reference.errors[level].to(error))
            y = _decoded(loaded, x, changed) + rest
            y[:, 0] = x[:, 0]
            changed_stream: torch.Tensor = y.to(stream.dtype)
            return changed_stream

        return edit

    def _stays(
        self, level: int, sets: Sequence[Set], acts: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Features that stay, ``[sets, positions, d_sae]``, and errors, ``[sets, positions]``."""
        stays = torch.zeros(acts.shape, dtype=torch.bool, device=acts.device)
        left = torch.zeros(acts.shape[:2], dtype=torch.bool, device=acts.device)
        for row, (members, only) in enumerate(sets):
            stays[row], left[row] = not only, not only
            here = torch.from_numpy(members[members[:, 0] == level]).to(acts.device)
            latent, other = here[here[:, 2] >= 0], here[here[:, 2] < 0]
            stays[row, latent[:, 1], latent[:, 2]] = only
            left[row, other[:, 1]] = only
        if self.errors != "circuit":
            left[:] = self.errors == "kept"
        return stays, left


def _decoded(sae: LoadedSae, x: torch.Tensor, acts: torch.Tensor) -> torch.Tensor:
    """Decode activations at a stream's scale, which SAELens keeps for one decoding only."""
    if unit_scale(sae, x) is not None:
        sae.sae.encode(x)
    found: torch.Tensor = sae.sae.decode(acts)
    return found


def _shares(
    sets: Sequence[tuple[str, int | None, Members]], found: Floats, *, full: float
) -> list[dict[str, Any]]:
    """Return a row a set, given the metric with it and without it, in turn, and with none."""
    empty = float(found[-1])

    def share(value: float) -> float | None:
        if abs(full - empty) < 1e-6 * max(1.0, abs(full)):
            return None
        return (value - empty) / (full - empty)

    return [
        {
            "set": name,
            "size": len(members),
            "draw": draw,
            "only": float(only),
            "without": float(without),
            "faithfulness": share(float(only)),
            "completeness": share(float(without)),
            "full": full,
            "empty": empty,
        }
        for (name, draw, members), only, without in zip(
            sets, found[0:-1:2], found[1:-1:2], strict=True
        )
    ]


def _drawn(like: Members, firing: Members, rng: np.random.Generator) -> Members:
    """Draw as many nodes of each hook and kind as a set has."""
    parts = [firing[:0]]
    for level in np.unique(firing[:, 0]):
        for feature in (True, False):
            pool, some = (
                x[(x[:, 0] == level) & ((x[:, 2] >= 0) == feature)] for x in (firing, like)
            )
            parts.append(pool[np.sort(rng.permutation(len(pool))[: len(some)])])
    return np.concatenate(parts)
