// Title: Shortest path
// Purpose: A chain of features from one to another, each firing together with the next: of the
//   shortest chains the one whose weakest link is strongest.
// Group: paths
// Result: features
// Parameters:
//   a: feature -- Key of the first feature.
//   b: feature -- Key of the last.
//   max_hops: integer 1..8 = 6 -- Longest chain, in edges.
//   min_phi: float? -1..1 -- Weakest edge to use, by phi; by default 0, of exclusive edges none.
//   mutual: boolean = true -- Only edges among the strongest of both features.
//   kind: choice token|topic|exclusive = token -- Kind of co-occurrence.
//   run: run? -- Run that the edges are of; by default the run of the first feature's numbers.
// Columns:
//   step: integer -- 0 for the first feature.
//   key: string -- Key of the feature.
//   label: string -- Its label.
//   top_tokens: list -- Tokens it fires on most.
//   phi: float -- Phi of the edge from the step before.
//   n: integer -- Positions where it and the step before both fire.
// Table: step, key, label, phi, n
// Example:
//   :param {a: 'smollm2-135m/blocks.18.hook_resid_pre/topk/12', b: 'smollm2-135m/blocks.18.hook_resid_pre/topk/40', max_hops: 6, min_phi: null, mutual: true, kind: 'token', run: null}
//   atlas query shortest_path --a 12 --b 40
// Phrase: Path from $a to $b
// Graph:
//   MATCH (a:Feature {key: $a}), (b:Feature {key: $b}) WHERE a <> b
//   MATCH p = allShortestPaths((a)-[:CO_OCCURS*..6]-(b))
//   WHERE all(r IN relationships(p) WHERE r.run = a.run AND r.kind = 'token' AND r.mutual)
//   RETURN p LIMIT 10
MATCH (a:Feature {key: $a}), (b:Feature {key: $b})
WHERE a <> b
WITH a, b, coalesce($run, a.run) AS run,
     coalesce($min_phi, CASE $kind WHEN 'exclusive' THEN -1.0 ELSE 0.0 END) AS least
// The search drops an edge as soon as it meets it. ALL SHORTEST with the same predicate gives the
// same chains, and reads four times as much on Neo4j 5.26.
MATCH path = allShortestPaths((a)-[:CO_OCCURS*..8]-(b))
WHERE all(r IN relationships(path) WHERE
  (r.mutual OR NOT $mutual) AND r.kind = $kind AND r.run = run AND r.phi >= least)
WITH path
WHERE length(path) <= $max_hops
WITH path, [f IN nodes(path) | f.key] AS keys,
     reduce(low = 1.0, r IN relationships(path) | CASE WHEN r.phi < low THEN r.phi ELSE low END)
       AS weakest
ORDER BY weakest DESC, keys
LIMIT 1
UNWIND range(0, length(path)) AS step
WITH step, nodes(path)[step] AS f,
     CASE WHEN step > 0 THEN relationships(path)[step - 1] END AS r
RETURN
  step, f.key AS key, f.label AS label, f.top_tokens AS top_tokens, r.phi AS phi, r.n AS n
ORDER BY step
