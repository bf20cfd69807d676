// Title: Features that say what they read
// Purpose: Features that make more likely the very tokens that they fire on, those with most such
//   tokens first; reads all links from features to tokens.
// Group: concepts
// Result: features
// Parameters:
//   min_shared: integer 1..1000 = 1 -- Fewest such tokens.
//   limit: integer 1..10000 = 20 -- Most rows.
//   run: run? -- Run that found them; by default the run of each feature's numbers.
// Columns:
//   key: string -- Key of the feature.
//   label: string -- Its label.
//   shared: integer -- Tokens that it both fires on and promotes.
//   tokens: list -- These tokens, the most promoted first.
//   score: float -- Largest of their logit weights, in standard deviations of the feature's.
//   n: integer -- Positions of these tokens where it fires.
//   firing_rate: float -- Share of positions where it fires.
//   community: string -- Key of its community.
// Table: key, label, shared, tokens, score, n
// Example:
//   :param {min_shared: 1, run: null, limit: 20}
//   atlas query says_and_reads --min-shared 3
// Phrase: Features that say what they read
// Graph:
//   MATCH p = (f:Feature)-[r:PROMOTES]->(t:Token)<-[o:FIRES_ON]-(f)
//   WHERE r.run = f.run AND o.run = f.run
//   RETURN p ORDER BY r.score DESC LIMIT 50
MATCH (f:Feature)
CALL (f) {
  MATCH (f)-[o:FIRES_ON]->(t:Token)
  WHERE o.run = coalesce($run, f.run)
  WITH collect(t) AS read, collect(o.n) AS ns
  MATCH (f)-[r:PROMOTES]->(t:Token)
  WHERE r.run = coalesce($run, f.run) AND t IN read
  RETURN count(t) AS shared, max(r.score) AS score,
    collect([-r.score, t, ns[[i IN range(0, size(read) - 1) WHERE read[i] = t][0]]]) AS found
}
WITH f, shared, score, found
WHERE shared >= $min_shared
WITH f, shared, score, found
ORDER BY shared DESC, score DESC, f.key
LIMIT $limit
RETURN
  f.key AS key, f.label AS label, shared,
  COLLECT {
    UNWIND found AS hit
    WITH hit[0] AS place, hit[1].text AS token
    RETURN token ORDER BY place, token
  } AS tokens,
  score, reduce(n = 0, hit IN found | n + hit[2]) AS n, f.firing_rate AS firing_rate,
  f.community AS community
ORDER BY shared DESC, score DESC, key
