// Title: Meeting points
// Purpose: Features that are joined to most of a set of features: what the set has in common.
//   Features of the set itself are left out.
// Group: paths
// Result: features
// Parameters:
//   features: features -- Keys of the features of the set.
//   limit: integer 1..10000 = 20 -- Most rows.
//   min_joined: integer 1..10000 = 2 -- Fewest features of the set that it is joined to.
//   mutual: boolean = false -- Only edges among the strongest of both features.
//   kind: choice token|topic|exclusive = token -- Kind of co-occurrence.
//   run: run? -- Run that the edges are of; by default the run of each feature's numbers.
// Columns:
//   key: string -- Key of the feature.
//   label: string -- Its label.
//   top_tokens: list -- Tokens it fires on most.
//   joined: integer -- Features of the set that it is joined to.
//   share: float -- These as a share of the set, 0 to 1.
//   mean: float -- Mean strength of these edges: phi, r_topic, or -phi_within, by kind.
//   weakest: float -- The smallest of them.
//   joined_to: list -- Keys of these features, the strongest edge first.
//   community: string -- Key of its community.
// Table: key, label, joined, share, mean, weakest
// Example:
//   :param {features: ['smollm2-135m/blocks.18.hook_resid_pre/topk/12', 'smollm2-135m/blocks.18.hook_resid_pre/topk/40'], min_joined: 2, mutual: false, kind: 'token', run: null, limit: 20}
//   atlas query meeting_points --features 12 --features 40
// Phrase: Where $features meet
// Graph:
//   MATCH (f:Feature)-[r:CO_OCCURS {kind: 'token'}]-(o:Feature)
//   WHERE f.key IN $features AND NOT o.key IN $features AND r.run = f.run
//   WITH o, count(DISTINCT f) AS joined, avg(r.phi) AS mean, collect([f, r]) AS found
//   ORDER BY joined DESC, mean DESC, o.key LIMIT 10
//   UNWIND found AS pair
//   RETURN o, pair[0] AS f, pair[1] AS r
UNWIND $features AS given
WITH DISTINCT given
MATCH (f:Feature {key: given})
WITH collect(f) AS set
UNWIND set AS f
MATCH (f)-[r:CO_OCCURS {kind: $kind}]-(o:Feature)
WHERE r.run = coalesce($run, f.run) AND (r.mutual OR NOT $mutual)
WITH set, o, f.key AS from,
     CASE $kind WHEN 'topic' THEN r.r_topic WHEN 'exclusive' THEN -r.phi_within ELSE r.phi END
       AS strength
ORDER BY coalesce(strength, -2.0) DESC, from
WITH set, o, count(*) AS joined, avg(strength) AS mean, min(strength) AS weakest,
     collect(from) AS joined_to
WHERE joined >= $min_joined AND NOT o IN set
ORDER BY joined DESC, coalesce(mean, -2.0) DESC, o.key
LIMIT $limit
RETURN
  o.key AS key, o.label AS label, o.top_tokens AS top_tokens, joined,
  1.0 * joined / size(set) AS share, mean, weakest, joined_to, o.community AS community
ORDER BY joined DESC, coalesce(mean, -2.0) DESC, key
