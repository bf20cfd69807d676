// Title: In common
// Purpose: What two features share: community, concepts, tokens they fire on, tokens they promote
//   and token neighbours, each sort by the weaker of its two scores.
// Group: relations
// Result: rows
// Parameters:
//   a: feature -- Key of one feature.
//   b: feature -- Key of the other.
//   limit: integer 1..10000 = 50 -- Most rows; the sorts follow each other in the order above.
//   run: run? -- Run to read; by default of each feature the run of its numbers.
// Columns:
//   kind: string -- community, concept, fires_on, promotes or neighbour.
//   key: string -- Key of what they share.
//   name: string -- Its label, name or text.
//   score_a: float -- Of a: share of runs in the community's core; effect, -1 to 1; score of the token; logit weight in standard deviations; phi.
//   score_b: float -- The same of b.
//   weaker: float -- The smaller of the two.
//   run: string -- Run that the score of a is of.
// Table: kind, name, score_a, score_b
// Example:
//   :param {a: 'smollm2-135m/blocks.18.hook_resid_pre/topk/12', b: 'smollm2-135m/blocks.18.hook_resid_pre/topk/40', run: null, limit: 50}
//   atlas query in_common --a 12 --b 40
// Phrase: What $a and $b have in common
// Graph:
//   MATCH p = (a:Feature {key: $a})-[r:MEMBER_OF|ABOUT|FIRES_ON|PROMOTES]->()
//         <-[q:MEMBER_OF|ABOUT|FIRES_ON|PROMOTES]-(:Feature {key: $b})
//   WHERE type(r) = type(q)
//   RETURN p LIMIT 50
MATCH (a:Feature {key: $a})
MATCH (b:Feature {key: $b})
WITH a, b, coalesce($run, a.run) AS run_a, coalesce($run, b.run) AS run_b
CALL (a, b, run_a, run_b) {
  MATCH (a)-[p:MEMBER_OF]->(x:Community)<-[q:MEMBER_OF]-(b)
  WHERE x.run = run_a
  RETURN 1 AS place, 'community' AS kind, x, x.label AS name, p.stay AS score_a, q.stay AS score_b
UNION ALL
  MATCH (a)-[p:ABOUT]->(x:Concept)<-[q:ABOUT]-(b)
  WHERE p.run = run_a AND q.run = run_b
  RETURN 2 AS place, 'concept' AS kind, x, x.name AS name,
         p.effect AS score_a, q.effect AS score_b
UNION ALL
  MATCH (a)-[p:FIRES_ON]->(x:Token)<-[q:FIRES_ON]-(b)
  USING JOIN ON x
  WHERE p.run = run_a AND q.run = run_b
  RETURN 3 AS place, 'fires_on' AS kind, x, x.text AS name, p.score AS score_a, q.score AS score_b
UNION ALL
  MATCH (a)-[p:PROMOTES]->(x:Token)<-[q:PROMOTES]-(b)
  USING JOIN ON x
  WHERE p.run = run_a AND q.run = run_b
  RETURN 4 AS place, 'promotes' AS kind, x, x.text AS name, p.score AS score_a, q.score AS score_b
UNION ALL
  MATCH (a)-[p:CO_OCCURS {kind: 'token'}]-(x)-[q:CO_OCCURS {kind: 'token'}]-(b)
  USING JOIN ON x
  WHERE p.run = run_a AND q.run = run_b
  WITH x, p, q, CASE WHEN p.phi < q.phi THEN p.phi ELSE q.phi END AS least
  ORDER BY coalesce(least, -2.0) DESC, x.index
  LIMIT $limit
  RETURN 5 AS place, 'neighbour' AS kind, x, x.label AS name, p.phi AS score_a, q.phi AS score_b
}
WITH place, kind, x, name, score_a, score_b, run_a,
     CASE WHEN score_a < score_b THEN score_a ELSE score_b END AS weaker
RETURN kind, x.key AS key, name, score_a, score_b, weaker, run_a AS run
ORDER BY place, coalesce(weaker, -2.0) DESC, key
LIMIT $limit
