// Title: Community card
// Purpose: Everything about one community: what its members fire on, promote and are about, how
//   tightly they hang together, how stable it is, and what made it.
// Group: communities
// Result: community
// Parameters:
//   community: community -- Key of the community.
//   items: integer 0..100 = 10 -- Domains and concepts to show.
//   top_k: integer? 0..100000 -- Count edges among the strongest this many of both ends; 0: all. By default those that the communities were made from.
// Columns:
//   key: string -- Key of the community, {run}/{algorithm}/{number}.
//   number: integer -- Number within the run, 1 for the largest.
//   label: string -- Label.
//   label_source: string -- What the label was made from.
//   size: integer -- Members.
//   stability: float -- Mean Jaccard with its best match in halves of the documents, 0 to 1; null where nobody looked.
//   stable: boolean -- Whether that is 0.75 or more.
//   tokens: list -- Tokens that members fire on: token, share (of the members, 0 to 1).
//   words: list -- Context words shared by most members.
//   promoted: list -- Tokens promoted by most members.
//   domains: list -- Most distinctive domains of the members: domain, members.
//   concepts: list -- Concepts that most members are about: key, name, kind, members, auc (mean, 0 to 1).
//   edges: integer -- Token edges between members.
//   density: float -- These as a share of all pairs of members, 0 to 1.
//   mean_phi: float -- Mean phi of these edges, 0 to 1.
//   inside: float -- Share of the members' strength (phi) that stays in the community, 0 to 1.
//   neighbours: integer -- Other communities that an edge leads to.
//   run: string -- Run.
//   algorithm: map -- What made it: key, algorithm, engine, top_k, seed, modularity, parameters (JSON), created.
// Example:
//   :param {community: 'demo/consensus/1', items: 10, top_k: null}
//   atlas query community --community 1
// Phrase: Community $community
// Graph:
//   MATCH p = (c:Community {key: $community})<-[:MEMBER_OF]-(f:Feature)
//   OPTIONAL MATCH q = (f)-[r:CO_OCCURS {run: c.run, kind: 'token', mutual: true}]->(:Feature)-[:MEMBER_OF]->(c)
//   RETURN p, q ORDER BY coalesce(f.pagerank, -1.0) DESC, f.key LIMIT 300
MATCH (c:Community {key: $community})-[:PRODUCED_BY]->(a:AlgorithmRun)
WITH c, a, coalesce(nullIf(coalesce($top_k, a.top_k), 0), 2147483647) AS top
CALL (c, top) {
  MATCH (c)<-[:MEMBER_OF]-(:Feature)-[r:CO_OCCURS {run: c.run, kind: 'token'}]-(o:Feature)
  WHERE r.rank_source <= top AND r.rank_target <= top AND r.phi > 0
  OPTIONAL MATCH (o)-[:MEMBER_OF]->(d:Community {run: c.run})
  // An edge between members is met from both of its ends.
  RETURN sum(CASE WHEN d = c THEN 1 ELSE 0 END) / 2 AS edges,
         sum(CASE WHEN d = c THEN r.phi ELSE 0.0 END) AS within, sum(r.phi) AS strength,
         count(DISTINCT CASE WHEN d <> c THEN d END) AS neighbours
}
RETURN
  c.key AS key, c.number AS number, c.label AS label, c.label_source AS label_source,
  c.size AS size, c.stability AS stability, c.stable AS stable,
  [i IN range(0, size(c.top_tokens) - 1) | {token: c.top_tokens[i], share: c.token_shares[i]}]
    AS tokens,
  c.top_words AS words, c.promoted AS promoted,
  COLLECT {
    MATCH (c)<-[:MEMBER_OF]-(f:Feature)
    WHERE f.top_domain IS NOT NULL
    WITH f.top_domain AS domain, count(*) AS members
    RETURN {domain: domain, members: members} ORDER BY members DESC, domain LIMIT $items
  } AS domains,
  COLLECT {
    MATCH (c)<-[:MEMBER_OF]-(:Feature)-[r:ABOUT {run: c.run}]->(k:Concept)
    WITH k, count(*) AS members, avg(r.auc) AS auc
    ORDER BY members DESC, auc DESC, k.key LIMIT $items
    RETURN {key: k.key, name: k.name, kind: k.kind, members: members, auc: auc}
  } AS concepts,
  edges,
  CASE WHEN c.size > 1 THEN 2.0 * edges / (c.size * (c.size - 1)) END AS density,
  CASE WHEN edges > 0 THEN within / (2 * edges) END AS mean_phi,
  CASE WHEN strength > 0 THEN within / strength END AS inside,
  neighbours, c.run AS run,
  a {.key, .algorithm, .engine, .top_k, .seed, .modularity, .parameters, .created} AS algorithm
