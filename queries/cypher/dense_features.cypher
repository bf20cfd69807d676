// Title: Dense features
// Purpose: The features that fire most often; dense ones (on more than a tenth of the positions)
//   join nearly everything and say little. Reads all features.
// Group: features
// Result: features
// Parameters:
//   limit: integer 1..10000 = 20 -- Most rows.
//   min_rate: float 0..1 = 0 -- Least share of positions where it fires; 0.1 for dense ones.
//   run: run? -- Only features whose numbers are of this run.
// Columns:
//   key: string -- Key of the feature.
//   label: string -- Its label.
//   top_tokens: list -- Tokens it fires on most.
//   firing_rate: float -- Share of positions where it fires.
//   dense: boolean -- Fires on more than a tenth of the positions.
//   n: integer -- Positions where it fires.
//   d: integer -- Documents where it fires.
//   mean: float -- Mean activation where it fires.
//   max: float -- Largest activation.
//   top_domain: string -- Most distinctive domain of the documents in which it fires.
//   top_domain_share: float -- Share of that domain among the documents in which it fires.
//   degree: integer -- Edges in the backbone.
//   community: string -- Key of its community.
//   run: string -- Run that the numbers are of.
// Table: key, label, firing_rate, dense, d, mean, degree
// Example:
//   :param {min_rate: 0.0, run: null, limit: 20}
//   atlas query dense_features --min-rate 0.1
// Phrase: Dense features
// Graph:
//   MATCH (f:Feature) WHERE NOT f.dead RETURN f ORDER BY f.firing_rate DESC LIMIT 100
MATCH (f:Feature)
WHERE f.firing_rate >= $min_rate AND NOT f.dead AND ($run IS NULL OR f.run = $run)
WITH f
ORDER BY f.firing_rate DESC, f.key
LIMIT $limit
RETURN
  f.key AS key, f.label AS label, f.top_tokens AS top_tokens, f.firing_rate AS firing_rate,
  f.dense AS dense, f.n AS n, f.d AS d, f.mean AS mean, f.max AS max,
  f.top_domain AS top_domain, f.top_domain_share AS top_domain_share, f.degree AS degree,
  f.community AS community, f.run AS run
ORDER BY firing_rate DESC, key
