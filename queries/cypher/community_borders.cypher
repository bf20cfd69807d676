// Title: Borders of a community
// Purpose: Members of a community with the largest share of their strength outside it, and the
//   community that most of that goes to.
// Group: communities
// Result: features
// Parameters:
//   community: community -- Key of the community.
//   limit: integer 1..10000 = 20 -- Most rows.
//   top_k: integer? 0..100000 -- Edges among the strongest this many of both ends; 0: all. By default those that the communities were made from.
// Columns:
//   key: string -- Key of the member.
//   label: string -- Its label.
//   top_tokens: list -- Tokens it fires on most.
//   outside: float -- Share of its strength (phi) that leaves the community, 0 to 1.
//   edges_out: integer -- Edges that leave it.
//   edges: integer -- All its edges.
//   strength: float -- Sum of phi over them.
//   stay: float -- Share of the runs in which it is in the community's core, 0 to 1; null where nobody looked.
//   towards: string -- Key of the community that most of the rest goes to; null where that is none.
//   towards_label: string -- Its label.
//   towards_share: float -- Share of the member's strength that goes there, 0 to 1.
// Table: key, label, outside, edges_out, edges, towards_label, towards_share
// Example:
//   :param {community: 'demo/consensus/1', limit: 20, top_k: null}
//   atlas query community_borders --community 1
// Phrase: Borders of community $community
// Graph:
//   MATCH p = (c:Community {key: $community})<-[:MEMBER_OF]-(:Feature)-[r:CO_OCCURS {kind: 'token', mutual: true}]-(o:Feature)
//   WHERE r.run = c.run AND NOT EXISTS { (o)-[:MEMBER_OF]->(c) }
//   RETURN p ORDER BY r.phi DESC LIMIT 100
MATCH (c:Community {key: $community})-[:PRODUCED_BY]->(a:AlgorithmRun)
WITH c, coalesce(nullIf(coalesce($top_k, a.top_k), 0), 2147483647) AS top
MATCH (c)<-[m:MEMBER_OF]-(f:Feature)-[r:CO_OCCURS {run: c.run, kind: 'token'}]-(o:Feature)
WHERE r.rank_source <= top AND r.rank_target <= top AND r.phi > 0
OPTIONAL MATCH (o)-[:MEMBER_OF]->(d:Community {run: c.run})
WITH c, f, m, d, count(*) AS edges, sum(r.phi) AS phi
ORDER BY phi DESC, d.key
WITH f, m, sum(edges) AS edges, sum(phi) AS strength,
     sum(CASE WHEN d = c THEN 0 ELSE edges END) AS edges_out,
     sum(CASE WHEN d = c THEN 0.0 ELSE phi END) AS out,
     head(collect(CASE WHEN d <> c THEN {d: d, phi: phi} END)) AS most
WITH f, m, edges, strength, edges_out, out / strength AS outside, most
WHERE edges_out > 0
ORDER BY outside DESC, f.key
LIMIT $limit
WITH f, m, edges, strength, edges_out, outside, most, most.d AS d
RETURN
  f.key AS key, f.label AS label, f.top_tokens AS top_tokens, outside, edges_out, edges,
  strength, m.stay AS stay, d.key AS towards, d.label AS towards_label,
  most.phi / strength AS towards_share
ORDER BY outside DESC, key
