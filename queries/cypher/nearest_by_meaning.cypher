// Title: Nearest by meaning
// Purpose: Features whose label means most nearly what a text says, by embeddings of both, found
//   in the vector index, which may miss some. Needs labels that were embedded with the build.
// Group: search
// Result: features
// Parameters:
//   text: meaning -- What to look for. Python and the command line take any text; by hand it is a vector of 256 numbers.
//   limit: integer 1..10000 = 20 -- Most rows.
//   run: run? -- Only features that this run has.
// Columns:
//   key: string -- Key of the feature.
//   label: string -- Its label.
//   top_tokens: list -- Tokens it fires on most.
//   cosine: float -- Cosine of the embeddings of the text and of the label, -1 to 1.
//   firing_rate: float -- Share of positions where it fires.
//   community: string -- Key of its community.
// Table: key, label, cosine, firing_rate
// Example:
//   :param {text: [i IN range(1, 256) | 1.0], run: null, limit: 20}
//   atlas query nearest_by_meaning --text "diseases of the heart"
// Phrase: Features that mean $text
// Graph:
//   CALL db.index.vector.queryNodes('feature_label_embedding', 30, $text) YIELD node
//   RETURN node
WITH COUNT { (:Feature) } AS every
// Labels of all runs are in the index, so as many more are asked for as the run is a small part.
WITH every,
     coalesce(1.0 * every / nullIf(COUNT { (:Run {key: $run})<-[:FROM_RUN]-() }, 0), 1.0)
       * ($limit + 1) AS asked
// The more the index is asked for, the fewer of the nearest it misses; see features_like_label.
CALL db.index.vector.queryNodes(
  'feature_label_embedding',
  toInteger(ceil(CASE WHEN asked < every THEN asked ELSE every END)) + 500, $text
)
YIELD node, score
WHERE $run IS NULL OR EXISTS { (node)-[:FROM_RUN]->(:Run {key: $run}) }
WITH node, 2 * score - 1 AS cosine
ORDER BY cosine DESC, node.key
LIMIT $limit
RETURN
  node.key AS key, node.label AS label, node.top_tokens AS top_tokens, cosine,
  node.firing_rate AS firing_rate, node.community AS community
ORDER BY cosine DESC, key
