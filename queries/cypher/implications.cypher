// Title: Implications
// Purpose: Features that a feature brings with it (more general ones), and those that bring it
//   (more specific ones), by the share of the specific one's firings.
// Group: relations
// Result: features
// Parameters:
//   feature: feature -- Key of the feature.
//   direction: choice general|specific|both = both -- Features it implies, those that imply it, or both.
//   limit: integer 1..10000 = 20 -- Most rows.
//   run: run? -- Run that the edges are of; by default the run of the feature's numbers.
// Columns:
//   key: string -- Key of the other feature.
//   label: string -- Its label.
//   top_tokens: list -- Tokens it fires on most.
//   direction: string -- What the other is to the feature: general or specific.
//   n: integer -- Positions where both fire.
//   p_general_given_specific: float -- Share of the specific one's firings where the general one fires.
//   p_specific_given_general: float -- Share of the general one's firings where the specific one fires.
//   lift: float -- Joint firings divided by those expected by chance.
//   cosine: float -- Cosine of the decoder vectors.
//   absorption: boolean -- The decoder vectors say that it implies, yet the two fire apart.
//   p: float -- P-value.
//   q: float -- False discovery rate at which the edge passes.
//   run: string -- Run that the edge is of.
// Table: key, label, direction, p_general_given_specific, lift, cosine, absorption
// Example:
//   :param {feature: 'smollm2-135m/blocks.18.hook_resid_pre/topk/12', direction: 'both', run: null, limit: 20}
//   atlas query implications --feature 12 --direction general
// Phrase: What $feature implies and what implies it
// Graph:
//   MATCH p = (f:Feature {key: $feature})-[r:IMPLIES]-(:Feature)
//   WHERE r.run = f.run
//   RETURN p ORDER BY r.p_target_given_source DESC LIMIT 50
MATCH (f:Feature {key: $feature})
WITH f, coalesce($run, f.run) AS run
CALL (f, run) {
  WITH f, run WHERE $direction <> 'specific'
  MATCH (f)-[e:IMPLIES]->(o)
  WHERE e.run = run
  RETURN e, o, 'general' AS direction
UNION ALL
  WITH f, run WHERE $direction <> 'general'
  MATCH (f)<-[e:IMPLIES]-(o)
  WHERE e.run = run
  RETURN e, o, 'specific' AS direction
}
WITH e, o, direction, e.p_target_given_source AS share
ORDER BY share DESC, o.index, direction
LIMIT $limit
RETURN
  o.key AS key, o.label AS label, o.top_tokens AS top_tokens, direction, e.n AS n,
  share AS p_general_given_specific, e.p_source_given_target AS p_specific_given_general,
  e.lift AS lift, e.cosine AS cosine, e.absorption AS absorption, e.p AS p, e.q AS q, e.run AS run
ORDER BY share DESC, key, direction
