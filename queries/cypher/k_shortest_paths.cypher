// Title: Several short paths
// Purpose: The k shortest chains of features from one to another, each firing together with the
//   next; of equally long chains those whose weakest link is strongest. Looked at are the 100
//   shortest: where more are equally long, the database chooses which.
// Group: paths
// Result: features
// Parameters:
//   a: feature -- Key of the first feature.
//   b: feature -- Key of the last.
//   k: integer 1..50 = 3 -- Most chains.
//   max_hops: integer 1..6 = 6 -- Longest chain, in edges.
//   min_phi: float? -1..1 -- Weakest edge to use, by phi; by default 0, of exclusive edges none.
//   mutual: boolean = true -- Only edges among the strongest of both features.
//   kind: choice token|topic|exclusive = token -- Kind of co-occurrence.
//   run: run? -- Run that the edges are of; by default the run of the first feature's numbers.
// Columns:
//   path: integer -- Number of the chain, 1 for the best.
//   step: integer -- 0 for the first feature.
//   key: string -- Key of the feature.
//   label: string -- Its label.
//   top_tokens: list -- Tokens it fires on most.
//   phi: float -- Phi of the edge from the step before, -1 to 1.
//   n: integer -- Positions where it and the step before both fire.
//   hops: integer -- Edges of the chain.
//   weakest: float -- Smallest phi of the chain, -1 to 1.
// Table: path, step, key, label, phi, n
// Example:
//   :param {a: 'smollm2-135m/blocks.18.hook_resid_pre/topk/12', b: 'smollm2-135m/blocks.18.hook_resid_pre/topk/40', k: 3, max_hops: 6, min_phi: null, mutual: true, kind: 'token', run: null}
//   atlas query k_shortest_paths --a 12 --b 40 --k 5
// Phrase: Short paths from $a to $b
// Graph:
//   MATCH (a:Feature {key: $a}), (b:Feature {key: $b}) WHERE a <> b
//   MATCH p = SHORTEST 10 (a)-[r:CO_OCCURS WHERE r.mutual AND r.kind = 'token' AND r.run = a.run]-{1,6}(b)
//   RETURN p
MATCH (a:Feature {key: $a}), (b:Feature {key: $b})
WHERE a <> b
WITH a, b, coalesce($run, a.run) AS run,
     coalesce($min_phi, CASE $kind WHEN 'exclusive' THEN -1.0 ELSE 0.0 END) AS least
MATCH path = SHORTEST 100 (a)-[r:CO_OCCURS WHERE
  (r.mutual OR NOT $mutual) AND r.kind = $kind AND r.run = run AND r.phi >= least]-{1,6}(b)
WITH path, [f IN nodes(path) | f.key] AS keys, length(path) AS hops,
     reduce(low = 1.0, r IN relationships(path) | CASE WHEN r.phi < low THEN r.phi ELSE low END)
       AS weakest
// SHORTEST forbids to use an edge twice, but not to come back to a feature.
WHERE hops <= $max_hops AND all(i IN range(1, hops) WHERE NOT keys[i] IN keys[..i])
ORDER BY hops, weakest DESC, keys
LIMIT $k
WITH collect({path: path, hops: hops, weakest: weakest}) AS found
UNWIND range(1, size(found)) AS number
WITH number, found[number - 1] AS chain
UNWIND range(0, chain.hops) AS step
WITH number, step, chain, nodes(chain.path)[step] AS f,
     CASE WHEN step > 0 THEN relationships(chain.path)[step - 1] END AS r
RETURN
  number AS path, step, f.key AS key, f.label AS label, f.top_tokens AS top_tokens,
  r.phi AS phi, r.n AS n, chain.hops AS hops, chain.weakest AS weakest
ORDER BY path, step
