"""What builds know of an SAE's features over a corpus, for studies that have only prompts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from atlas.errors import ArtifactError
from atlas.paths import home_dir
from ingest.build_folder import open_build
from queries.followups.causes.edges import index_of, of_sae

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from atlas.saes import LoadedSae
    from ingest.build_folder import BuildFolder
    from queries.followups.lab import Lab

    Floats = NDArray[np.float64]

MEASURES = ("npmi", "phi", "n", "expected", "r_topic", "cosine", "q")
"""Columns of edges beside their ends."""


class BuildRef(BaseModel):
    """A build by what does not depend on where it lies; part of a request.

    Attributes
    ----------
    run_id
        Name of the run.
    digest
        Of its tables.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    run_id: str
    digest: str


@dataclass(frozen=True)
class CorpusFigures:
    """One SAE's features over a build's corpus.

    Attributes
    ----------
    build
        The build.
    sae
        The SAE's key in it.
    d_sae
        Number of latents.
    """

    build: BuildFolder
    sae: str
    d_sae: int

    @property
    def documents(self) -> int:
        """Documents of the corpus."""
        return self.build.rows("documents")

    @property
    def positions(self) -> int:
        """Positions that count."""
        table = self.build.column("documents", "n_tokens")
        return int(pc.sum(table["n_tokens"]).as_py() or 0)

    @property
    def rate(self) -> Floats:
        """Firing rate of each latent, float64 ``[d_sae]``."""
        return self._features["firing_rate"]

    @property
    def maximum(self) -> Floats:
        """Largest activation of each latent, float64 ``[d_sae]``."""
        return self._features["max"]

    @property
    def mean(self) -> Floats:
        """Mean activation of each latent over all positions, float64 ``[d_sae]``."""
        return self._features["mean"] * self._features["firing_rate"]

    @cached_property
    def _features(self) -> dict[str, Floats]:
        names = ("firing_rate", "max", "mean")
        table = self.build.column("features", "key", *names)
        table = table.filter(of_sae(table["key"], self.sae))
        index, found = index_of(table["key"]), {}
        for name in names:
            found[name] = np.zeros(self.d_sae)
            found[name][index] = table[name].fill_null(0.0).to_numpy()
        return found

    def edges(self, kind: str) -> pa.Table:
        """Return the edges of a kind between latents of the SAE.

        Parameters
        ----------
        kind
            ``token``, ``topic`` or ``exclusive``.

        Returns
        -------
        pyarrow.Table
            `source`, `target` (int64 latent indices, from 0) and `MEASURES`.
        """
        table = self.build.column("edges", "source", "target", "kind", *MEASURES)
        ours = pc.and_(of_sae(table["source"], self.sae), of_sae(table["target"], self.sae))
        table = table.filter(pc.and_(ours, pc.equal(table["kind"], kind)))
        ends = {end: index_of(table[end]) for end in ("source", "target")}
        return pa.table({**ends, **{name: table[name] for name in MEASURES}})

    def communities(self) -> NDArray[np.int64] | None:
        """Return the community of each latent, -1 for none; None where folds were not counted.

        They are what runs over seeds and bootstraps of the documents agree on; see
        `atlas.analysis.stability.find_communities`, whose defaults are used.
        """
        from atlas.analysis.stability import find_communities, read_folds
        from atlas.analysis.stability.folds import EDGE_FILE

        if not (self.build.path / EDGE_FILE).is_file():
            return None
        consensus = find_communities(read_folds(self.build.path))
        ours = of_sae(pa.chunked_array([pa.array(consensus.keys)]), self.sae)
        keys = pa.chunked_array([pa.array(consensus.keys)]).filter(ours)
        found = np.full(self.d_sae, -1, np.int64)
        found[index_of(keys)] = consensus.community[ours.to_numpy().astype(bool)]
        return found


def corpus(
    refs: Sequence[BuildRef],
    sae: str,
    *,
    lab: Lab,
    builds: Mapping[str, Path] | None = None,
) -> CorpusFigures | None:
    """Return the figures of an SAE in the first of some builds that has it.

    Parameters
    ----------
    refs
        The builds, of a request.
    sae
        The SAE's key in the lab; a build may have another name for the same weights.
    lab
        Has the SAE.
    builds
        Run id to folder; by default builds lie in the atlas's home.

    Returns
    -------
    CorpusFigures or None
        None where no build has the SAE.

    Raises
    ------
    ArtifactError
        A build is not there, or has other contents than the request says.
    """
    folders = builds or {}
    wanted = lab.sae(sae)
    for ref in refs:
        path = folders.get(ref.run_id, home_dir() / "builds" / ref.run_id)
        build = open_build(path, verify=False)
        if (build.run_id, build.digest) != (ref.run_id, ref.digest):
            raise ArtifactError(
                f"{path} is not the build {ref.run_id} that the study was asked of.",
                hint="Give its folder with --build, or make the study again with this build.",
            )
        key = _key_of(build, wanted)
        if key is not None:
            return CorpusFigures(build, key, wanted.d_sae)
    return None


def refs_of(paths: Sequence[Path]) -> tuple[BuildRef, ...]:
    """Return build folders as a request names them; raises `ArtifactError` where one is none."""
    found = [open_build(path, verify=False) for path in paths]
    return tuple(BuildRef(run_id=build.run_id, digest=build.digest) for build in found)


def find_builds(lab: Lab, *, home: Path | None = None) -> list[Path]:
    """Return, for each SAE of a lab that one has, the newest build in the atlas's home.

    Builds that cannot be read are passed over.
    """
    known = sorted(_finished(home or home_dir()), key=lambda one: str(one.run["created"]))
    found: dict[Path, None] = {}
    for sae in lab.saes.values():
        with_it = [build.path for build in known if _key_of(build, sae) is not None]
        if with_it:
            found[with_it[-1]] = None
    return list(found)


def _finished(home: Path) -> Iterator[BuildFolder]:
    for record in (home / "builds").glob("*/run.json"):
        try:
            yield open_build(record.parent, verify=False)
        except ArtifactError:
            continue


def _key_of(build: BuildFolder, sae: LoadedSae) -> str | None:
    for entry in build.run["saes"]:
        if (entry.get("weights_sha256"), entry["hook"]) == (sae.weights_sha256, sae.hook.name):
            return str(entry["key"])
    return None
