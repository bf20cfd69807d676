"""Which features of a prompt are players, alone or by community, and what their absence changes."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from atlas.errors import UsageError
from queries.followups.codes import directions, unit_scale

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from atlas.saes import LoadedSae
    from queries.followups.engine import Prepared

    Floats = NDArray[np.float32]

#: Name of the player that has all features that are no players themselves.
REST = "other features"
#: Flag of a player none of whose features fires in the prompt.
SILENT = "never_fires"


@dataclass(frozen=True)
class Player:
    """Features that are present or absent together.

    Attributes
    ----------
    name
        Key of the feature, or of the community.
    features
        Latent indices.
    positions
        Tokens at which any of them fires; 0 is the first after BOS.
    activation
        The largest activation of any of them; 0 where none fires.
    flag
        `SILENT`, or None.
    """

    name: str
    features: tuple[int, ...]
    positions: tuple[int, ...]
    activation: float
    flag: str | None = None


@dataclass(frozen=True)
class Firing:
    """Activations of an SAE's features in one prompt.

    Attributes
    ----------
    sae
        Key of the SAE.
    index
        int64 ``[features]``: those that fire at a token after BOS, ascending.
    acts
        float32 ``[tokens, features]``, without BOS.
    """

    sae: str
    index: NDArray[np.int64]
    acts: Floats

    @classmethod
    def of(cls, prepared: Prepared, prompt: int, sae: str) -> Firing:
        """Read them off a clean pass."""
        codes = prepared.codes[sae]
        first = prompt * codes.positions
        some = codes.values[first + 1 : first + int(prepared.lengths[prompt])]
        index = np.flatnonzero(np.diff(some.indptr))
        return cls(sae, index, some[:, index].toarray())

    def player(self, name: str, features: Sequence[int]) -> Player:
        """Make a player of some features."""
        acts = self.acts[:, np.isin(self.index, list(features))]
        places = tuple(np.flatnonzero((acts > 0).any(axis=1)).tolist())
        flag = None if places else SILENT
        return Player(name, tuple(features), places, float(acts.max(initial=0)), flag)


def chosen_players(
    firing: Firing,
    *,
    weight: NDArray[np.float64],
    groups: Mapping[str, Sequence[int]] | None,
    features: Sequence[int],
    top: int,
    rest: bool,
) -> list[Player]:
    """Choose the players of a prompt.

    Parameters
    ----------
    firing
        What fires in it.
    weight
        float64 ``[features]``, how much each feature of `firing` matters, signed; a group matters
        as much as the sum.
    groups
        Names to features that are players together; by default each feature is one.
    features
        Features, or all of their groups, that are to be players whether they fire or not; by
        default those that matter most.
    top
        Largest number of players where none are named.
    rest
        Whether all that fires besides is one more player, called `REST`. Else it stays present.
    """
    fires = set(firing.index.tolist())
    named: dict[str, tuple[int, ...]]
    if groups is None:
        named = {f"{firing.sae}/{one}": (one,) for one in (features or sorted(fires))}
    else:
        wanted = set(features) or fires
        named = {
            name: tuple(one for one in some if one in fires) or tuple(some)
            for name, some in groups.items()
            if wanted.intersection(some)
        }
    if not features:
        matters = {name: abs(weight[np.isin(firing.index, some)].sum())
                   for name, some in named.items()}  # fmt: skip
        best = sorted(named, key=lambda name: -matters[name])[:top]
        named = {name: named[name] for name in best}
    players = [firing.player(name, some) for name, some in named.items()]
    others = sorted(fires.difference(*(player.features for player in players)))
    return [*players, firing.player(REST, others)] if rest and others else players


def absences(
    sae: LoadedSae,
    prepared: Prepared,
    prompt: int,
    *,
    key: str,
    players: Sequence[Player],
    become: Floats,
) -> torch.Tensor:
    """Return what the absence of each player changes in the stream.

    Parameters
    ----------
    sae
        The SAE.
    prepared
        Prompts after their clean pass.
    prompt
        Number of the prompt.
    key
        Key of the SAE.
    players
        The players.
    become
        float32 ``[draws, tokens, features]``: what the activations of all players' features, one
        after the other, become where they are absent.

    Returns
    -------
    torch.Tensor
        float32 ``[draws, players, positions, d_model]`` on the model's device, 0 at BOS.
    """
    index = [one for player in players for one in player.features]
    length = int(prepared.lengths[prompt])
    acts = prepared.codes[key].of_features(index)[prompt, 1:length]
    stream = prepared.clean.streams[sae.hook.depth][prompt, :length].float()
    if not index:
        return stream.new_zeros(len(become), 0, *stream.shape)
    way = directions(sae, index).float().to(stream.device)
    moved = torch.from_numpy(become - acts).to(stream.device)
    found = stream.new_zeros(len(become), len(players), *stream.shape)
    first = 0
    for place, player in enumerate(players):
        mine = slice(first, first + len(player.features))
        found[:, place, 1:] = moved[:, :, mine] @ way[mine]
        first = mine.stop
    scale = unit_scale(sae, stream)
    return found if scale is None else found * scale


def mean_activations(
    prepared: Prepared, sae: str, index: Sequence[int], known: Mapping[str, float]
) -> Floats:
    """Mean activations ``[features]``: those known, else over all tokens of the prompts."""
    acts = prepared.codes[sae].of_features(index)
    means = acts[_tokens(prepared)].mean(axis=0)
    found = [known.get(f"{sae}/{one}", mean) for one, mean in zip(index, means, strict=True)]
    return np.array(found, np.float32)


def drawn_activations(
    prepared: Prepared, prompt: int, *, sae: str, index: Sequence[int], draws: int, seed: int
) -> Floats:
    """Activations at random tokens of other prompts, ``[draws, tokens, features]``.

    What is drawn for a feature depends on the seed, the prompt and the feature alone.
    """
    pool_of = _tokens(prepared)
    pool_of[prompt] = False
    pool = prepared.codes[sae].of_features(index)[pool_of]
    if len(pool) == 0:
        raise UsageError("There is no other prompt to draw activations from.", hint="Give two.")
    drawn = np.empty((draws, int(prepared.lengths[prompt]) - 1, len(index)), np.float32)
    for place, feature in enumerate(index):
        rng = np.random.default_rng([seed, prompt, feature, zlib.crc32(sae.encode())])
        drawn[:, :, place] = pool[rng.integers(len(pool), size=drawn.shape[:2]), place]
    return drawn


def _tokens(prepared: Prepared) -> NDArray[np.bool_]:
    """Where the tokens of the prompts are, without BOS, bool ``[prompts, positions]``."""
    place = np.arange(next(iter(prepared.codes.values())).positions)
    found: NDArray[np.bool_] = (place >= 1) & (place < prepared.lengths[:, None])
    return found
