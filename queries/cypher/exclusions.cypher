// Title: Exclusions
// Purpose: Features that fire instead of a feature: within documents less often together than
//   chance gives, although they share topics or have near decoder vectors.
// Group: relations
// Result: features
// Parameters:
//   feature: feature -- Key of the feature.
//   limit: integer 1..10000 = 20 -- Most rows.
//   run: run? -- Run that the edges are of; by default the run of the feature's numbers.
// Columns:
//   key: string -- Key of the other feature.
//   label: string -- Its label.
//   top_tokens: list -- Tokens it fires on most.
//   n: integer -- Positions where both fire.
//   expected: float -- Joint firings expected by chance over the whole text.
//   phi_within: float -- Correlation of the two firings within documents; lowest first.
//   r_topic: float -- Correlation of their firing from document to document.
//   cosine: float -- Cosine of the decoder vectors.
//   z_within: float -- Document-robust z of the joint firings within documents.
//   p: float -- P-value.
//   q: float -- False discovery rate at which the edge passes.
//   mutual: boolean -- Among the strongest exclusive edges of both.
//   run: string -- Run that the edge is of.
// Table: key, label, n, expected, phi_within, r_topic, cosine
// Example:
//   :param {feature: 'smollm2-135m/blocks.18.hook_resid_pre/topk/12', run: null, limit: 20}
//   atlas query exclusions --feature 12
// Phrase: What fires instead of $feature
// Graph:
//   MATCH p = (f:Feature {key: $feature})-[r:CO_OCCURS {kind: 'exclusive'}]-(:Feature)
//   WHERE r.run = f.run
//   RETURN p ORDER BY r.phi_within LIMIT 50
MATCH (f:Feature {key: $feature})
WITH f, coalesce($run, f.run) AS run
MATCH (f)-[e:CO_OCCURS {kind: 'exclusive'}]-(o)
WHERE e.run = run
WITH e, o
ORDER BY e.phi_within, o.index
LIMIT $limit
RETURN
  o.key AS key, o.label AS label, o.top_tokens AS top_tokens, e.n AS n, e.expected AS expected,
  e.phi_within AS phi_within, e.r_topic AS r_topic, e.cosine AS cosine, e.z_within AS z_within,
  e.p AS p, e.q AS q, e.mutual AS mutual, e.run AS run
ORDER BY phi_within, key
