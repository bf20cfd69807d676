// Title: Bridges
// Purpose: Features whose backbone edges reach several communities, by the participation
//   coefficient (Guimera and Amaral 2005). Of a run it reads all edges, of a community its own.
// Group: communities
// Result: features
// Parameters:
//   community: community? -- Only members of this community; by default all features of the run.
//   limit: integer 1..10000 = 20 -- Most rows.
//   min_degree: integer 1..10000 = 5 -- Fewest backbone neighbours that are in a community.
//   dense: boolean = true -- Also features that fire on more than a tenth of the positions.
//   run: run? -- Only this run; by default all runs.
// Columns:
//   key: string -- Key of the feature.
//   label: string -- Its label.
//   top_tokens: list -- Tokens it fires on most.
//   participation: float -- 1 - sum of squared shares of its strength (phi) by community; 0 for one community, towards 1 for many.
//   communities: integer -- Communities that its backbone edges reach.
//   degree: integer -- Backbone neighbours that are in a community.
//   strength: float -- Sum of phi over the edges to them.
//   assigned: float -- Share of its whole backbone strength that these are.
//   shares: list -- The communities reached, most first: community, label, share.
//   community: string -- Key of its own community, if it has one.
//   run: string -- Run whose communities these are.
// Table: key, label, participation, communities, degree, assigned
// Example:
//   :param {community: null, min_degree: 5, dense: true, run: null, limit: 20}
//   atlas query bridges --community 1 --limit 10
// Phrase: Bridges of community $community
// Graph:
//   MATCH (c:Community {key: $community})<-[:MEMBER_OF]-(f:Feature)
//         -[r:CO_OCCURS {kind: 'token', run: c.run}]-(o:Feature)-[m:MEMBER_OF]->(x:Community)
//   WHERE x <> c AND x.run = c.run AND r.mutual
//   RETURN f, r, o, m, x ORDER BY r.phi DESC LIMIT 100
CALL () {
  MATCH (c:Community {key: $community})-[:PRODUCED_BY]->(found:AlgorithmRun)
  WHERE $run IS NULL OR c.run = $run
  MATCH (f:Feature)-[:MEMBER_OF]->(c)
  MATCH (f)-[r:CO_OCCURS]-(o:Feature)
  WHERE r.rank_source <= found.top_k AND r.rank_target <= found.top_k
    AND r.kind = 'token' AND r.run = found.run AND r.phi > 0
  RETURN found, f, o, r.phi AS phi
UNION ALL
  WITH $community AS only WHERE only IS NULL
  MATCH (:Community)-[:PRODUCED_BY]->(found:AlgorithmRun)
  WHERE $run IS NULL OR found.run = $run
  WITH DISTINCT found
  MATCH (a:Feature)-[r:CO_OCCURS]->(b:Feature)
  WHERE r.rank_source <= found.top_k AND r.rank_target <= found.top_k
    AND r.kind = 'token' AND r.run = found.run AND r.phi > 0
  UNWIND [[a, b], [b, a]] AS ends
  RETURN found, ends[0] AS f, ends[1] AS o, r.phi AS phi
}
WITH found, f, o, phi WHERE NOT o.dead AND ($dense OR NOT f.dense)
WITH found, o, collect({of: f, phi: phi}) AS links
OPTIONAL MATCH (o)-[m:MEMBER_OF]->(reached:Community) WHERE m.algorithm_run = found.key
UNWIND links AS link
WITH found, link.of AS f, reached, sum(link.phi) AS part, count(*) AS neighbours
WITH found, f, sum(part) AS whole,
     collect(CASE WHEN reached IS NOT NULL THEN {to: reached, part: part} END) AS parts,
     sum(CASE WHEN reached IS NULL THEN 0 ELSE neighbours END) AS degree,
     sum(CASE WHEN reached IS NULL THEN 0.0 ELSE part END) AS strength,
     sum(CASE WHEN reached IS NULL THEN 0.0 ELSE part * part END) AS squares
WHERE degree >= $min_degree
WITH found, f, whole, parts, degree, strength, 1 - squares / (strength * strength) AS participation
ORDER BY participation DESC, f.key, found.key
LIMIT $limit
RETURN
  f.key AS key, f.label AS label, f.top_tokens AS top_tokens, participation,
  size(parts) AS communities, degree, strength, strength / whole AS assigned,
  COLLECT {
    UNWIND parts AS x
    RETURN {community: x.to.key, label: x.to.label, share: x.part / strength}
    ORDER BY x.part DESC, x.to.key
  } AS shares,
  head(COLLECT {
    MATCH (f)-[m:MEMBER_OF]->(c:Community) WHERE m.algorithm_run = found.key RETURN c.key
  }) AS community,
  found.run AS run
ORDER BY participation DESC, key, found.key
