// Title: Features that suppress a token
// Purpose: Features whose decoder makes a token less likely, strongest first.
// Group: concepts
// Result: features
// Parameters:
//   token: token -- Texts of the token, as the vocabulary spells them. Python and the command line take one and find its spellings.
//   limit: integer 1..10000 = 20 -- Most rows.
//   run: run? -- Run that found them; by default the run of each feature's numbers.
// Columns:
//   key: string -- Key of the feature.
//   label: string -- Its label.
//   top_tokens: list -- Tokens it fires on most.
//   score: float -- Its logit weight in standard deviations of the feature's logit weights, below 0; of several spellings the smallest.
//   rank: integer -- Place of the token among those that it suppresses, 1 for the first.
//   tokens: list -- The spellings that it suppresses, first place first.
//   firing_rate: float -- Share of positions where it fires.
//   community: string -- Key of its community.
// Table: key, label, score, rank, tokens
// Example:
//   :param {token: [' heart', 'heart'], run: null, limit: 20}
//   atlas query token_suppressors --token heart
// Phrase: Features that suppress $token
// Graph:
//   MATCH p = (f:Feature)-[r:SUPPRESSES]->(t:Token) WHERE t.text IN $token AND r.run = f.run
//   RETURN p ORDER BY r.score LIMIT 50
MATCH (t:Token)<-[r:SUPPRESSES]-(f:Feature)
WHERE t.text IN $token AND r.run = coalesce($run, f.run)
WITH f, min(r.score) AS score, collect([r.rank, t.text]) AS found
ORDER BY score, f.key
LIMIT $limit
WITH f, score, COLLECT { UNWIND found AS pair RETURN pair ORDER BY pair } AS found
RETURN
  f.key AS key, f.label AS label, f.top_tokens AS top_tokens, score, found[0][0] AS rank,
  [pair IN found | pair[1]] AS tokens, f.firing_rate AS firing_rate, f.community AS community
ORDER BY score, key
