// Title: Why two features are joined
// Purpose: Every relationship between two features, of any type and kind, with its evidence:
//   counts, effect sizes, tests, ranks and how far positions alone explain it.
// Group: relations
// Result: rows
// Parameters:
//   a: feature -- Key of one feature.
//   b: feature -- Key of the other.
//   limit: integer 1..10000 = 20 -- Most rows.
//   run: run? -- Only edges of this run; by default of every run.
// Columns:
//   type: string -- Type of the relationship: CO_OCCURS, IMPLIES, SIMILAR_TO and others.
//   kind: string -- Kind of co-occurrence: token, topic, exclusive.
//   direction: string -- a to b or b to a; both where the type has no direction.
//   n: integer -- Positions where both fire.
//   d: integer -- Documents with such a position.
//   expected: float -- Joint firings expected by chance.
//   lift: float -- n divided by expected.
//   npmi: float -- Normalised pointwise mutual information, -1 to 1.
//   phi: float -- Correlation of the two firings, -1 to 1.
//   phi_within: float -- Its part within documents.
//   jaccard: float -- Joint firings divided by firings of either, 0 to 1.
//   r_topic: float -- Correlation of their firing from document to document.
//   p_b_given_a: float -- Share of the firings of a where b fires.
//   p_a_given_b: float -- Share of the firings of b where a fires.
//   r: float -- Pearson correlation: of activations, or of attributions over prompts.
//   r_joint: float -- Correlation of activations where both fire.
//   cosine: float -- Cosine of the decoder vectors.
//   position_share: float -- Share of the excess that positions alone explain; near 1 an artefact.
//   absorption: boolean -- Of IMPLIES: implied by the decoder vectors, yet they fire apart.
//   z: float -- Document-robust z of the joint firings.
//   z_within: float -- The same within documents.
//   p: float -- P-value of the edge's kind.
//   q: float -- False discovery rate at which the edge passes.
//   rank_a: integer -- Rank of b among the edges of a, 1 for the strongest.
//   rank_b: integer -- Rank of a among the edges of b.
//   mutual: boolean -- Among the strongest edges of both.
//   evidence: map -- Every property of the edge as it is stored.
//   run: string -- Run that the edge is of.
// Table: type, kind, direction, n, phi, r_topic, cosine, position_share, q
// Example:
//   :param {a: 'smollm2-135m/blocks.18.hook_resid_pre/topk/12', b: 'smollm2-135m/blocks.18.hook_resid_pre/topk/40', run: null, limit: 20}
//   atlas query why_joined --a 12 --b 40
// Phrase: Why $a and $b are joined
// Graph:
//   MATCH p = (:Feature {key: $a})-[]-(:Feature {key: $b}) RETURN p LIMIT 50
MATCH (a:Feature {key: $a})
MATCH (b:Feature {key: $b})
MATCH (a)-[e]-(b)
WHERE $run IS NULL OR e.run = $run
WITH e, type(e) AS type, startNode(e) = a AS forward
ORDER BY type, e.kind, e.run, e.key, e.algorithm_run, NOT forward
LIMIT $limit
RETURN
  type, e.kind AS kind,
  CASE
    // NEAR and SHARES_NEIGHBOURS lead from a feature to one of the best for it.
    WHEN type IN ['CO_OCCURS', 'SIMILAR_TO', 'CO_ATTRIBUTED', 'MAY_JOIN'] THEN 'both'
    WHEN forward THEN 'a to b' ELSE 'b to a'
  END AS direction,
  e.n AS n, e.d AS d, e.expected AS expected, e.lift AS lift, e.npmi AS npmi, e.phi AS phi,
  e.phi_within AS phi_within, e.jaccard AS jaccard, e.r_topic AS r_topic,
  CASE WHEN forward THEN e.p_target_given_source ELSE e.p_source_given_target END AS p_b_given_a,
  CASE WHEN forward THEN e.p_source_given_target ELSE e.p_target_given_source END AS p_a_given_b,
  e.r AS r, e.r_joint AS r_joint, e.cosine AS cosine, e.position_share AS position_share,
  e.absorption AS absorption, e.z AS z, e.z_within AS z_within, e.p AS p, e.q AS q,
  CASE WHEN forward THEN e.rank_source ELSE e.rank_target END AS rank_a,
  CASE WHEN forward THEN e.rank_target ELSE e.rank_source END AS rank_b,
  e.mutual AS mutual, properties(e) AS evidence, e.run AS run
ORDER BY type, kind, run, e.key, e.algorithm_run, NOT forward
