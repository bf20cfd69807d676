// Title: Shared neighbours
// Purpose: Features that fire together with both of two features, by the weaker of the two links.
// Group: relations
// Result: features
// Parameters:
//   a: feature -- Key of one feature.
//   b: feature -- Key of the other.
//   limit: integer 1..10000 = 20 -- Most rows.
//   kind: choice token|topic|exclusive = token -- Kind of co-occurrence.
//   run: run? -- Run that the edges are of; by default the run of the first feature's numbers.
// Columns:
//   key: string -- Key of the shared neighbour.
//   label: string -- Its label.
//   top_tokens: list -- Tokens it fires on most.
//   phi_a: float -- Phi of its edge with a.
//   phi_b: float -- Phi of its edge with b.
//   weaker: float -- The smaller strength of the two: phi, r_topic or -phi_within, by kind.
//   n_a: integer -- Positions where it and a fire.
//   n_b: integer -- Positions where it and b fire.
// Table: key, label, phi_a, phi_b, n_a, n_b
// Example:
//   :param {a: 'smollm2-135m/blocks.18.hook_resid_pre/topk/12', b: 'smollm2-135m/blocks.18.hook_resid_pre/topk/40', kind: 'token', run: null, limit: 20}
//   atlas query shared_neighbours --a 12 --b 40
// Phrase: What fires with both $a and $b
// Graph:
//   MATCH p = (a:Feature {key: $a})-[r:CO_OCCURS {kind: 'token'}]-(:Feature)
//         -[q:CO_OCCURS {kind: 'token'}]-(:Feature {key: $b})
//   WHERE r.run = a.run AND q.run = a.run
//   RETURN p LIMIT 50
MATCH (a:Feature {key: $a})-[p:CO_OCCURS {kind: $kind}]-(o)
      -[q:CO_OCCURS {kind: $kind}]-(b:Feature {key: $b})
USING JOIN ON o
WHERE p.run = coalesce($run, a.run) AND q.run = coalesce($run, a.run)
WITH o, p, q,
     CASE $kind WHEN 'topic' THEN p.r_topic WHEN 'exclusive' THEN -p.phi_within ELSE p.phi END
       AS strength_a,
     CASE $kind WHEN 'topic' THEN q.r_topic WHEN 'exclusive' THEN -q.phi_within ELSE q.phi END
       AS strength_b
WITH o, p, q, CASE WHEN strength_a < strength_b THEN strength_a ELSE strength_b END AS weaker
ORDER BY coalesce(weaker, -2.0) DESC, o.index
LIMIT $limit
RETURN
  o.key AS key, o.label AS label, o.top_tokens AS top_tokens,
  p.phi AS phi_a, q.phi AS phi_b, weaker, p.n AS n_a, q.n AS n_b
ORDER BY coalesce(weaker, -2.0) DESC, key
