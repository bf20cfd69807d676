// Title: Similar but apart
// Purpose: Features with near decoder vectors that do not fire together with a feature: they have
//   no token edge with it, or an exclusive one.
// Group: relations
// Result: features
// Parameters:
//   feature: feature -- Key of the feature.
//   limit: integer 1..10000 = 20 -- Most rows.
//   min_cosine: float -1..1 = 0.2 -- Least cosine of the decoder vectors.
//   run: run? -- Run that the edges are of; by default the run of the feature's numbers.
// Columns:
//   key: string -- Key of the other feature.
//   label: string -- Its label.
//   top_tokens: list -- Tokens it fires on most.
//   cosine: float -- Cosine of the decoder vectors, -1 to 1.
//   edge: string -- Their co-occurrence, if any: exclusive or topic.
//   n: integer -- Of that edge: positions where both fire.
//   expected: float -- Of that edge: joint firings expected by chance.
//   phi_within: float -- Of that edge: correlation of the two firings within documents.
//   r_topic: float -- Of that edge: correlation of their firing from document to document.
//   firing_rate: float -- Share of positions where the other fires; a rare pair cannot be tested.
//   run: string -- Run that the edges are of.
// Table: key, label, cosine, edge, n, expected, phi_within
// Example:
//   :param {feature: 'smollm2-135m/blocks.18.hook_resid_pre/topk/12', min_cosine: 0.2, run: null, limit: 20}
//   atlas query similar_but_apart --feature 12
// Phrase: Like $feature but apart
// Graph:
//   MATCH p = (f:Feature {key: $feature})-[r:SIMILAR_TO]-(o:Feature)
//   WHERE r.run = f.run AND NOT EXISTS { (f)-[:CO_OCCURS {kind: 'token', run: f.run}]-(o) }
//   RETURN p ORDER BY r.cosine DESC LIMIT 50
MATCH (f:Feature {key: $feature})
WITH f, coalesce($run, f.run) AS run
MATCH (f)-[s:SIMILAR_TO]-(o)
WHERE s.run = run AND s.cosine >= $min_cosine
OPTIONAL MATCH (f)-[e:CO_OCCURS]-(o) WHERE e.run = run
WITH o, s, collect(e) AS edges
WHERE none(e IN edges WHERE e.kind = 'token')
WITH o, s, head([e IN edges WHERE e.kind = 'exclusive'] + edges) AS e
ORDER BY s.cosine DESC, o.index
LIMIT $limit
RETURN
  o.key AS key, o.label AS label, o.top_tokens AS top_tokens, s.cosine AS cosine,
  e.kind AS edge, e.n AS n, e.expected AS expected, e.phi_within AS phi_within,
  e.r_topic AS r_topic, o.firing_rate AS firing_rate, s.run AS run
ORDER BY cosine DESC, key
