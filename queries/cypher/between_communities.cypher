// Title: Where two communities meet
// Purpose: The token edges between the members of two communities, strongest first; given one
//   community twice, the edges inside it.
// Group: communities
// Result: rows
// Parameters:
//   a: community -- Key of one community.
//   b: community -- Key of the other.
//   limit: integer 1..10000 = 20 -- Most rows.
//   top_k: integer? 0..100000 -- Edges among the strongest this many of both ends; 0: all. By default those that the communities were made from.
// Columns:
//   a_key: string -- Key of the feature in community a.
//   a_label: string -- Its label.
//   b_key: string -- Key of the feature in community b.
//   b_label: string -- Its label.
//   phi: float -- Correlation of the two firings, 0 to 1.
//   n: integer -- Positions where both fire.
//   npmi: float -- Normalised pointwise mutual information, -1 to 1.
//   lift: float -- Joint firings divided by those expected by chance.
//   p_b_given_a: float -- Share of the firings of the feature in a where that in b fires, 0 to 1.
//   p_a_given_b: float -- Share of the firings of the feature in b where that in a fires, 0 to 1.
//   mutual: boolean -- Kept among the strongest edges of both.
//   run: string -- Run that the edge is of.
// Table: a_key, a_label, b_key, b_label, phi, n
// Example:
//   :param {a: 'demo/consensus/1', b: 'demo/consensus/2', limit: 20, top_k: null}
//   atlas query between_communities --a 1 --b 2
// Phrase: Where community $a meets $b
// Graph:
//   MATCH p = (a:Community {key: $a})<-[:MEMBER_OF]-(:Feature)-[r:CO_OCCURS {kind: 'token'}]-(:Feature)-[:MEMBER_OF]->(:Community {key: $b})
//   WHERE r.run = a.run
//   RETURN p ORDER BY r.phi DESC LIMIT 50
MATCH (a:Community {key: $a})-[:PRODUCED_BY]->(made:AlgorithmRun)
MATCH (b:Community {key: $b})
WITH a, b, coalesce(nullIf(coalesce($top_k, made.top_k), 0), 2147483647) AS top
MATCH (a)<-[:MEMBER_OF]-(f:Feature)-[r:CO_OCCURS {run: a.run, kind: 'token'}]-(g:Feature)
WHERE (a <> b OR startNode(r) = f)
  AND r.rank_source <= top AND r.rank_target <= top AND r.phi > 0
  AND EXISTS { (g)-[:MEMBER_OF]->(b) }
WITH f, g, r, r.phi AS phi
ORDER BY phi DESC, f.key, g.key
LIMIT $limit
RETURN
  f.key AS a_key, f.label AS a_label, g.key AS b_key, g.label AS b_label,
  phi, r.n AS n, r.npmi AS npmi, r.lift AS lift,
  CASE WHEN startNode(r) = f THEN r.p_target_given_source ELSE r.p_source_given_target END
    AS p_b_given_a,
  CASE WHEN startNode(r) = f THEN r.p_source_given_target ELSE r.p_target_given_source END
    AS p_a_given_b,
  r.mutual AS mutual, r.run AS run
ORDER BY phi DESC, a_key, b_key
