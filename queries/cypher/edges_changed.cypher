// Title: Edges that changed
// Purpose: Edges between features of two runs that only one of these has, or whose strength differs
//   most between them. An edge that a run does not have counts as strength 0, though it may only be
//   too weak or too uncertain to be kept. Reads all edges of the kind.
// Group: runs
// Result: rows
// Parameters:
//   a: run -- Key of one run.
//   b: run -- Key of the other.
//   change: choice any|lost|gained|kept = any -- Only edges of a alone (lost), of b alone (gained) or of both (kept).
//   kind: choice token|topic|exclusive = token -- Kind of co-occurrence.
//   limit: integer 1..10000 = 20 -- Most rows.
// Columns:
//   source: string -- Key of the feature with the lower index.
//   target: string -- Key of the other feature.
//   source_label: string -- Label of the one, of the run loaded last.
//   target_label: string -- Label of the other.
//   change: string -- lost, gained or kept.
//   strength_a: float -- What the kind is ranked by in a: phi, r_topic, or -phi_within.
//   strength_b: float -- The same in b.
//   difference: float -- That of b less that of a; a missing one counts as 0.
//   phi_a: float -- Correlation of the two firings in a, -1 to 1.
//   phi_b: float -- Correlation of the two firings in b, -1 to 1.
//   n_a: integer -- Positions of a where both fire.
//   n_b: integer -- Positions of b where both fire.
// Table: source, target, source_label, target_label, change, strength_a, strength_b
// Example:
//   :param {a: 'demo-9b77a20e5550', b: 'demo-9b77a20e5551', change: 'any', kind: 'token', limit: 20}
//   atlas query edges_changed --a demo-9b77a20e5550 --b demo-9b77a20e5551 --change gained
// Phrase: Edges of $a that $b has not
// Graph:
//   MATCH (:Run {key: $a})<-[:FROM_RUN]-(s:Feature)-[e:CO_OCCURS {run: $a, kind: 'token'}]->(t)
//   WHERE NOT EXISTS { (s)-[:CO_OCCURS {run: $b, kind: 'token'}]->(t) }
//     AND EXISTS { (s)-[:FROM_RUN]->(:Run {key: $b}) }
//     AND EXISTS { (t)-[:FROM_RUN]->(:Run {key: $b}) }
//   RETURN s, e, t ORDER BY e.phi DESC LIMIT 50
MATCH (a:Run {key: $a})
MATCH (b:Run {key: $b})
WHERE a <> b
WITH a, COLLECT {
  MATCH (r)<-[:FROM_RUN]-(f:Feature) WHERE r IN [a, b]
  WITH f, count(*) AS n WHERE n = 1
  RETURN f
} AS alone
MATCH (a)<-[:FROM_RUN]-(s:Feature)
WHERE NOT s IN alone
CALL (s) {
  MATCH (s)-[e:CO_OCCURS {kind: $kind}]->(t)
  WITH t, e, e.run AS run
  WHERE run IN [$a, $b]
  WITH t, run, CASE $kind WHEN 'topic' THEN e.r_topic WHEN 'exclusive' THEN -e.phi_within
                          ELSE e.phi END AS strength
  RETURN t, count(CASE WHEN run = $a THEN 1 END) AS in_a,
         count(CASE WHEN run = $b THEN 1 END) AS in_b,
         max(CASE WHEN run = $a THEN strength END) AS strength_a,
         max(CASE WHEN run = $b THEN strength END) AS strength_b
}
WITH alone, s, t, strength_a, strength_b,
  CASE WHEN in_b = 0 THEN 'lost' WHEN in_a = 0 THEN 'gained' ELSE 'kept' END AS change,
  coalesce(strength_b, 0.0) - coalesce(strength_a, 0.0) AS difference
WHERE $change IN ['any', change] AND NOT t IN alone
WITH s, t, strength_a, strength_b, change, difference
ORDER BY abs(difference) DESC, s.key, t.key
LIMIT $limit
OPTIONAL MATCH (s)-[e_a:CO_OCCURS {run: $a, kind: $kind}]->(t)
OPTIONAL MATCH (s)-[e_b:CO_OCCURS {run: $b, kind: $kind}]->(t)
RETURN
  s.key AS source, t.key AS target, s.label AS source_label, t.label AS target_label, change,
  strength_a, strength_b, difference, e_a.phi AS phi_a, e_b.phi AS phi_b,
  e_a.n AS n_a, e_b.n AS n_b
ORDER BY abs(difference) DESC, source, target
