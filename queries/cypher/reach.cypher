// Title: Reach of a feature
// Purpose: How many features lie within a number of steps of a feature, over the token edges among
//   the strongest of both of their ends. Far steps read the edges of all nearer features.
// Group: paths
// Result: rows
// Parameters:
//   feature: feature -- Key of the feature.
//   hops: integer 1..4 = 2 -- Most steps.
//   top_k: integer 1..64 = 10 -- Only edges among the strongest this many of both ends.
//   run: run? -- Run that the edges are of; by default the run of the feature's numbers.
// Columns:
//   step: integer -- Fewest edges from the feature; 0 is the feature itself.
//   features: integer -- Features that many edges away.
//   within: integer -- Features that many edges away or fewer.
//   share: float -- These as a share of the run's features, 0 to 1.
//   communities: integer -- Communities of the run that the features of this step lie in.
//   examples: list -- Labels of the most central features of this step, five at most, by the PageRank of the run.
// Table: step, features, within, share, communities, examples
// Example:
//   :param {feature: 'smollm2-135m/blocks.18.hook_resid_pre/topk/12', hops: 2, top_k: 10, run: null}
//   atlas query reach --feature 12 --hops 4
// Phrase: Reach of $feature
// Graph:
//   MATCH (a:Feature {key: $feature})
//   MATCH p = SHORTEST 1 (a)-[r:CO_OCCURS WHERE r.rank_source <= 10 AND r.rank_target <= 10 AND r.kind = 'token' AND r.run = a.run AND r.phi > 0]-{1,2}(:Feature)
//   RETURN p LIMIT 200
MATCH (a:Feature {key: $feature})
MATCH (whole:Run {key: coalesce($run, a.run)})
WITH a, whole, whole.key AS run
// The longest walk has to be written into a pattern, and each step more may cost ten times as
// much: so there is a pattern for the near and one for the far.
CALL (a, run) {
  RETURN a AS o, 0 AS step
UNION ALL
  WITH a, run
  WHERE $hops <= 2
  MATCH path = (a)-[rs:CO_OCCURS*1..2]-(o:Feature)
  WHERE all(r IN rs WHERE r.kind = 'token' AND r.rank_source <= $top_k
    AND r.rank_target <= $top_k AND r.run = run AND r.phi > 0)
  RETURN o, min(length(path)) AS step
UNION ALL
  WITH a, run
  WHERE $hops > 2
  MATCH path = (a)-[rs:CO_OCCURS*1..4]-(o:Feature)
  WHERE all(r IN rs WHERE r.kind = 'token' AND r.rank_source <= $top_k
    AND r.rank_target <= $top_k AND r.run = run AND r.phi > 0)
  RETURN o, min(length(path)) AS step
}
WITH whole, run, o, min(step) AS step
WHERE step <= $hops
OPTIONAL MATCH (o)-[:MEMBER_OF]->(c:Community)
WHERE c.run = run
WITH whole, step, o, c, CASE WHEN o.scored_run = run THEN o.pagerank END AS pagerank
ORDER BY coalesce(pagerank, -1.0) DESC, o.key
WITH whole, step, count(*) AS features, count(DISTINCT c) AS communities,
     collect(o.label)[..5] AS examples
ORDER BY step
WITH COUNT { (whole)<-[:FROM_RUN]-() } AS everyone,
     collect({step: step, features: features, communities: communities, examples: examples}) AS steps
UNWIND range(0, size(steps) - 1) AS i
WITH everyone, steps[i] AS here, reduce(sum = 0, s IN steps[..i + 1] | sum + s.features) AS within
RETURN
  here.step AS step, here.features AS features, within, 1.0 * within / everyone AS share,
  here.communities AS communities, here.examples AS examples
ORDER BY step
