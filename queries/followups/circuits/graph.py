"""A prompt's attribution graph before it is pruned: nodes of several hooks, and direct effects.

See `queries.followups.circuits.edges` for the linearisation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from atlas.errors import UsageError
from atlas.gradients import metric_gradients
from queries.followups.attribution.attribute import scorer
from queries.followups.circuits.edges import Level, activation_gradients, through_features

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from queries.followups.lab import Lab, TaskPrompt

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

FEATURE, ERROR, TOKEN, LOGIT = "feature", "error", "token", "logit"
"""Kinds of nodes."""


@dataclass(frozen=True)
class Node:
    """A node of an attribution graph.

    Attributes
    ----------
    id
        As circuit-tracer writes it.
    kind
        FEATURE, ERROR, TOKEN or LOGIT.
    position
        0 is the first token after BOS.
    level
        Number of its hook, from the shallowest; -1 of a token, and one past the last of a logit.
    index
        Latent index of a feature, else -1.
    activation
        Of a feature.
    attribution
        What it gives to the metric through the features of deeper hooks, whose errors are held.
    plain
        What it gives in the model as it is: gradient times activation.
    captured
        Of what is opened further: share of its absolute inputs from features that are nodes.
    """

    id: str
    kind: str
    position: int
    level: int
    index: int = -1
    activation: float | None = None
    attribution: float | None = None
    plain: float | None = None
    captured: float | None = None


@dataclass(frozen=True)
class HookSums:
    """What one hook gives to the metric: sums over positions; `agreement` is a cosine.

    Attributes
    ----------
    features, error
        Through the features of deeper hooks, whose errors are held.
    plain_features, plain_error
        In the model as it is.
    agreement
        Cosine of both attributions over the hook's features: how well the graph stands for the
        model there.
    """

    features: float
    error: float
    plain_features: float
    plain_error: float
    agreement: float


@dataclass(frozen=True)
class LocalGraph:
    """An attribution graph.

    Attributes
    ----------
    nodes
        Features and errors hook by hook, then tokens, then the output.
    adjacency
        float64 ``[nodes, nodes]`` (target, source), direct effects.
    levels
        The hooks, from the shallowest.
    sums
        For each hook.
    score, probability
        The metric, and the answer's probability.
    """

    nodes: tuple[Node, ...]
    adjacency: Floats
    levels: tuple[Level, ...]
    sums: tuple[HookSums, ...]
    score: float
    probability: float

    def of_kind(self, *kinds: str) -> NDArray[np.bool_]:
        """Mark the nodes of some kinds."""
        return np.array([node.kind in kinds for node in self.nodes])


def ordered(lab: Lab, keys: Sequence[str]) -> list[str]:
    """Return keys of SAEs (all that are loaded where there is none) from the shallowest hook on.

    Raises
    ------
    NotFoundError
        An SAE is not loaded.
    UsageError
        Two read the stream at the same depth, or one is named twice.
    """
    found = sorted(keys or tuple(lab.saes), key=lambda key: lab.sae(key).hook.depth)
    depths = [lab.sae(key).hook.depth for key in found]
    for a, b in zip(range(len(found)), range(1, len(found)), strict=False):
        if depths[a] == depths[b]:
            raise UsageError(
                f"{found[a]} and {found[b]} read the same stream.",
                hint="A circuit takes one SAE a depth; name those that it should have.",
            )
    return found


def local_graph(
    lab: Lab, prompt: TaskPrompt, *, saes: Sequence[str], metric: str, candidates: int
) -> LocalGraph:
    """Find a prompt's nodes and the direct effects among them.

    At each hook the `candidates` features (one a position) of the largest absolute attribution
    become nodes, and every position's error. A token's node stands for all that arrives at its
    position of the first hook: the model below is not opened, and its edge to a feature there is
    the feature's activation. Biases and BOS are held, and are no nodes. One backward pass a
    candidate, batched; those of the first hook need none.

    Parameters
    ----------
    lab, prompt
        The model with its SAEs, and the prompt, which has a target.
    saes
        Keys of SAEs, as `ordered` gives them.
    metric
        See `queries.followups.attribution.attribute.AttributionRequest`.
    candidates
        Most features that are nodes, for each hook.

    Raises
    ------
    ModelError
        The metric or a gradient is not finite.
    """
    score = scorer(metric, prompt, device=lab.model.device)
    some = [lab.sae(key) for key in saes]
    run = partial(
        metric_gradients,
        lab.model,
        torch.tensor([prompt.tokens]),
        lengths=torch.tensor([len(prompt.tokens)]),
        hooks=[sae.hook.name for sae in some],
        metric=score,
    )
    plain = run()
    held = run(edits={sae.hook.name: through_features(sae) for sae in some[1:]})
    blocks = [sae.hook.layer for sae in some]
    layers = blocks if len(set(blocks)) == len(blocks) else [sae.hook.depth for sae in some]
    levels = tuple(
        Level.of(key, sae, layer=layer, stream=plain.streams[sae.hook.name][0])
        for key, sae, layer in zip(saes, some, layers, strict=True)
    )
    build = _Builder(lab, prompt, levels, candidates)
    for number, sae in enumerate(some):
        build.add(number, held.gradients[sae.hook.name], plain.gradients[sae.hook.name])
    probability = float(plain.logits[0].softmax(dim=0)[prompt.target or 0])
    return build.graph(float(plain.score[0]), probability)


class _Builder:
    """Collects nodes hook by hook, and edges as (targets, sources, weights)."""

    def __init__(
        self, lab: Lab, prompt: TaskPrompt, levels: Sequence[Level], candidates: int
    ) -> None:
        self.lab, self.prompt, self.levels = lab, prompt, tuple(levels)
        self.candidates = candidates
        self.nodes: list[Node] = []
        self.sums: list[HookSums] = []
        self.chosen: list[Ints] = []
        self.first: list[int] = []
        self.given: list[tuple[Floats, Floats]] = []

    def add(self, number: int, held: torch.Tensor, plain: torch.Tensor) -> None:
        """Add a hook's features and errors, given the metric's gradients ``[1, positions, d]``."""
        level = self.levels[number]
        (features, errors), (as_is, errors_as_is) = level.inputs(held), level.inputs(plain)
        a, b = features[0], as_is[0]
        most = min(self.candidates, np.count_nonzero(a))  # what gives nothing is no node
        chosen = np.sort(np.argsort(-np.abs(a), kind="stable")[:most])
        self.first.append(len(self.nodes))
        self.chosen.append(chosen)
        self.given.append((features, errors))
        for k in chosen:
            row, index = int(level.row[k]), int(level.index[k])
            ident = f"{level.layer}_{index}_{row - 1}"
            told = (float(level.value[k]), float(a[k]), float(b[k]))
            self.nodes.append(Node(ident, FEATURE, row - 1, number, index, *told))
        for row in range(1, len(level.stream)):
            ident = f"{level.layer}_-1_{row - 1}"
            both = (float(errors[0, row]), float(errors_as_is[0, row]))
            self.nodes.append(Node(ident, ERROR, row - 1, number, -1, None, *both))
        sizes = float(np.linalg.norm(a) * np.linalg.norm(b))
        agreement = float(a @ b) / sizes if sizes else 0.0
        sums = (x[..., 1:].sum() for x in (errors, errors_as_is))
        error, error_as_is = (float(x) for x in sums)
        self.sums.append(HookSums(float(a.sum()), error, float(b.sum()), error_as_is, agreement))

    def graph(self, score: float, probability: float) -> LocalGraph:
        """Add tokens, the output and all edges."""
        tokens = self.prompt.tokens[1:]
        first_token = len(self.nodes)
        self.nodes += [
            Node(f"E_{token}_{place}", TOKEN, place, -1) for place, token in enumerate(tokens)
        ]
        top = len(self.levels)
        ident = f"{self.lab.model.n_layers + 1}_{self.prompt.target}_{len(tokens) - 1}"
        self.nodes.append(Node(ident, LOGIT, len(tokens) - 1, top, attribution=score))
        adjacency = np.zeros((len(self.nodes), len(self.nodes)))
        lowest, some = self.levels[0], self.chosen[0]
        own = np.arange(len(some))
        adjacency[own, first_token + lowest.row[some] - 1] = lowest.value[some]
        for number in range(1, top + 1):
            targets, (features, errors) = self._into(number)
            below, start = self.chosen[number - 1], self.first[number - 1]
            columns = np.arange(start, start + len(below) + len(tokens))
            adjacency[np.ix_(targets, columns)] = np.hstack([features[:, below], errors[:, 1:]])
            sizes = np.abs(features)
            whole = sizes.sum(axis=1)
            shares = np.divide(sizes[:, below].sum(axis=1), whole,
                               out=np.zeros_like(whole), where=whole > 0)  # fmt: skip
            for target, share in zip(targets, shares, strict=True):
                self.nodes[target] = replace(self.nodes[target], captured=float(share))
        sums = tuple(self.sums)
        return LocalGraph(tuple(self.nodes), adjacency, self.levels, sums, score, probability)

    def _into(self, number: int) -> tuple[Ints, tuple[Floats, Floats]]:
        """Numbers of a hook's features (or of the output), and what the hook below gives them."""
        if number == len(self.levels):
            return np.array([len(self.nodes) - 1]), self.given[-1]
        level, chosen = self.levels[number], self.chosen[number]
        below = self.levels[number - 1]
        gradient = activation_gradients(
            self.lab.model,
            self.prompt.tokens,
            source=below,
            target=level,
            rows=level.row[chosen],
            index=level.index[chosen],
            batch_tokens=self.lab.engine.batch_tokens,
        )
        targets = np.arange(self.first[number], self.first[number] + len(chosen))
        return targets, below.inputs(gradient)
