// Title: Features of a token
// Purpose: Features that have a token among those that they fire on most.
// Group: concepts
// Result: features
// Parameters:
//   token: token -- Texts of the token, as the vocabulary spells them. Python and the command line take one and find its spellings.
//   by: choice score|n = score -- What to order by.
//   limit: integer 1..10000 = 20 -- Most rows.
//   run: run? -- Run that found them; by default the run of each feature's numbers.
// Columns:
//   key: string -- Key of the feature.
//   label: string -- Its label.
//   top_tokens: list -- Tokens it fires on most.
//   score: float -- Share of its firings that are on the token times log2 of how much larger that is than the token's share of the text, in bits; of several spellings the largest.
//   n: integer -- Positions of the token, in all spellings listed, where it fires.
//   share: float -- These as a share of the positions where it fires, 0 to 1; null where its numbers are of another run.
//   rank: integer -- Place of the token among those that it fires on, 1 for the first.
//   tokens: list -- The spellings that it fires on, first place first.
//   firing_rate: float -- Share of positions where it fires.
//   community: string -- Key of its community.
// Table: key, label, score, n, share, rank, tokens
// Example:
//   :param {token: [' heart', 'heart'], by: 'score', run: null, limit: 20}
//   atlas query token_features --token heart
// Phrase: Features that fire on $token
// Graph:
//   MATCH p = (f:Feature)-[r:FIRES_ON]->(t:Token) WHERE t.text IN $token AND r.run = f.run
//   RETURN p ORDER BY r.score DESC LIMIT 50
MATCH (t:Token)<-[r:FIRES_ON]-(f:Feature)
WHERE t.text IN $token AND r.run = coalesce($run, f.run)
WITH f, max(r.score) AS score, sum(r.n) AS n, collect([r.rank, t.text]) AS found
ORDER BY CASE $by WHEN 'n' THEN n ELSE score END DESC, f.key
LIMIT $limit
WITH f, score, n, COLLECT { UNWIND found AS pair RETURN pair ORDER BY pair } AS found
RETURN
  f.key AS key, f.label AS label, f.top_tokens AS top_tokens, score, n,
  CASE WHEN $run IS NULL OR f.run = $run THEN toFloat(n) / f.n END AS share,
  found[0][0] AS rank, [pair IN found | pair[1]] AS tokens,
  f.firing_rate AS firing_rate, f.community AS community
ORDER BY CASE $by WHEN 'n' THEN n ELSE score END DESC, key
