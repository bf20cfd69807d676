// Title: Tokens of a community
// Purpose: Tokens that the members of a community fire on, promote or suppress, those of most
//   members first.
// Group: communities
// Result: rows
// Parameters:
//   community: community -- Key of the community.
//   limit: integer 1..10000 = 20 -- Most rows.
//   relation: choice fires_on|promotes|suppresses = fires_on -- What the members do with the token.
// Columns:
//   token: string -- Text of the token.
//   key: string -- Key of the token.
//   members: integer -- Members with it among their strongest tokens.
//   share: float -- These as a share of the members, 0 to 1.
//   mean_score: float -- Mean over them: the share of firings that are on it times the log2 of its lift; of promotes and suppresses the standardised logit weight.
//   best: string -- Key of the member whose score is furthest from 0.
//   best_label: string -- Its label.
//   best_score: float -- That score.
//   n: integer -- Firings of these members on it; null for logit weights.
// Table: token, members, share, mean_score, best_label, n
// Example:
//   :param {community: 'demo/consensus/1', relation: 'fires_on', limit: 20}
//   atlas query community_tokens --community 1 --relation promotes
// Phrase: Tokens that community $community $relation
// Graph:
//   MATCH p = (c:Community {key: $community})<-[:MEMBER_OF]-(:Feature)-[r:FIRES_ON|PROMOTES|SUPPRESSES]->(:Token)
//   WHERE type(r) = toUpper($relation) AND r.run = c.run
//   RETURN p ORDER BY r.rank LIMIT 100
MATCH (c:Community {key: $community})<-[:MEMBER_OF]-(f:Feature)
MATCH (f)-[r:FIRES_ON|PROMOTES|SUPPRESSES]->(t:Token)
WHERE type(r) = toUpper($relation) AND r.run = c.run
WITH c, t, f, r.score AS score, r.n AS n
ORDER BY abs(score) DESC, f.key
WITH c, t, count(*) AS members, avg(score) AS mean_score, head(collect(score)) AS best_score,
     head(collect(f)) AS best, CASE WHEN $relation = 'fires_on' THEN sum(n) END AS n
ORDER BY members DESC, abs(mean_score) DESC, t.key
LIMIT $limit
RETURN
  t.text AS token, t.key AS key, members, 1.0 * members / c.size AS share, mean_score,
  best.key AS best, best.label AS best_label, best_score, n
ORDER BY members DESC, abs(mean_score) DESC, key
