// Title: Confounded edges
// Purpose: Edges whose excess of joint firings is largely what both features' taste for the same
//   positions after BOS gives, so likely artefacts. Reads all edges.
// Group: relations
// Result: rows
// Parameters:
//   kind: choice token|topic|exclusive = token -- Kind of co-occurrence.
//   limit: integer 1..10000 = 20 -- Most rows.
//   min_share: float 0..1 = 0.5 -- Least share of the excess that positions alone explain.
//   run: run? -- Only edges of this run.
// Columns:
//   source: string -- Key of one feature.
//   source_label: string -- Its label.
//   target: string -- Key of the other.
//   target_label: string -- Its label.
//   position_share: float -- Share of the excess that positions alone explain; above 1 they explain more than there is.
//   n: integer -- Positions where both fire.
//   expected: float -- Joint firings expected by chance.
//   npmi: float -- Normalised pointwise mutual information, -1 to 1.
//   phi: float -- Correlation of the two firings, -1 to 1.
//   phi_within: float -- Its part within documents.
//   q: float -- False discovery rate at which the edge passes.
//   mutual: boolean -- Among the strongest edges of both.
//   run: string -- Run that the edge is of.
// Table: source_label, target_label, position_share, n, expected, phi
// Example:
//   :param {kind: 'token', min_share: 0.5, run: null, limit: 20}
//   atlas query confounded_edges --min-share 0.9 --limit 10
// Phrase: Edges that positions explain
// Graph:
//   MATCH p = (:Feature)-[r:CO_OCCURS {kind: 'token'}]->(:Feature)
//   WHERE r.position_share >= 0.5
//   RETURN p ORDER BY r.position_share DESC LIMIT 50
MATCH (a:Feature)-[e:CO_OCCURS {kind: $kind}]->(b:Feature)
WHERE e.position_share >= $min_share AND ($run IS NULL OR e.run = $run)
WITH a, e, b
ORDER BY e.position_share DESC, e.key
LIMIT $limit
RETURN
  a.key AS source, a.label AS source_label, b.key AS target, b.label AS target_label,
  e.position_share AS position_share, e.n AS n, e.expected AS expected, e.npmi AS npmi,
  e.phi AS phi, e.phi_within AS phi_within, e.q AS q, e.mutual AS mutual, e.run AS run
ORDER BY position_share DESC, e.key
