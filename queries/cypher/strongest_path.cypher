// Title: Strongest path
// Purpose: Of all chains from one feature to another over the backbone, up to six edges long, the
//   one whose links are strongest, by the product of their phi or by the weakest of them. Searched
//   are the token edges among the strongest `top_k` of both of their ends, and no others; within
//   them the answer is exact.
// Group: paths
// Result: features
// Parameters:
//   a: feature -- Key of the first feature.
//   b: feature -- Key of the last.
//   by: choice product|weakest = product -- What makes a chain strong: the product of its phi, or the smallest.
//   max_hops: integer 1..6 = 6 -- Longest chain, in edges.
//   top_k: integer 1..32 = 16 -- Only edges among the strongest this many of both ends; time grows with its cube.
//   run: run? -- Run that the edges are of; by default the run of the first feature's numbers.
// Columns:
//   step: integer -- 0 for the first feature.
//   key: string -- Key of the feature.
//   label: string -- Its label.
//   top_tokens: list -- Tokens it fires on most.
//   phi: float -- Phi of the edge from the step before, 0 to 1.
//   n: integer -- Positions where it and the step before both fire.
//   strength: float -- Product, or smallest, of the phi from the first feature up to here, 0 to 1.
// Example:
//   :param {a: 'smollm2-135m/blocks.18.hook_resid_pre/topk/12', b: 'smollm2-135m/blocks.18.hook_resid_pre/topk/40', by: 'product', max_hops: 6, top_k: 16, run: null}
//   atlas query strongest_path --a 12 --b 40 --by weakest
// Phrase: Strongest path from $a to $b
// Graph:
//   MATCH (a:Feature {key: $a}), (b:Feature {key: $b}) WHERE a <> b
//   MATCH p = (a)-[r:CO_OCCURS WHERE r.rank_source <= 5 AND r.rank_target <= 5 AND r.kind = 'token' AND r.run = a.run AND r.phi > 0]-{1,5}(b)
//   RETURN p ORDER BY reduce(x = 1.0, r IN relationships(p) | x * r.phi) DESC LIMIT 1
MATCH (a:Feature {key: $a}), (b:Feature {key: $b})
WHERE a <> b
WITH coalesce($run, a.run) AS run, a, b
// The strongest chains of up to three edges from each end to each feature between, of each length.
// A strongest chain is made of two of them: phi is at most 1, so no detour helps.
UNWIND [a, b] AS end
MATCH (end)(()-[r:CO_OCCURS WHERE r.kind = 'token' AND r.rank_source <= $top_k
  AND r.rank_target <= $top_k AND r.run = run AND r.phi > 0]-(next)){0,3}(middle)
WITH a, end, middle, r AS edges, [f IN next | f.key] AS keys,
     reduce(s = 1.0, e IN r |
       CASE WHEN $by = 'product' THEN s * e.phi WHEN e.phi < s THEN e.phi ELSE s END) AS strength
ORDER BY strength DESC, keys
WITH a, end, middle, size(edges) AS hops,
     head(collect({edges: edges, keys: keys, strength: strength})) AS half
WITH middle, collect(CASE WHEN end = a THEN half END) AS there,
     collect(CASE WHEN end <> a THEN half END) AS back
UNWIND there AS x
UNWIND back AS y
WITH [$a] + x.keys + tail(reverse([$b] + y.keys)) AS keys, x.edges + reverse(y.edges) AS edges,
     CASE WHEN $by = 'product' THEN x.strength * y.strength
          WHEN x.strength < y.strength THEN x.strength ELSE y.strength END AS strength
WHERE size(edges) <= $max_hops
ORDER BY strength DESC, size(edges), keys
LIMIT 1
UNWIND range(0, size(edges)) AS step
MATCH (f:Feature {key: keys[step]})
WITH step, f, edges[..step] AS before
WITH step, f, before, last(before) AS r
RETURN
  step, f.key AS key, f.label AS label, f.top_tokens AS top_tokens, r.phi AS phi, r.n AS n,
  reduce(s = 1.0, e IN before |
    CASE WHEN $by = 'product' THEN s * e.phi WHEN e.phi < s THEN e.phi ELSE s END) AS strength
ORDER BY step
