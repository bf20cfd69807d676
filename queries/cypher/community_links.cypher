// Title: Communities joined to a community
// Purpose: Communities that token edges lead to from a community, by the summed phi of these
//   edges, each with its strongest pair of features.
// Group: communities
// Result: communities
// Parameters:
//   community: community -- Key of the community.
//   limit: integer 1..10000 = 20 -- Most rows.
//   top_k: integer? 0..100000 -- Count edges among the strongest this many of both ends; 0: all. By default those that the communities were made from.
// Columns:
//   key: string -- Key of the other community.
//   number: integer -- Its number within the run.
//   label: string -- Its label.
//   size: integer -- Its members.
//   edges: integer -- Token edges between the two.
//   phi: float -- Sum of their phi.
//   mean_phi: float -- Mean of their phi, 0 to 1.
//   share: float -- Share of this community's strength (phi) that goes there, 0 to 1.
//   strongest: float -- Largest phi of these edges.
//   feature: string -- Key of this community's feature of that edge.
//   feature_label: string -- Its label.
//   other: string -- Key of the other community's feature of that edge.
//   other_label: string -- Its label.
// Table: number, label, size, edges, phi, share, feature_label, other_label
// Example:
//   :param {community: 'demo/consensus/1', limit: 20, top_k: null}
//   atlas query community_links --community 1
// Phrase: Communities joined to community $community
// Graph:
//   MATCH p = (c:Community {key: $community})<-[:MEMBER_OF]-(:Feature)-[r:CO_OCCURS {kind: 'token', mutual: true}]-(:Feature)-[:MEMBER_OF]->(d:Community)
//   WHERE c <> d AND d.run = c.run AND r.run = c.run
//   RETURN p ORDER BY r.phi DESC LIMIT 100
MATCH (c:Community {key: $community})-[:PRODUCED_BY]->(a:AlgorithmRun)
WITH c, coalesce(nullIf(coalesce($top_k, a.top_k), 0), 2147483647) AS top
MATCH (c)<-[:MEMBER_OF]-(f:Feature)-[r:CO_OCCURS {run: c.run, kind: 'token'}]-(o:Feature)
WHERE r.rank_source <= top AND r.rank_target <= top AND r.phi > 0
OPTIONAL MATCH (o)-[:MEMBER_OF]->(d:Community {run: c.run})
WITH c, f, o, d, r.phi AS phi
ORDER BY phi DESC, f.key, o.key
WITH c, d, count(*) AS edges, sum(phi) AS phi, max(phi) AS strongest,
     head(collect([f, o])) AS pair
WITH c, collect({d: d, edges: edges, phi: phi, strongest: strongest, pair: pair}) AS links,
     sum(phi) AS strength
UNWIND links AS link
WITH c, link, link.d AS d, strength
WHERE d <> c
RETURN
  d.key AS key, d.number AS number, d.label AS label, d.size AS size,
  link.edges AS edges, link.phi AS phi, link.phi / link.edges AS mean_phi,
  link.phi / strength AS share, link.strongest AS strongest,
  link.pair[0].key AS feature, link.pair[0].label AS feature_label,
  link.pair[1].key AS other, link.pair[1].label AS other_label
ORDER BY phi DESC, key
LIMIT $limit
