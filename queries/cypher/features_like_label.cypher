// Title: Features with a like label
// Purpose: Features whose label means most nearly what a feature's own label does, by embeddings
//   of both, found in the vector index, which may miss some. Labels say on what features fire, so
//   these fire on like things; their decoder vectors may point anywhere.
// Group: search
// Result: features
// Parameters:
//   feature: feature -- Key of the feature.
//   limit: integer 1..10000 = 20 -- Most rows.
//   other_saes: boolean = false -- Also features of other SAEs.
// Columns:
//   key: string -- Key of the feature.
//   label: string -- Its label.
//   top_tokens: list -- Tokens it fires on most.
//   cosine: float -- Cosine of the embeddings of the two labels, -1 to 1.
//   decoder_cosine: float -- Cosine of the two decoder vectors, -1 to 1; null where they are missing or not equally wide.
//   firing_rate: float -- Share of positions where it fires.
//   community: string -- Key of its community.
//   sae: string -- Key of its SAE.
// Table: key, label, cosine, decoder_cosine, firing_rate
// Example:
//   :param {feature: 'smollm2-135m/blocks.18.hook_resid_pre/topk/12', other_saes: false, limit: 20}
//   atlas query features_like_label --feature 12
// Phrase: Features with a label like $feature
// Graph:
//   MATCH (f:Feature {key: $feature}) WHERE f.label_embedding IS NOT NULL
//   CALL db.index.vector.queryNodes('feature_label_embedding', 30, f.label_embedding) YIELD node
//   RETURN f, node
MATCH (f:Feature {key: $feature})-[:IN]->(own:Sae)
WHERE f.label_embedding IS NOT NULL
// Labels of all SAEs are in the index, so as many more are asked for as the SAE is a small part.
WITH f, own, COUNT { (:Feature) } AS every
WITH f, own, every,
     CASE WHEN $other_saes THEN 1.0 ELSE 1.0 * every / COUNT { (own)<-[:IN]-() } END
       * ($limit + 1) AS asked
// Many labels are alike, and asked for no more the index misses a quarter of the first 20 of
// 8,192; asked for 400 more one in 20, for 800 more one in 50, at half as much time again.
CALL db.index.vector.queryNodes(
  'feature_label_embedding',
  toInteger(ceil(CASE WHEN asked < every THEN asked ELSE every END)) + 500, f.label_embedding
)
YIELD node, score
WHERE node <> f
MATCH (node)-[:IN]->(s:Sae)
WHERE $other_saes OR s = own
WITH f, node, s, 2 * score - 1 AS cosine
ORDER BY cosine DESC, node.key
LIMIT $limit
RETURN
  node.key AS key, node.label AS label, node.top_tokens AS top_tokens, cosine,
  CASE WHEN size(f.decoder) = size(node.decoder)
    THEN 2 * vector.similarity.cosine(f.decoder, node.decoder) - 1
  END AS decoder_cosine,
  node.firing_rate AS firing_rate, node.community AS community, s.key AS sae
ORDER BY cosine DESC, key
