// Title: Run
// Purpose: Everything about one run: what it was made from and with, what the graph has of it,
//   and the algorithms that ran on it.
// Parameters:
//   run: run -- Key of the run.
// Columns:
//   key: string -- Key of the run.
//   name: string -- Name of the build.
//   state: string -- loading, loaded or dropping.
//   created: string -- When it was built.
//   loaded: string -- When its load ended.
//   digest: string -- SHA-256 over the tables.
//   recipe: string -- SHA-256 of the recipe.
//   atlas: string -- Version of the atlas that built it.
//   versions: map -- Versions of the libraries that built it.
//   parameters: map -- Parameters of the build.
//   counts: map -- Rows of the tables, and pairs tested, by the build.
//   model: map -- The model: key, d_model, n_layers, source, weights_sha256.
//   saes: list -- The SAEs: key, hook, architecture, d_sae, weights_sha256, features.
//   corpus: map -- The text: name, documents, positions, sha256.
//   features: integer -- Features.
//   own: integer -- Features that no other run has.
//   numbers: integer -- Features whose firing rate, label and so on are this run's. Those of the others are of a run loaded later.
//   edges: list -- Edges by kind: kind, n.
//   firings: integer -- Contexts of features.
//   communities: integer -- Communities.
//   algorithms: list -- The AlgorithmRuns on it, with their parameters, seeds and versions.
// Example:
//   :param {run: 'demo-9b77a20e5550'}
//   atlas query run --run demo-9b77a20e5550
MATCH (r:Run {key: $run})
OPTIONAL MATCH (m:Model {key: r.model})
RETURN
  r.key AS key, r.name AS name, r.state AS state, r.created AS created, r.loaded AS loaded,
  r.digest AS digest, r.recipe_sha256 AS recipe, r.atlas_version AS atlas,
  r.versions AS versions, r.parameters AS parameters, r.counts AS counts,
  m {.key, .d_model, .n_layers, .source, .weights_sha256} AS model,
  COLLECT {
    MATCH (r)<-[:FROM_RUN]-(f:Feature)-[:IN]->(s:Sae)
    WITH s, count(f) AS features
    RETURN s {.key, .hook, .architecture, .d_sae, .weights_sha256, features: features}
    ORDER BY s.key
  } AS saes,
  {name: r.corpus, documents: r.documents, positions: r.positions, sha256: r.corpus_sha256}
    AS corpus,
  COUNT { (r)<-[:FROM_RUN]-(:Feature) } AS features,
  COUNT {
    MATCH (r)<-[:FROM_RUN]-(f:Feature)
    WHERE NOT EXISTS { (f)-[:FROM_RUN]->(o:Run) WHERE o.key <> r.key }
  } AS own,
  COUNT { (r)<-[:FROM_RUN]-(:Feature {run: r.key}) } AS numbers,
  COLLECT {
    MATCH (r)<-[:FROM_RUN]-(:Feature)-[e:CO_OCCURS|IMPLIES|SIMILAR_TO|FEEDS {run: r.key}]->()
    WITH coalesce(e.kind, toLower(type(e))) AS kind, count(*) AS n
    RETURN {kind: kind, n: n} ORDER BY kind
  } AS edges,
  COUNT { (r)<-[:FROM_RUN]-(:Feature)-[:FIRES_IN {run: r.key}]->() } AS firings,
  COUNT { (:Community {run: r.key}) } AS communities,
  COLLECT {
    MATCH (a:AlgorithmRun {run: r.key})
    RETURN properties(a) ORDER BY a.key
  } AS algorithms
