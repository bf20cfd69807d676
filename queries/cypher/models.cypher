// Title: Models
// Purpose: The language models of the database, with their SAEs and runs.
// Group: runs
// Result: rows
// Parameters:
// Columns:
//   key: string -- Key of the model: its name.
//   d_model: integer -- Width of the residual stream.
//   n_layers: integer -- Layers.
//   source: string -- Where it is from.
//   weights: string -- SHA-256 of the weights.
//   saes: list -- Keys of its SAEs.
//   features: integer -- Features of these SAEs in the graph.
//   runs: list -- Runs of the model, oldest first: key, kind.
// Table: key, d_model, n_layers, saes, features, source
// Example:
//   :param {}
//   atlas query models
// Phrase: Models
// Graph:
//   MATCH (m:Model) OPTIONAL MATCH p = (m)<-[:OF]-(:Sae) RETURN m, p LIMIT 100
MATCH (m:Model)
RETURN
  m.key AS key, m.d_model AS d_model, m.n_layers AS n_layers, m.source AS source,
  m.weights_sha256 AS weights,
  COLLECT { MATCH (m)<-[:OF]-(s:Sae) RETURN s.key ORDER BY s.key } AS saes,
  COUNT { (m)<-[:OF]-(:Sae)<-[:IN]-(:Feature) } AS features,
  COLLECT {
    MATCH (r:Run {model: m.key})
    RETURN {key: r.key, kind: coalesce(r.kind, 'build')} ORDER BY r.created, r.key
  } AS runs
ORDER BY key
