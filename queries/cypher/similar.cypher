// Title: Similar features
// Purpose: Features with near decoder vectors, whatever they fire on, nearest first.
// Group: relations
// Result: features
// Parameters:
//   feature: feature -- Key of the feature.
//   limit: integer 1..10000 = 20 -- Most rows.
//   min_cosine: float -1..1 = -1 -- Least cosine.
//   mutual: boolean = false -- Only those that are among the nearest of both.
//   run: run? -- Run that the edges are of; by default the run of the feature's numbers.
// Columns:
//   key: string -- Key of the similar feature.
//   label: string -- Its label.
//   top_tokens: list -- Tokens it fires on most.
//   cosine: float -- Cosine of the decoder vectors, -1 to 1.
//   rank: integer -- Its rank among the nearest of the feature, from 1; null where it is not kept.
//   rank_of_feature: integer -- The feature's rank among its nearest.
//   mutual: boolean -- Each among the nearest of the other.
//   firing_rate: float -- Share of positions where it fires.
//   run: string -- Run that the edge is of.
// Table: key, label, cosine, rank, mutual
// Example:
//   :param {feature: 'smollm2-135m/blocks.18.hook_resid_pre/topk/12', min_cosine: -1.0, mutual: false, run: null, limit: 20}
//   atlas query similar --feature 12
// Phrase: Features with a decoder vector like $feature
// Graph:
//   MATCH p = (f:Feature {key: $feature})-[r:SIMILAR_TO]-(:Feature)
//   WHERE r.run = f.run
//   RETURN p ORDER BY r.cosine DESC LIMIT 50
MATCH (f:Feature {key: $feature})
WITH f, coalesce($run, f.run) AS run
MATCH (f)-[e:SIMILAR_TO]-(o)
WHERE e.run = run AND e.cosine >= $min_cosine AND (NOT $mutual OR e.mutual)
WITH f, e, o
ORDER BY e.cosine DESC, o.index
LIMIT $limit
RETURN
  o.key AS key, o.label AS label, o.top_tokens AS top_tokens, e.cosine AS cosine,
  CASE WHEN startNode(e) = f THEN e.rank_source ELSE e.rank_target END AS rank,
  CASE WHEN startNode(e) = f THEN e.rank_target ELSE e.rank_source END AS rank_of_feature,
  e.mutual AS mutual, o.firing_rate AS firing_rate, e.run AS run
ORDER BY cosine DESC, key
