// Title: Path across layers
// Purpose: Of all chains from a feature to one of a later layer along FEEDS, each feature firing on
//   the same tokens as the one before and lying in a later layer, the strongest. The answer is
//   exact among the edges that are used.
// Group: paths
// Result: features
// Parameters:
//   a: feature -- Key of the first feature, of the earliest layer.
//   b: feature -- Key of the last, of the latest layer.
//   by: choice product|weakest = product -- What makes a chain strong: the product of its phi, or the smallest.
//   max_hops: integer 1..4 = 4 -- Longest chain, in edges.
//   mutual: boolean = true -- Only edges among the strongest of both features.
//   run: run? -- Run that the edges are of; by default the run of the first feature's numbers.
// Columns:
//   step: integer -- 0 for the first feature.
//   key: string -- Key of the feature.
//   label: string -- Its label.
//   top_tokens: list -- Tokens it fires on most.
//   hook: string -- Hook of the model that its SAE reads.
//   sae: string -- Key of its SAE.
//   phi: float -- Phi of the edge from the step before, 0 to 1.
//   weight: float -- Decoder row of the step before times this feature's encoder column; null without weights.
//   weight_cosine: float -- That over both norms, -1 to 1.
//   n: integer -- Positions where it and the step before both fire.
//   strength: float -- Product, or smallest, of the phi from the first feature up to here, 0 to 1.
// Table: step, key, label, hook, phi, weight_cosine, strength
// Example:
//   :param {a: 'smollm2-135m/blocks.9.hook_resid_pre/topk/12', b: 'smollm2-135m/blocks.18.hook_resid_pre/topk/40', by: 'product', max_hops: 4, mutual: true, run: null}
//   atlas query path_across_layers --a blocks.9.hook_resid_pre/topk/12 --b blocks.18.hook_resid_pre/topk/40
// Phrase: How $a feeds $b
// Graph:
//   MATCH (a:Feature {key: $a}), (b:Feature {key: $b})
//   MATCH p = (a)-[r:FEEDS WHERE r.run = a.run AND r.mutual AND r.phi > 0]->{1,3}(b)
//   RETURN p ORDER BY reduce(x = 1.0, r IN relationships(p) | x * r.phi) DESC LIMIT 10
MATCH (a:Feature {key: $a}), (b:Feature {key: $b})
WHERE a <> b
WITH coalesce($run, a.run) AS run, a, b
// The strongest chains of up to two edges from each end to each feature between, of each length: a
// strongest chain is made of two of them.
CALL (a, b, run) {
  MATCH (a)(()-[r:FEEDS WHERE r.run = run AND (r.mutual OR NOT $mutual) AND r.phi > 0]->(next)){0,2}(middle)
  RETURN middle, r AS edges, [f IN next | f.key] AS keys, true AS forward
UNION ALL
  MATCH (middle)((before)-[r:FEEDS WHERE r.run = run AND (r.mutual OR NOT $mutual) AND r.phi > 0]->()){0,2}(b)
  RETURN middle, r AS edges, [f IN before | f.key] AS keys, false AS forward
}
WITH middle, edges, keys, forward,
     reduce(s = 1.0, e IN edges |
       CASE WHEN $by = 'product' THEN s * e.phi WHEN e.phi < s THEN e.phi ELSE s END) AS strength
ORDER BY strength DESC, keys
WITH middle, forward, size(edges) AS hops,
     head(collect({edges: edges, keys: keys, strength: strength})) AS half
WITH middle, collect(CASE WHEN forward THEN half END) AS there,
     collect(CASE WHEN NOT forward THEN half END) AS back
UNWIND there AS x
UNWIND back AS y
// The keys of the second half begin with the middle, which ends those of the first.
WITH [$a] + x.keys + tail(y.keys + [$b]) AS keys, x.edges + y.edges AS edges,
     CASE WHEN $by = 'product' THEN x.strength * y.strength
          WHEN x.strength < y.strength THEN x.strength ELSE y.strength END AS strength
WHERE size(edges) <= $max_hops
ORDER BY strength DESC, size(edges), keys
LIMIT 1
UNWIND range(0, size(edges)) AS step
MATCH (f:Feature {key: keys[step]})-[:IN]->(s:Sae)
WITH step, f, s, edges[..step] AS before
WITH step, f, s, before, last(before) AS r
RETURN
  step, f.key AS key, f.label AS label, f.top_tokens AS top_tokens, s.hook AS hook, s.key AS sae,
  r.phi AS phi, r.weight AS weight, r.weight_cosine AS weight_cosine, r.n AS n,
  reduce(x = 1.0, e IN before |
    CASE WHEN $by = 'product' THEN x * e.phi WHEN e.phi < x THEN e.phi ELSE x END) AS strength
ORDER BY step
