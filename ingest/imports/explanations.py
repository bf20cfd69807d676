"""Explanations of features, from files of Neuronpedia.

A node `Explanation` and a relationship `EXPLAINS` to its feature are made for each. Features keep
their labels unless asked otherwise.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from atlas.artifacts import file_sha256
from atlas.errors import ArtifactError, UsageError
from ingest.graph_map import LABEL_SOURCE
from ingest.imports.neuronpedia import read_explanations
from ingest.imports.run_saes import find_sae, known_features, run_saes, write_once

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import neo4j

    from ingest.imports.neuronpedia import Explanation

_EXPLANATIONS = """
UNWIND $rows AS row
MATCH (f:Feature {key: row.feature})
MERGE (e:Explanation {key: row.key})
SET e += row.properties, e.source = $source, e.sha256 = $sha256
MERGE (e)-[r:EXPLAINS {run: $run}]->(f)
SET r.source = $source, r.sha256 = $sha256
"""
_LABELS = """
UNWIND $rows AS row
MATCH (f:Feature {key: row.feature})
SET f.label = row.text, f.label_source = $label_source
// What labelling said of an earlier label says nothing of this one.
REMOVE f.label_run, f.label_score, f.label_contexts
"""


@dataclass(frozen=True)
class ExplanationImport:
    """What the import of one file did.

    Attributes
    ----------
    source, sha256
        Name and hash of the file.
    lines
        Explanations in it.
    stored
        Those that are of a feature of the run.
    features
        Features that they explain.
    unmatched
        Those of no feature of the run: MODEL/SOURCE -> lines.
    empty
        Lines without a text, and repetitions.
    labels
        Labels that were set.
    """

    source: str
    sha256: str
    lines: int
    stored: int
    features: int
    unmatched: Mapping[str, int]
    empty: int
    labels: int


def import_explanations(
    driver: neo4j.Driver,
    path: str | Path,
    *,
    run: str,
    saes: Mapping[str, str] | None = None,
    as_labels: bool = False,
    database: str | None = None,
) -> list[ExplanationImport]:
    """Store explanations of features from a file, or from all files of a folder.

    A file is read to its end before any of it is stored, in one transaction. Importing it again
    changes nothing.

    Parameters
    ----------
    driver, database
        Where to.
    path
        A ``.jsonl`` or ``.jsonl.gz`` file of Neuronpedia's exports, or a folder of them.
    run
        Key of a loaded run; explanations are joined to its features.
    saes
        ``MODEL/SOURCE`` -> SAE, by key or the end of it, beside the Neuronpedia ids that the SAEs
        have themselves.
    as_labels
        Make the explanation with the best score, else the first in the file, the feature's label.

    Returns
    -------
    list of ExplanationImport
        What was done, one a file.

    Raises
    ------
    ArtifactError
        A file or one of its lines cannot be read; nothing of that file was stored.
    NotFoundError
        The run or an SAE is not there.
    DatabaseError
        The database fails; nothing of the file at hand was stored.
    """
    found = run_saes(driver, run, database=database)
    places = {sae.neuronpedia_id: sae.key for sae in found if sae.neuronpedia_id}
    places |= {place: find_sae(found, name).key for place, name in (saes or {}).items()}
    if not places:
        raise UsageError(
            f"No SAE of the run {run} has a Neuronpedia id.",
            hint="Say which is which with --sae MODEL/SOURCE=KEY.",
        )
    return [
        _import_file(driver, file, run, places, as_labels=as_labels, database=database)
        for file in _files(Path(path))
    ]


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(p for p in path.iterdir() if p.name.endswith((".jsonl", ".jsonl.gz")))
    if not files:
        raise ArtifactError(f"{path} has no .jsonl or .jsonl.gz file.")
    return files


def _import_file(
    driver: neo4j.Driver,
    path: Path,
    run: str,
    places: Mapping[str, str],
    *,
    as_labels: bool,
    database: str | None,
) -> ExplanationImport:
    lines = list(read_explanations(path))
    unique = {line.key: line for line in lines if line is not None}
    wanted = {
        key: f"{places[line.place]}/{line.index}"
        for key, line in unique.items()
        if line.place in places
    }
    known = known_features(driver, run, sorted({*wanted.values()}), database=database)
    feature = {key: wanted[key] for key in wanted if wanted[key] in known}
    labels = _labels(unique, feature) if as_labels else []
    rows: list[dict[str, object]] = [
        {"key": key, "feature": feature[key], "properties": _properties(unique[key])}
        for key in feature
    ]
    digest = file_sha256(path)
    write_once(
        driver,
        [(_EXPLANATIONS, rows), (_LABELS, labels)],
        database=database,
        run=run,
        source=path.name,
        sha256=digest,
        label_source=LABEL_SOURCE,
    )
    return ExplanationImport(
        source=path.name,
        sha256=digest,
        lines=len(lines),
        stored=len(rows),
        features=len(set(feature.values())),
        unmatched=dict(Counter(unique[key].place for key in unique if key not in feature)),
        empty=len(lines) - len(unique),
        labels=len(labels),
    )


def _properties(line: Explanation) -> dict[str, object]:
    values = asdict(line)
    return {name: values[name] for name in ("text", "method", "model", "score", "score_type")}


def _labels(
    lines: Mapping[str, Explanation], feature: Mapping[str, str]
) -> Sequence[dict[str, object]]:
    best: dict[str, Explanation] = {}
    for key, of in feature.items():
        line, held = lines[key], best.get(of)
        if held is None or _rank(line) > _rank(held):
            best[of] = line
    return [{"feature": of, "text": line.text} for of, line in best.items()]


def _rank(line: Explanation) -> float:
    return float("-inf") if line.score is None else line.score
