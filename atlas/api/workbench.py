"""Follow-ups without a database: on features named by key, kept in folders for a later load."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from atlas.api.found import FollowUp
from atlas.api.studies import Studies
from atlas.errors import ArtifactError, UsageError
from atlas.paths import home_dir
from queries.resolve import looks_like_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atlas.progress import Reporter
    from queries.followups.evidence import Evidence
    from queries.followups.interventions import FeatureRef
    from queries.followups.lab import Lab
    from queries.followups.replay import Replay


class Workbench(Studies):
    """A model and SAEs, without a graph; has the methods of an `Atlas` that run follow-ups.

    What is found is kept in a folder each; `atlas load FOLDER` takes it into a graph later.

    Parameters
    ----------
    model
        Packaged model, local folder, or hub name.
    saes
        Shipped SAEs, local folders, or ``RELEASE:ID``.
    build
        Build folder with the features' largest and mean activations. Without one, the unit
        ``global_max`` and the ablation to the mean are refused.
    root
        Folder to keep what is found in; by default ``followups`` in the atlas's home.
    device
        By default CUDA where there is a device.
    """

    def __init__(
        self,
        model: str,
        saes: Sequence[str],
        *,
        build: str | Path | None = None,
        root: str | Path | None = None,
        device: str | None = None,
    ) -> None:
        from queries.followups.shelf import Shelf

        self.saes = tuple(saes)
        self.build = None if build is None else Path(build).expanduser()
        self.root = Path(root).expanduser() if root is not None else home_dir() / "followups"
        self.shelf = Shelf(model, device)

    def lab(self, saes: Sequence[str] | None = None) -> Lab:
        """Return the model in memory, with all SAEs or some (by key); loaded once."""
        from queries.followups.lab import Lab

        whole = self.shelf.lab(self.saes)
        if saes is None:
            return whole
        return Lab.of(whole.model, [whole.sae(key) for key in saes], source=whole.source)

    @property
    def followups(self) -> Path:
        """Folder that follow-ups are kept in."""
        return self.root

    @property
    def folder(self) -> Path:
        """Folder of the atlas, with its builds."""
        return home_dir()

    def _keep(self, found: Evidence, *, reporter: Reporter | None) -> FollowUp:
        from queries.followups.evidence import save_evidence

        folder = save_evidence(found, self.root)
        if reporter is not None:
            reporter.note(f"kept in {folder}; `atlas load` takes it into a graph")
        return FollowUp(found, folder)

    def _stored(self, run: str | Path) -> Evidence:
        from queries.followups.evidence import is_evidence, open_evidence

        for folder in (Path(run), self.root / str(run)):
            if is_evidence(folder):
                return open_evidence(folder)
        raise ArtifactError(f"{run} is no follow-up that is kept here.", hint="Give its folder.")

    def _resolve(self, names: Sequence[str | int]) -> list[str]:
        wrong = [name for name in names if not looks_like_key(name)]
        if wrong:
            raise UsageError(
                f"{wrong[0]!r} is no key of a feature, and there is no graph to look it up in.",
                hint="Name features MODEL/HOOK/SAE/INDEX, or start the database.",
            )
        return [str(name) for name in names]

    def _members(self, community: str) -> list[str]:
        raise UsageError(f"There is no graph to look up {community} in.", hint="Name features.")

    def _communities(self, sae: str) -> dict[str, tuple[str, ...]]:
        raise UsageError(
            f"There is no graph to look up the communities of {sae} in.",
            hint="Give `communities`: a mapping of features to theirs, or players='tokens'.",
        )

    def _refs(self, keys: Sequence[str]) -> tuple[FeatureRef, ...]:
        from queries.followups.interventions import FeatureRef
        from queries.followups.sources import refs_of_build

        if self.build is None:
            return tuple(FeatureRef.parse(key) for key in dict.fromkeys(keys))
        return refs_of_build(self.build, keys)


def replay_folder(
    folder: Path, *, device: str | None = None, reporter: Reporter | None = None
) -> Replay:
    """Run the follow-up of a folder again, without a database; see `Atlas.replay`."""
    from queries.followups.evidence import open_evidence
    from queries.followups.replay import lab_of, replay

    stored = open_evidence(folder)
    return replay(stored, lab=lab_of(stored.identity, device=device), reporter=reporter)
