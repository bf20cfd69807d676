// Title: Members of a community
// Purpose: The features of a community, most central first.
// Group: communities
// Result: features
// Parameters:
//   community: community -- Key of the community.
//   limit: integer 1..100000 = 50 -- Most rows.
// Columns:
//   key: string -- Key of the feature.
//   label: string -- Its label.
//   top_tokens: list -- Tokens it fires on most.
//   pagerank: float -- PageRank weighted by phi; null where the scores are of another run.
//   degree: integer -- Edges in the backbone; null where the scores are of another run.
//   inside: float -- Share of its strength (phi) that stays in the community, 0 to 1, over the edges that the communities were made from.
//   stay: float -- Share of the runs in which it is in the community's core.
//   firing_rate: float -- Share of positions where it fires.
//   top_domain: string -- Most distinctive domain of the documents in which it fires.
// Table: key, label, pagerank, degree, inside, stay, top_domain
// Example:
//   :param {community: 'demo/consensus/1', limit: 50}
//   atlas query community_members --community 1 --limit 10
// Phrase: Members of community $community
// Graph:
//   MATCH p = (f:Feature)-[:MEMBER_OF]->(:Community {key: $community})
//   RETURN p ORDER BY coalesce(f.pagerank, -1.0) DESC, f.key LIMIT 100
MATCH (c:Community {key: $community})-[:PRODUCED_BY]->(a:AlgorithmRun)
MATCH (f:Feature)-[m:MEMBER_OF]->(c)
WITH c, coalesce(nullIf(a.top_k, 0), 2147483647) AS top, f, m,
     // Scores of another run say nothing of this community.
     CASE WHEN f.scored_run = c.run THEN f.pagerank END AS pagerank,
     CASE WHEN f.scored_run = c.run THEN f.degree END AS degree
ORDER BY coalesce(pagerank, -1.0) DESC, f.key
LIMIT $limit
CALL (c, top, f) {
  MATCH (f)-[r:CO_OCCURS {run: c.run, kind: 'token'}]-(o:Feature)
  WHERE r.rank_source <= top AND r.rank_target <= top AND r.phi > 0
  RETURN sum(r.phi) AS strength,
         sum(CASE WHEN EXISTS { (o)-[:MEMBER_OF]->(c) } THEN r.phi ELSE 0.0 END) AS within
}
RETURN
  f.key AS key, f.label AS label, f.top_tokens AS top_tokens, pagerank, degree,
  CASE WHEN strength > 0 THEN within / strength END AS inside,
  m.stay AS stay, f.firing_rate AS firing_rate, f.top_domain AS top_domain
ORDER BY coalesce(pagerank, -1.0) DESC, key
