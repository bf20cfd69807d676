"""Attribution graphs of circuit-tracer, joined to the features of a run.

One file becomes one node `AttributionGraph`. A feature that occurs in it is joined to it by
`APPEARS_IN`, and a link between two features becomes `ATTRIBUTES`, from the one that acts to the
one that is acted on. Embeddings, errors and logits are counted in the graph's node; what they give
to a feature, and what it gives to logits, is summed up on `APPEARS_IN`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from atlas.artifacts import file_sha256
from atlas.errors import UsageError
from ingest.imports.circuit_file import EMBEDDING, ERROR, FEATURE, LOGIT, OTHER, read_circuit
from ingest.imports.run_saes import find_sae, known_features, run_saes, write_once

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import neo4j

    from ingest.imports.circuit_file import Circuit, CircuitNode
    from ingest.imports.run_saes import RunSae

# What an earlier import of the file left, perhaps with other SAEs, goes in the same transaction.
_GRAPH = """
UNWIND $rows AS row
MATCH (r:Run {key: $run})
MERGE (g:AttributionGraph {key: $graph}) SET g = row
MERGE (g)-[:FROM_RUN]->(r)
"""
_CLEAR_LINKS = """
UNWIND $rows AS row
MATCH (:AttributionGraph {key: $graph})<-[:APPEARS_IN]-(:Feature)-[r:ATTRIBUTES]->(:Feature)
WHERE r.graph = $graph
DELETE r
"""
_CLEAR_NODES = """
UNWIND $rows AS row
MATCH (:AttributionGraph {key: $graph})<-[r:APPEARS_IN]-(:Feature)
DELETE r
"""
_NODES = """
UNWIND $rows AS row
MATCH (g:AttributionGraph {key: $graph})
MATCH (f:Feature {key: row.feature})
CREATE (f)-[r:APPEARS_IN]->(g) SET r = row.properties, r.run = $run
"""
_LINKS = """
UNWIND $rows AS row
MATCH (s:Feature {key: row.source})
MATCH (t:Feature {key: row.target})
CREATE (s)-[r:ATTRIBUTES]->(t) SET r = row.properties, r.run = $run, r.graph = $graph
"""
_SUMS = {EMBEDDING: "from_embeddings", ERROR: "from_errors", LOGIT: "to_logits"}


@dataclass(frozen=True)
class CircuitImport:
    """What the import of one attribution graph did.

    Attributes
    ----------
    graph
        Key of the node.
    source, sha256
        Name and hash of the file.
    nodes, features, links
        What the file has; `features` are nodes, one a position.
    matched
        Nodes that are features of the run.
    stored
        Links between two of those.
    saes
        Layer -> SAE's key.
    unmatched
        Layer -> nodes that are no feature of the run.
    """

    graph: str
    source: str
    sha256: str
    nodes: int
    features: int
    links: int
    matched: int
    stored: int
    saes: Mapping[int, str]
    unmatched: Mapping[int, int]


def import_circuit(
    driver: neo4j.Driver,
    path: str | Path,
    *,
    run: str,
    saes: Mapping[int, str] | None = None,
    by_hook: bool = False,
    database: str | None = None,
) -> CircuitImport:
    """Store an attribution graph of circuit-tracer, in one transaction.

    Importing a file again changes nothing; with other `saes` it replaces what was stored.

    Parameters
    ----------
    driver, database
        Where to.
    path
        A ``.json`` or ``.json.gz`` graph file.
    run
        Key of a loaded run; the graph is joined to its features.
    saes
        Layer of the graph -> SAE, by key or the end of it: the dictionary that the graph's
        features of that layer are of. Without it, SAEs are found by their Neuronpedia ids, where
        the file names its source set.
    by_hook
        Take for every other layer the run's only SAE at a hook of that block. Right only if the
        graph was made with these very SAEs: indices of another dictionary mean nothing here.

    Returns
    -------
    CircuitImport
        What was done.

    Raises
    ------
    ArtifactError
        The file is none of an attribution graph; nothing was stored.
    UsageError
        No layer has an SAE.
    NotFoundError
        The run or an SAE is not there.
    DatabaseError
        The database fails; nothing was stored.
    """
    path = Path(path)
    circuit, digest = read_circuit(path), file_sha256(path)
    chosen = _layers(circuit, run_saes(driver, run, database=database), saes or {}, by_hook=by_hook)
    nodes = circuit.of_kind(FEATURE)
    keys = {n.id: f"{chosen[n.layer]}/{n.index}" for n in nodes if n.layer in chosen}
    known = known_features(driver, run, sorted(set(keys.values())), database=database)
    keys = {ident: key for ident, key in keys.items() if key in known}
    graph = f"{run}|{circuit.scan}/{circuit.slug}|{digest[:12]}"
    links = _link_rows(circuit, keys, graph)
    unmatched: dict[int, int] = defaultdict(int)
    for node in nodes:
        unmatched[node.layer] += node.id not in keys
    done = CircuitImport(
        graph=graph,
        source=path.name,
        sha256=digest,
        nodes=len(circuit.nodes),
        features=len(nodes),
        links=len(circuit.links),
        matched=len(keys),
        stored=len(links),
        saes=chosen,
        unmatched={layer: n for layer, n in sorted(unmatched.items()) if n},
    )
    once: Sequence[dict[str, object]] = [{}]
    steps = [
        (_CLEAR_LINKS, once),
        (_CLEAR_NODES, once),
        (_GRAPH, [_graph_row(circuit, done, run)]),
        (_NODES, _node_rows(circuit, keys)),
        (_LINKS, links),
    ]
    write_once(driver, steps, database=database, run=run, graph=graph)
    return done


def _layers(
    circuit: Circuit, found: Sequence[RunSae], named: Mapping[int, str], *, by_hook: bool
) -> dict[int, str]:
    """Return the key of the SAE of each layer that has one."""
    layers = sorted({node.layer for node in circuit.of_kind(FEATURE)})
    chosen = {layer: find_sae(found, name).key for layer, name in named.items()}
    ids = {sae.neuronpedia_id: sae.key for sae in found if sae.neuronpedia_id}
    for layer in layers:
        known = ids.get(f"{circuit.scan}/{layer}-{circuit.source_set}")
        if layer not in chosen and known:
            chosen[layer] = known
        at_hook = [sae.key for sae in found if sae.layer == layer]
        if layer not in chosen and by_hook and at_hook:
            if len(at_hook) > 1:
                raise UsageError(
                    f"The run has {len(at_hook)} SAEs at block {layer}: {', '.join(at_hook)}.",
                    hint=f"Choose one with --sae {layer}=KEY.",
                )
            chosen[layer] = at_hook[0]
    if not any(layer in chosen for layer in layers):
        raise UsageError(
            f"No layer of the graph has an SAE; its features are of the layers "
            f"{', '.join(str(layer) for layer in layers) or 'none'}.",
            hint="Say which SAE a layer's features are of, with --sae LAYER=KEY.",
        )
    return {layer: chosen[layer] for layer in layers if layer in chosen}


def _graph_row(circuit: Circuit, done: CircuitImport, run: str) -> dict[str, object]:
    logits = circuit.of_kind(LOGIT)
    return {
        "key": done.graph,
        "run": run,
        "slug": circuit.slug,
        "scan": circuit.scan,
        "prompt": circuit.prompt,
        "prompt_tokens": list(circuit.prompt_tokens),
        "source": done.source,
        "sha256": done.sha256,
        "nodes": done.nodes,
        "features": done.features,
        "matched": done.matched,
        "embeddings": len(circuit.of_kind(EMBEDDING)),
        "errors": len(circuit.of_kind(ERROR)),
        "logits": len(logits),
        "others": len(circuit.of_kind(OTHER)),
        "links": done.links,
        "stored": done.stored,
        "logit_texts": [node.text for node in logits],
        "logit_probabilities": [node.probability for node in logits],
        "layers": list(done.saes),
        "saes": list(done.saes.values()),
    }


def _node_rows(circuit: Circuit, keys: Mapping[str, str]) -> list[dict[str, object]]:
    """Return a row a feature: where it occurs, and what joins it to nodes that are no features."""
    occurs: dict[str, list[CircuitNode]] = defaultdict(list)
    for ident, key in keys.items():
        occurs[key].append(circuit.nodes[ident])
    sums: dict[str, dict[str, float]] = {key: dict.fromkeys(_SUMS.values(), 0.0) for key in occurs}
    for source, target, weight in circuit.links:
        for feature, other in ((source, target), (target, source)):
            name = _SUMS.get(circuit.nodes[other].kind)
            if feature in keys and name:
                sums[keys[feature]][name] += weight
    return [
        {
            "feature": key,
            "properties": {
                "positions": [node.position for node in nodes],
                "activations": [node.activation for node in nodes],
                "influences": [node.influence for node in nodes],
                **sums[key],
            },
        }
        for key, nodes in occurs.items()
    ]


def _link_rows(circuit: Circuit, keys: Mapping[str, str], graph: str) -> list[dict[str, object]]:
    return [
        {
            "source": keys[source],
            "target": keys[target],
            "properties": {
                "key": f"{graph}|{source}|{target}",
                "weight": weight,
                "source_position": circuit.nodes[source].position,
                "target_position": circuit.nodes[target].position,
            },
        }
        for source, target, weight in circuit.links
        if source in keys and target in keys
    ]
