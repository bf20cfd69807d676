// Title: Features that changed
// Purpose: Features of two runs whose edges or firing rate differ most between them. A feature's
//   node has the numbers of the run loaded last; the rate in the other run is told by its edges,
//   whose joint firings are a known share of its own. Reads all edges of the kind.
// Group: runs
// Result: features
// Parameters:
//   a: run -- Key of one run.
//   b: run -- Key of the other.
//   by: choice edges|firing_rate = edges -- What to order by: edges lost and gained, or the change of the rate.
//   kind: choice token|topic|exclusive = token -- Kind of co-occurrence.
//   limit: integer 1..10000 = 20 -- Most rows.
// Columns:
//   key: string -- Key of the feature.
//   label: string -- Its label, of the run loaded last.
//   top_tokens: list -- Tokens it fires on most, of the run loaded last.
//   edges_a: integer -- Edges of the kind in a.
//   edges_b: integer -- Edges of the kind in b.
//   kept: integer -- Neighbours that it has in both.
//   lost: integer -- Neighbours that it has in a only.
//   gained: integer -- Neighbours that it has in b only.
//   jaccard: float -- Neighbours in both as a share of those in either, 0 to 1.
//   firing_rate_a: float -- Share of the positions of a where it fires; null where it is not known.
//   firing_rate_b: float -- Share of the positions of b where it fires; null where it is not known.
//   change: float -- Binary logarithm of the rate in b divided by that in a: 1 is twice, -1 half.
//   numbers_of: string -- Run that the numbers of its node are of.
// Table: key, label, kept, lost, gained, firing_rate_a, firing_rate_b, change
// Example:
//   :param {a: 'demo-9b77a20e5550', b: 'demo-9b77a20e5551', by: 'edges', kind: 'token', limit: 20}
//   atlas query features_changed --a demo-9b77a20e5550 --b demo-9b77a20e5551
// Phrase: Features of both $a and $b
// Graph:
//   MATCH p = (:Run {key: $a})<-[:FROM_RUN]-(:Feature)-[:FROM_RUN]->(:Run {key: $b})
//   RETURN p LIMIT 100
MATCH (a:Run {key: $a})
MATCH (b:Run {key: $b})
WHERE a <> b
MATCH (a)<-[:FROM_RUN]-(f:Feature)
WHERE EXISTS { (f)-[:FROM_RUN]->(b) }
CALL (f) {
  MATCH (f)-[e:CO_OCCURS {kind: $kind}]-(o)
  WITH o, e.run AS run
  WHERE run IN [$a, $b]
  WITH o, count(CASE WHEN run = $a THEN 1 END) AS in_a,
       count(CASE WHEN run = $b THEN 1 END) AS in_b
  RETURN sum(in_a) AS edges_a, sum(in_b) AS edges_b,
         count(CASE WHEN in_a > 0 AND in_b > 0 THEN 1 END) AS kept
}
// Every edge of a run tells the feature's firings in it; one is enough.
OPTIONAL CALL (f, edges_a) {
  WITH f WHERE edges_a > 0 AND f.run <> $a
  MATCH (f)-[e:CO_OCCURS {kind: $kind}]-()
  WHERE e.run = $a
  WITH e, CASE WHEN startNode(e) = f THEN e.p_target_given_source
               ELSE e.p_source_given_target END AS share
  WHERE share > 0
  RETURN e.n / share AS n_a LIMIT 1
}
OPTIONAL CALL (f, edges_b) {
  WITH f WHERE edges_b > 0 AND f.run <> $b
  MATCH (f)-[e:CO_OCCURS {kind: $kind}]-()
  WHERE e.run = $b
  WITH e, CASE WHEN startNode(e) = f THEN e.p_target_given_source
               ELSE e.p_source_given_target END AS share
  WHERE share > 0
  RETURN e.n / share AS n_b LIMIT 1
}
WITH a, b, f, edges_a, edges_b, kept,
  CASE WHEN f.run = $a THEN f.firing_rate WHEN a.positions > 0 THEN round(n_a) / a.positions END
    AS firing_rate_a,
  CASE WHEN f.run = $b THEN f.firing_rate WHEN b.positions > 0 THEN round(n_b) / b.positions END
    AS firing_rate_b
WITH f, edges_a, edges_b, kept, firing_rate_a, firing_rate_b,
  CASE WHEN firing_rate_a > 0 AND firing_rate_b > 0
       THEN log(firing_rate_b / firing_rate_a) / log(2.0) END AS change,
  edges_a + edges_b - kept AS either
ORDER BY CASE $by WHEN 'edges' THEN either - kept ELSE coalesce(abs(change), -1.0) END DESC, f.key
LIMIT $limit
RETURN
  f.key AS key, f.label AS label, f.top_tokens AS top_tokens, edges_a, edges_b, kept,
  edges_a - kept AS lost, edges_b - kept AS gained,
  CASE WHEN either > 0 THEN toFloat(kept) / either END AS jaccard,
  firing_rate_a, firing_rate_b, change, f.run AS numbers_of
ORDER BY CASE $by WHEN 'edges' THEN lost + gained ELSE coalesce(abs(change), -1.0) END DESC, key
