// Title: Nearest by decoder
// Purpose: Features whose decoder vectors point most nearly the same way, found in the vector
//   index, which may miss some. SIMILAR_TO has the exact nearest ones.
// Group: search
// Result: features
// Parameters:
//   feature: feature -- Key of the feature.
//   limit: integer 1..10000 = 20 -- Most rows.
//   other_saes: boolean = false -- Also features of other SAEs whose decoder vectors are as wide.
// Columns:
//   key: string -- Key of the feature.
//   label: string -- Its label.
//   top_tokens: list -- Tokens it fires on most.
//   cosine: float -- Cosine of the two decoder vectors, -1 to 1.
//   firing_rate: float -- Share of positions where it fires.
//   community: string -- Key of its community.
//   sae: string -- Key of its SAE.
// Table: key, label, cosine, firing_rate
// Example:
//   :param {feature: 'smollm2-135m/blocks.18.hook_resid_pre/topk/12', other_saes: false, limit: 20}
//   atlas query nearest_by_decoder --feature 12
// Phrase: Nearest to $feature by decoder
// Graph:
//   MATCH (f:Feature {key: $feature}) WHERE f.decoder IS NOT NULL
//   CALL db.index.vector.queryNodes('feature_decoder', 30, f.decoder) YIELD node
//   RETURN f, node
MATCH (f:Feature {key: $feature})-[:IN]->(own:Sae)
WHERE f.decoder IS NOT NULL
// Vectors of all SAEs are in the index, so as many more are asked for as the SAE is a small part.
WITH f, own, COUNT { (:Feature) } AS every
WITH f, own, every,
     CASE WHEN $other_saes THEN 1.0 ELSE 1.0 * every / COUNT { (own)<-[:IN]-() } END
       * ($limit + 1) AS asked
// The more the index is asked for, the fewer of the nearest it misses: of the first 20 of 8,192,
// one in seven with none more, one in 200 with 100 more.
CALL db.index.vector.queryNodes(
  'feature_decoder', toInteger(ceil(CASE WHEN asked < every THEN asked ELSE every END)) + 100,
  f.decoder
)
YIELD node, score
WHERE node <> f
MATCH (node)-[:IN]->(s:Sae)
WHERE $other_saes OR s = own
WITH node, s, 2 * score - 1 AS cosine
ORDER BY cosine DESC, node.key
LIMIT $limit
RETURN
  node.key AS key, node.label AS label, node.top_tokens AS top_tokens, cosine,
  node.firing_rate AS firing_rate, node.community AS community, s.key AS sae
ORDER BY cosine DESC, key
