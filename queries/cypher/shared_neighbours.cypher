// Title: Shared neighbours
// Purpose: Features that fire together with both of two features, by the weaker of the two links.
// Parameters:
//   a: feature -- Key of one feature.
//   b: feature -- Key of the other.
//   limit: integer 1..10000 = 20 -- Most rows.
//   kind: string = token -- Kind of co-occurrence.
//   run: run? -- Run that the edges are of; by default the run of the first feature's numbers.
// Columns:
//   key: string -- Key of the shared neighbour.
//   label: string -- Its label.
//   top_tokens: list -- Tokens it fires on most.
//   phi_a: float -- Phi of its edge with a.
//   phi_b: float -- Phi of its edge with b.
//   weaker: float -- The smaller of the two.
//   n_a: integer -- Positions where it and a fire.
//   n_b: integer -- Positions where it and b fire.
// Table: key, label, phi_a, phi_b, n_a, n_b
// Example:
//   :param {a: 'smollm2-135m/blocks.18.hook_resid_pre/topk/12', b: 'smollm2-135m/blocks.18.hook_resid_pre/topk/40', kind: 'token', run: null, limit: 20}
//   atlas query shared_neighbours --a 12 --b 40
MATCH (a:Feature {key: $a})
WITH a, coalesce($run, a.run) AS run
MATCH (a)-[p:CO_OCCURS {kind: $kind}]-(o:Feature)-[q:CO_OCCURS {kind: $kind}]-(:Feature {key: $b})
WHERE p.run = run AND q.run = run
RETURN
  o.key AS key, o.label AS label, o.top_tokens AS top_tokens,
  p.phi AS phi_a, q.phi AS phi_b,
  CASE WHEN p.phi < q.phi THEN p.phi ELSE q.phi END AS weaker,
  p.n AS n_a, q.n AS n_b
ORDER BY weaker DESC, key
LIMIT $limit
