// Title: Descendants
// Purpose: Features of later layers that a feature feeds, directly or through others, by the
//   strongest chain of FEEDS: the product of its phi.
// Group: paths
// Result: features
// Parameters:
//   feature: feature -- Key of the feature.
//   depth: integer 1..3 = 2 -- Most edges of a chain.
//   limit: integer 1..10000 = 20 -- Most rows.
//   min_phi: float 0..1 = 0 -- Only edges with more phi than this.
//   mutual: boolean = true -- Only edges among the strongest of both features.
//   run: run? -- Run that the edges are of; by default the run of the feature's numbers.
// Columns:
//   key: string -- Key of the descendant.
//   label: string -- Its label.
//   top_tokens: list -- Tokens it fires on most.
//   hook: string -- Hook of the model that its SAE reads.
//   depth: integer -- Fewest edges from the feature to it.
//   strength: float -- Product of the phi of its strongest chain from the feature, 0 to 1.
//   hops: integer -- Edges of that chain.
//   before: string -- Key of the feature before it in that chain; of one edge the feature itself.
//   before_label: string -- Its label.
//   phi: float -- Phi of the edge from it, 0 to 1.
//   weight: float -- Decoder row of the earlier times encoder column of the later; null without weights.
//   weight_cosine: float -- That over both norms, -1 to 1.
//   n: integer -- Positions where the two of that edge both fire.
//   sae: string -- Key of the descendant's SAE.
//   run: string -- Run that the edges are of.
// Table: key, label, hook, depth, strength, before_label, phi, weight_cosine
// Example:
//   :param {feature: 'smollm2-135m/blocks.9.hook_resid_pre/topk/12', depth: 2, min_phi: 0.0, mutual: true, run: null, limit: 20}
//   atlas query descendants --feature blocks.9.hook_resid_pre/topk/12
// Phrase: What $feature feeds
// Graph:
//   MATCH p = (f:Feature {key: $feature})-[r:FEEDS WHERE r.mutual AND r.phi > 0]->{1,2}(:Feature)
//   WHERE all(e IN relationships(p) WHERE e.run = f.run)
//   RETURN p ORDER BY reduce(x = 1.0, e IN relationships(p) | x * e.phi) DESC LIMIT 50
MATCH (a:Feature {key: $feature})
WITH coalesce($run, a.run) AS run, [{f: a, strength: 1.0}] AS level0
// For each number of edges the strongest chain to each feature: it is a strongest chain of one
// edge less, and one more edge.
CALL (run, level0) {
  UNWIND level0 AS way
  WITH run, way, way.f AS f
  MATCH (f)-[r:FEEDS {run: run}]->(o:Feature)
  WHERE (r.mutual OR NOT $mutual) AND r.phi > $min_phi
  WITH o, f, r, way.strength * r.phi AS strength
  ORDER BY strength DESC, f.key
  WITH o, head(collect({before: f, edge: r, strength: strength})) AS best
  RETURN collect({f: o, strength: best.strength, before: best.before, edge: best.edge, hops: 1})
    AS level1
}
CALL (run, level1) {
  UNWIND CASE WHEN $depth >= 2 THEN level1 ELSE [] END AS way
  WITH run, way, way.f AS f
  MATCH (f)-[r:FEEDS {run: run}]->(o:Feature)
  WHERE (r.mutual OR NOT $mutual) AND r.phi > $min_phi
  WITH o, f, r, way.strength * r.phi AS strength
  ORDER BY strength DESC, f.key
  WITH o, head(collect({before: f, edge: r, strength: strength})) AS best
  RETURN collect({f: o, strength: best.strength, before: best.before, edge: best.edge, hops: 2})
    AS level2
}
CALL (run, level2) {
  UNWIND CASE WHEN $depth >= 3 THEN level2 ELSE [] END AS way
  WITH run, way, way.f AS f
  MATCH (f)-[r:FEEDS {run: run}]->(o:Feature)
  WHERE (r.mutual OR NOT $mutual) AND r.phi > $min_phi
  WITH o, f, r, way.strength * r.phi AS strength
  ORDER BY strength DESC, f.key
  WITH o, head(collect({before: f, edge: r, strength: strength})) AS best
  RETURN collect({f: o, strength: best.strength, before: best.before, edge: best.edge, hops: 3})
    AS level3
}
UNWIND level1 + level2 + level3 AS way
WITH run, way.f AS o, way
ORDER BY way.strength DESC, way.hops
WITH run, o, min(way.hops) AS depth, head(collect(way)) AS best
ORDER BY best.strength DESC, o.key
LIMIT $limit
MATCH (o)-[:IN]->(s:Sae)
WITH run, o, s, depth, best, best.before AS before, best.edge AS r
RETURN
  o.key AS key, o.label AS label, o.top_tokens AS top_tokens, s.hook AS hook, depth,
  best.strength AS strength, best.hops AS hops, before.key AS before, before.label AS before_label,
  r.phi AS phi, r.weight AS weight, r.weight_cosine AS weight_cosine, r.n AS n, s.key AS sae, run
ORDER BY strength DESC, key
