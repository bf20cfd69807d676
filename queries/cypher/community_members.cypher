// Title: Members of a community
// Purpose: The features of a community, most central first.
// Parameters:
//   community: community -- Key of the community.
//   limit: integer 1..100000 = 50 -- Most rows.
// Columns:
//   key: string -- Key of the feature.
//   label: string -- Its label.
//   top_tokens: list -- Tokens it fires on most.
//   pagerank: float -- PageRank weighted by phi.
//   degree: integer -- Edges in the backbone.
//   inside: float -- Share of its backbone strength (phi) that stays in the community.
//   stay: float -- Share of the runs in which it is in the community's core.
//   firing_rate: float -- Share of positions where it fires.
//   top_domain: string -- Domain with most of its firings.
// Table: key, label, pagerank, degree, inside, stay, top_domain
// Example:
//   :param {community: 'demo/consensus/1', limit: 50}
//   atlas query community_members --community 1 --limit 10
MATCH (c:Community {key: $community})-[:PRODUCED_BY]->(a:AlgorithmRun)
MATCH (f:Feature)-[m:MEMBER_OF]->(c)
OPTIONAL MATCH (f)-[r:CO_OCCURS {run: c.run, kind: 'token'}]-(o:Feature)
WHERE r.rank_source <= a.top_k AND r.rank_target <= a.top_k AND r.phi > 0 AND NOT o.dead
WITH f, m.stay AS stay, sum(r.phi) AS strength,
     sum(CASE WHEN EXISTS { (o)-[:MEMBER_OF]->(:Community {key: $community}) }
         THEN r.phi ELSE 0.0 END) AS within
RETURN
  f.key AS key, f.label AS label, f.top_tokens AS top_tokens, f.pagerank AS pagerank,
  f.degree AS degree, CASE WHEN strength > 0 THEN within / strength END AS inside,
  stay, f.firing_rate AS firing_rate, f.top_domain AS top_domain
ORDER BY pagerank DESC, key
LIMIT $limit
