"""Follow-ups on the features of the graph."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from atlas.api.choosing import checked
from atlas.api.connection import Connection
from atlas.api.followups import saes_of
from atlas.api.found import FollowUp
from atlas.api.studies import Studies
from atlas.errors import ArtifactError, NotFoundError, UsageError
from atlas.paths import home_dir

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atlas.api.choosing import Choice
    from atlas.progress import Reporter
    from queries.followups.contexts import PeakContext
    from queries.followups.evidence import Evidence
    from queries.followups.interventions import FeatureRef
    from queries.followups.lab import Lab
    from queries.followups.shelf import Shelf

_SAES = """
MATCH (s:Sae)-[:OF]->(m:Model)
RETURN s.key AS key, s.name AS name, s.source AS source, s.weights_sha256 AS weights_sha256,
       m.key AS model, m.source AS model_source
ORDER BY key
"""
# The place of the peak in a window is that of the activation which the context is there for.
_CONTEXTS = """
UNWIND $keys AS key
MATCH (f:Feature {key: key})
RETURN key, COLLECT {
  MATCH (f)-[r:FIRES_IN {run: f.run}]->(x:Context)
  WITH r, x ORDER BY r.rank, x.key LIMIT $contexts
  RETURN [x.tokens, reduce(
    best = 0, place IN range(1, size(r.activations) - 1) |
    CASE WHEN r.activations[place] > r.activations[best] THEN place ELSE best END
  )] ORDER BY r.rank, x.key
} AS contexts
"""
_MEMBERS = """
MATCH (f:Feature)-[:MEMBER_OF]->(:Community {key: $community}) RETURN f.key AS key ORDER BY key
"""


_RUN_OF = """
UNWIND $saes AS sae
MATCH (f:Feature)-[:IN]->(:Sae {key: sae})
WITH f.run AS run, collect(DISTINCT sae) AS saes
RETURN run, saes ORDER BY size(saes) DESC, run DESC LIMIT 1
"""
_COMMUNITIES = """
MATCH (f:Feature)-[:IN]->(:Sae {key: $sae}) WHERE f.community IS NOT NULL
RETURN f.key AS key, f.community AS community
"""


class GraphFollowUps(Studies, Connection):
    """Interventions on the features of the graph; what they find is kept and loaded into it."""

    def promotion(
        self,
        features: Choice,
        *,
        contexts: int = 16,
        top: int = 10,
        positions: Literal["peak", "firing"] = "peak",
        store: bool = True,
        reporter: Reporter | None = None,
    ) -> FollowUp:
        """Measure which tokens features promote, where they fire most; see docs/steering.md.

        Parameters
        ----------
        features
            Features, as in `steer`.
        contexts
            Most contexts of a feature, the strongest of those that the graph has.
        top
            Tokens to keep on either side.
        positions
            Take a feature out at the ``peak`` of a context, or wherever it is ``firing`` up to it.
        store
            Keep it in a folder and load it into the graph.
        reporter
            Is told of the progress.

        Raises
        ------
        NotFoundError
            There is no such feature.
        CorpusError
            A feature has no context that can be told in tokens.
        """
        from queries.followups.contexts import TokenTexts
        from queries.followups.promotion.promote import PromotionRequest

        sets = self._sets(features)
        keys = list(dict.fromkeys(key for some in sets.values() for key in some))
        lab = self.lab(saes_of(sets))
        texts = TokenTexts(lab)
        found: dict[str, tuple[PeakContext, ...]] = {}
        for row in self.reader.read(_CONTEXTS, {"keys": keys, "contexts": contexts}):
            made = (texts.context(tokens, peak) for tokens, peak in row["contexts"])
            found[row["key"]] = tuple(context for context in made if context is not None)
        request = checked(
            PromotionRequest,
            features=self._refs(keys),
            contexts=found,
            top=top,
            positions=positions,
        )
        return self._run(lab, request, store=store, reporter=reporter)

    def lab(self, saes: Sequence[str] | None = None) -> Lab:
        """Return the model in memory, with SAEs, on which follow-ups run; loaded once.

        Parameters
        ----------
        saes
            Keys of SAEs; by default all of the graph's.

        Raises
        ------
        ModelError
            The model or an SAE cannot be loaded, or has other weights than the graph's.
        NotFoundError
            The graph has no such SAE.
        UsageError
            They are of several models.
        """
        from queries.followups.replay import check_lab

        rows = self._sae_rows(saes)
        lab = self._shelf(rows[0]["model_source"] or rows[0]["model"]).lab(
            [_source(row) for row in rows]
        )
        wanted = [{"key": row["key"], "weights_sha256": row["weights_sha256"]} for row in rows]
        model = {"key": lab.model.name, "weights_sha256": lab.model.weights_sha256}
        check_lab(lab, {"model": model, "saes": [sae for sae in wanted if sae["weights_sha256"]]})
        return lab

    @property
    def followups(self) -> Path:
        """Folder that follow-ups are kept in."""
        return self.folder / "followups"

    @property
    def folder(self) -> Path:
        """Folder of the atlas, with its builds."""
        return self.home or home_dir()

    def _keep(self, found: Evidence, *, reporter: Reporter | None) -> FollowUp:
        """Write a folder and load it; what was measured is not lost if the graph refuses it."""
        from ingest.load_evidence import load_evidence
        from queries.followups.evidence import save_evidence

        folder = save_evidence(found, self.followups)
        load_evidence(self.driver, folder, database=self.database, force=True, reporter=reporter)
        if "circuits" in found.tables:
            self._import_circuits(found, folder)
        return FollowUp(found, folder, loaded=True)

    def _import_circuits(self, found: Evidence, folder: Path) -> None:
        """Join circuits to the features of the run that has their SAEs; other layers stay out."""
        from ingest.imports import import_circuit
        from queries.followups.circuits.file import circuit_saes, write_circuit

        for row in found.tables["circuits"].select(["prompt"]).to_pylist():
            file = write_circuit(found, folder / f"{row['prompt']}.json", prompt=row["prompt"])
            layers = circuit_saes(found, prompt=row["prompt"])
            here = self.reader.read(_RUN_OF, {"saes": sorted(layers.values())})
            if here:
                known = {layer: key for layer, key in layers.items() if key in here[0]["saes"]}
                import_circuit(
                    self.driver, file, run=here[0]["run"], saes=known, database=self.database
                )

    def _stored(self, run: str | Path) -> Evidence:
        from queries.followups.evidence import is_evidence, open_evidence
        from queries.followups.replay import evidence_of_graph

        for folder in (Path(run), self.followups / str(run)):
            if is_evidence(folder):
                return open_evidence(folder)
        if isinstance(run, Path):
            raise ArtifactError(f"{run} is no folder of a follow-up.", hint="Give its id.")
        return evidence_of_graph(self.reader, run)

    def _resolve(self, names: Sequence[str | int]) -> list[str]:
        from atlas.graph.asking import ask
        from queries.resolve import feature_keys

        return ask(self.reader, feature_keys(names))

    def _members(self, community: str) -> list[str]:
        return [row["key"] for row in self.reader.read(_MEMBERS, {"community": community})]

    def _communities(self, sae: str) -> dict[str, tuple[str, ...]]:
        rows = self.reader.read(_COMMUNITIES, {"sae": sae})
        return {row["key"]: (row["community"],) for row in rows}

    def _refs(self, keys: Sequence[str]) -> tuple[FeatureRef, ...]:
        from queries.followups.sources import refs_of_graph

        return refs_of_graph(self.reader, keys)

    def _sae_rows(self, saes: Sequence[str] | None) -> list[dict[str, Any]]:
        every = self.reader.read(_SAES, {})
        rows = [row for row in every if saes is None or row["key"] in saes]
        missing = sorted(set(saes or ()) - {row["key"] for row in rows})
        if missing or not rows:
            known = ", ".join(row["key"] for row in every) or "none"
            raise NotFoundError(
                f"The graph has no SAE {missing[0] if missing else ''}.", hint=f"It has: {known}."
            )
        models = sorted({row["model"] for row in rows})
        if len(models) > 1:
            raise UsageError(
                f"These are features of several models: {', '.join(models)}.",
                hint="Name features or SAEs of one of them.",
            )
        return rows

    def _shelf(self, model: str) -> Shelf:
        from queries.followups.shelf import Shelf

        # Not set in __init__: an atlas is pickled without its models.
        shelves: dict[str, Shelf] = self.__dict__.setdefault("_shelves", {})
        return shelves.setdefault(model, Shelf(model))


def _source(row: Mapping[str, Any]) -> str:
    """Return what an SAE is loaded from, with its name; builds of before did not say."""
    from atlas.shipped import shipped_saes

    known = shipped_saes()
    named = next((name for name in known if name == f"{row['model']}-{row['name']}"), None)
    return f"{row['name']}={row['source'] or named or row['name']}"
