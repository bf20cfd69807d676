// Title: Strongest edges
// Purpose: The strongest co-occurrences of a kind, by a measure. Reads all edges.
// Group: relations
// Result: rows
// Parameters:
//   kind: choice token|topic|exclusive = token -- Kind of co-occurrence.
//   measure: choice strength|npmi|phi|phi_within|lift|jaccard|r_topic|r|n|z = strength -- What to order by; strength is phi, r_topic or -phi_within, by kind.
//   limit: integer 1..10000 = 20 -- Most rows.
//   min_n: integer 0..1000000000 = 0 -- Fewest positions where both fire.
//   run: run? -- Only edges of this run.
// Columns:
//   source: string -- Key of one feature.
//   source_label: string -- Its label.
//   target: string -- Key of the other.
//   target_label: string -- Its label.
//   value: float -- The measure ordered by.
//   n: integer -- Positions where both fire.
//   npmi: float -- Normalised pointwise mutual information, -1 to 1.
//   phi: float -- Correlation of the two firings, -1 to 1.
//   phi_within: float -- Its part within documents.
//   r_topic: float -- Correlation of their firing from document to document.
//   lift: float -- Joint firings divided by those expected by chance.
//   position_share: float -- Share of the excess that positions alone explain.
//   q: float -- False discovery rate at which the edge passes.
//   mutual: boolean -- Among the strongest edges of both.
//   run: string -- Run that the edge is of.
// Table: source_label, target_label, value, n, phi, position_share
// Example:
//   :param {kind: 'token', measure: 'strength', min_n: 0, run: null, limit: 20}
//   atlas query strongest_edges --measure npmi --limit 10
// Phrase: Strongest $kind edges
// Graph:
//   MATCH p = (:Feature)-[r:CO_OCCURS {kind: $kind}]->(:Feature)
//   RETURN p
//   ORDER BY CASE $kind WHEN 'topic' THEN r.r_topic WHEN 'exclusive' THEN -r.phi_within
//            ELSE r.phi END DESC
//   LIMIT 50
MATCH (a:Feature)-[e:CO_OCCURS {kind: $kind}]->(b:Feature)
WHERE ($run IS NULL OR e.run = $run) AND ($min_n = 0 OR e.n >= $min_n)
WITH a, e, b,
     CASE
       WHEN $measure <> 'strength' THEN e[$measure]
       WHEN $kind = 'topic' THEN e.r_topic
       WHEN $kind = 'exclusive' THEN -e.phi_within
       ELSE e.phi
     END AS value
WHERE value IS NOT NULL
WITH a, e, b, value
ORDER BY value DESC, e.key
LIMIT $limit
RETURN
  a.key AS source, a.label AS source_label, b.key AS target, b.label AS target_label,
  toFloat(value) AS value, e.n AS n, e.npmi AS npmi, e.phi AS phi, e.phi_within AS phi_within,
  e.r_topic AS r_topic, e.lift AS lift, e.position_share AS position_share, e.q AS q,
  e.mutual AS mutual, e.run AS run
ORDER BY value DESC, e.key
