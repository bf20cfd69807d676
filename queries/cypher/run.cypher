// Title: Run
// Purpose: Everything about one run: what it was made from and with, what the graph has of it,
//   and the algorithms that ran on it.
// Group: runs
// Result: run
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
// Phrase: Run $run
// Graph:
//   MATCH p = (:Run {key: $run})-[:USED]-() RETURN p LIMIT 50
MATCH (r:Run {key: $run})
OPTIONAL MATCH (m:Model {key: r.model})
OPTIONAL CALL (r) {
  MATCH ()-[e:CO_OCCURS]->() WHERE e.key STARTS WITH r.key + '|'
  RETURN split(e.key, '|')[-1] AS kind, count(*) AS n
UNION ALL
  MATCH ()-[e:IMPLIES]->() WHERE e.key STARTS WITH r.key + '|'
  RETURN 'implies' AS kind, count(*) AS n
UNION ALL
  MATCH ()-[e:SIMILAR_TO]->() WHERE e.key STARTS WITH r.key + '|'
  RETURN 'similar_to' AS kind, count(*) AS n
UNION ALL
  MATCH ()-[e:FEEDS]->() WHERE e.key STARTS WITH r.key + '|'
  RETURN 'feeds' AS kind, count(*) AS n
UNION ALL
  MATCH ()-[e:CO_ATTRIBUTED]->() WHERE e.key STARTS WITH r.key + '|'
  RETURN 'co_attributed' AS kind, count(*) AS n
UNION ALL
  MATCH ()-[e:AFFECTS]->() WHERE e.key STARTS WITH r.key + '|'
  RETURN 'affects' AS kind, count(*) AS n
}
WITH r, m, kind, n ORDER BY kind
WITH r, m, collect(CASE WHEN n IS NOT NULL THEN {kind: kind, n: n} END) AS edges
CALL (r) {
  MATCH (r)<-[:FROM_RUN]-(f:Feature)
  WITH r, f, COUNT { (f)-[:FROM_RUN]->() } = 1 AS own
  // What leads from a feature of this run alone is of this run: its number is stored.
  WITH own, f.run = r.key AS numbers,
       CASE WHEN own THEN COUNT { (f)-[:FIRES_IN]->() } ELSE 0 END
         + COUNT { MATCH (f)-[e:FIRES_IN]->() WHERE NOT own AND e.run = r.key } AS firings
  RETURN count(*) AS features, count(CASE WHEN own THEN 1 END) AS own,
         count(CASE WHEN numbers THEN 1 END) AS numbers, sum(firings) AS firings
}
RETURN
  r.key AS key, r.name AS name, r.state AS state, r.created AS created, r.loaded AS loaded,
  r.digest AS digest, r.recipe_sha256 AS recipe, r.atlas_version AS atlas,
  r.versions AS versions, r.parameters AS parameters, r.counts AS counts,
  m {.key, .d_model, .n_layers, .source, .weights_sha256} AS model,
  COLLECT {
    MATCH (r)<-[:FROM_RUN]-(f:Feature)-[:IN]->(s:Sae)
    WITH s, count(f) AS n
    RETURN s {.key, .hook, .architecture, .d_sae, .weights_sha256, features: n}
    ORDER BY s.key
  } AS saes,
  {name: r.corpus, documents: r.documents, positions: r.positions, sha256: r.corpus_sha256}
    AS corpus,
  features, own, numbers, edges, firings,
  COUNT { (:Community {run: r.key}) } AS communities,
  COLLECT {
    MATCH (a:AlgorithmRun {run: r.key})
    RETURN properties(a) ORDER BY a.key
  } AS algorithms
