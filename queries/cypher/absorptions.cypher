// Title: Absorptions
// Purpose: Pairs where the rarer feature's decoder vector points along the other's, but the other
//   stays silent where it fires: it may have absorbed part of it. Reads all implications.
// Group: relations
// Result: rows
// Parameters:
//   limit: integer 1..10000 = 20 -- Most rows.
//   run: run? -- Only edges of this run.
// Columns:
//   specific: string -- Key of the rarer feature, which fires instead.
//   specific_label: string -- Its label.
//   general: string -- Key of the feature that is absorbed.
//   general_label: string -- Its label.
//   cosine: float -- Cosine of the decoder vectors; highest first.
//   n: integer -- Positions where both fire.
//   p_general_given_specific: float -- Share of the rarer one's firings where the other fires.
//   lift: float -- Joint firings divided by those expected by chance.
//   p: float -- P-value of their firing apart.
//   q: float -- False discovery rate at which the edge passes.
//   run: string -- Run that the edge is of.
// Table: specific_label, general_label, cosine, n, p_general_given_specific, lift
// Example:
//   :param {run: null, limit: 20}
//   atlas query absorptions --limit 10
// Phrase: Absorptions
// Graph:
//   MATCH p = (:Feature)-[r:IMPLIES {absorption: true}]->(:Feature)
//   RETURN p ORDER BY coalesce(r.cosine, -2.0) DESC LIMIT 50
MATCH (s:Feature)-[e:IMPLIES]->(g:Feature)
WHERE e.absorption AND ($run IS NULL OR e.run = $run)
WITH s, g, e
ORDER BY coalesce(e.cosine, -2.0) DESC, e.key
LIMIT $limit
RETURN
  s.key AS specific, s.label AS specific_label, g.key AS general, g.label AS general_label,
  e.cosine AS cosine, e.n AS n, e.p_target_given_source AS p_general_given_specific,
  e.lift AS lift, e.p AS p, e.q AS q, e.run AS run
ORDER BY coalesce(cosine, -2.0) DESC, e.key
