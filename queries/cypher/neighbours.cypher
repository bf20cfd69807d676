// Title: Neighbours
// Purpose: Features that fire together with a feature, or instead of it, strongest first.
// Group: relations
// Result: features
// Parameters:
//   feature: feature -- Key of the feature.
//   limit: integer 1..10000 = 20 -- Most rows.
//   mutual: boolean = false -- Only edges among the strongest of both features.
//   kind: choice token|topic|exclusive = token -- Kind of co-occurrence.
//   run: run? -- Run that the edges are of; by default the run of the feature's numbers.
// Columns:
//   key: string -- Key of the neighbour.
//   label: string -- Its label.
//   top_tokens: list -- Tokens it fires on most.
//   kind: string -- Kind of co-occurrence.
//   n: integer -- Positions where both fire.
//   npmi: float -- Normalised pointwise mutual information, -1 to 1.
//   phi: float -- Correlation of the two firings, -1 to 1.
//   phi_within: float -- Its part within documents.
//   r_topic: float -- Correlation of their firing from document to document.
//   strength: float -- What the kind is ranked by: phi, r_topic, or -phi_within.
//   lift: float -- Joint firings divided by those expected by chance.
//   z: float -- Document-robust z of the joint firings.
//   q: float -- False discovery rate at which the edge passes.
//   p_neighbour_given_feature: float -- Share of the feature's firings where the neighbour fires.
//   p_feature_given_neighbour: float -- Share of the neighbour's firings where the feature fires.
//   mutual: boolean -- Among the strongest edges of both.
//   run: string -- Run that the edge is of.
// Table: key, label, n, npmi, phi, lift, mutual
// Example:
//   :param {feature: 'smollm2-135m/blocks.18.hook_resid_pre/topk/12', kind: 'token', mutual: false, run: null, limit: 20}
//   atlas query neighbours --feature 12 --limit 5
// Phrase: Neighbours of $feature by $kind
// Graph:
//   MATCH p = (f:Feature {key: $feature})-[r:CO_OCCURS {kind: $kind}]-(:Feature)
//   WHERE r.run = f.run
//   RETURN p ORDER BY coalesce(abs(r.phi), -1.0) DESC LIMIT 50
MATCH (f:Feature {key: $feature})
WITH f, coalesce($run, f.run) AS run
MATCH (f)-[r:CO_OCCURS {kind: $kind}]-(o)
WHERE r.run = run AND (NOT $mutual OR r.mutual)
WITH f, r, o,
     CASE $kind WHEN 'topic' THEN r.r_topic WHEN 'exclusive' THEN -r.phi_within ELSE r.phi END
       AS strength
ORDER BY coalesce(strength, -2.0) DESC, o.index
LIMIT $limit
RETURN
  o.key AS key, o.label AS label, o.top_tokens AS top_tokens, r.kind AS kind,
  r.n AS n, r.npmi AS npmi, r.phi AS phi, r.phi_within AS phi_within, r.r_topic AS r_topic,
  strength, r.lift AS lift, r.z AS z, r.q AS q,
  CASE WHEN startNode(r) = f THEN r.p_target_given_source ELSE r.p_source_given_target END
    AS p_neighbour_given_feature,
  CASE WHEN startNode(r) = f THEN r.p_source_given_target ELSE r.p_target_given_source END
    AS p_feature_given_neighbour,
  r.mutual AS mutual, r.run AS run
ORDER BY coalesce(strength, -2.0) DESC, key
