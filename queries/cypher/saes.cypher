// Title: SAEs
// Purpose: The sparse autoencoders of the database: what they read, how many of their features are
//   there, never fire or fire densely. Reads all features.
// Group: runs
// Result: rows
// Parameters:
//   run: run? -- Only SAEs and features that this run has.
// Columns:
//   key: string -- Key of the SAE, {model}/{hook}/{name}.
//   name: string -- Name.
//   model: string -- Key of the model.
//   hook: string -- Where it reads the model.
//   architecture: string -- Architecture: topk, jumprelu, standard and so on.
//   d_sae: integer -- Width of the SAE.
//   features: integer -- Features in the graph.
//   dead: integer -- Features that never fire in the corpus.
//   dense: integer -- Features that fire on more than a tenth of the positions.
//   dead_share: float -- Dead features as a share of those in the graph, 0 to 1.
//   dense_share: float -- Dense features as a share of those in the graph, 0 to 1.
//   mean_firing_rate: float -- Mean over the features of the share of positions where they fire.
//   expected_active: float -- Features that fire at a position, on average: the sum of the firing rates.
//   runs: list -- Runs that have features of it.
//   weights: string -- SHA-256 of the weights.
//   neuronpedia_id: string -- Name of the SAE at Neuronpedia, where it has one.
// Table: key, architecture, features, dead, dense, mean_firing_rate, runs
// Example:
//   :param {run: null}
//   atlas query saes
// Phrase: SAEs
// Graph:
//   MATCH p = (:Sae)-[:OF]->(:Model) RETURN p LIMIT 100
MATCH (s:Sae)-[:OF]->(m:Model)
CALL (s) {
  MATCH (s)<-[:IN]-(f:Feature)
  WHERE $run IS NULL OR EXISTS { (f)-[:FROM_RUN]->(:Run {key: $run}) }
  RETURN count(*) AS features, count(CASE WHEN f.dead THEN 1 END) AS dead,
         count(CASE WHEN f.dense THEN 1 END) AS dense, sum(f.firing_rate) AS active,
         avg(f.firing_rate) AS mean
}
WITH s, m, features, dead, dense, active, mean
WHERE $run IS NULL OR features > 0
RETURN
  s.key AS key, s.name AS name, m.key AS model, s.hook AS hook, s.architecture AS architecture,
  s.d_sae AS d_sae, features, dead, dense,
  CASE WHEN features > 0 THEN toFloat(dead) / features END AS dead_share,
  CASE WHEN features > 0 THEN toFloat(dense) / features END AS dense_share,
  mean AS mean_firing_rate, active AS expected_active,
  COLLECT {
    MATCH (s)<-[:IN]-(:Feature)-[:FROM_RUN]->(r:Run)
    WITH DISTINCT r
    RETURN r.key ORDER BY r.key
  } AS runs,
  s.weights_sha256 AS weights, s.neuronpedia_id AS neuronpedia_id
ORDER BY key
