// Title: Features that promote a token
// Purpose: Features whose decoder makes a token more likely, strongest first.
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
//   score: float -- Its logit weight in standard deviations of the feature's logit weights; of several spellings the largest.
//   rank: integer -- Place of the token among those that it promotes, 1 for the first.
//   tokens: list -- The spellings that it promotes, first place first.
//   firing_rate: float -- Share of positions where it fires.
//   community: string -- Key of its community.
// Table: key, label, score, rank, tokens
// Example:
//   :param {token: [' heart', 'heart'], run: null, limit: 20}
//   atlas query token_promoters --token heart
// Phrase: Features that promote $token
// Graph:
//   MATCH p = (f:Feature)-[r:PROMOTES]->(t:Token) WHERE t.text IN $token AND r.run = f.run
//   RETURN p ORDER BY r.score DESC LIMIT 50
MATCH (t:Token)<-[r:PROMOTES]-(f:Feature)
WHERE t.text IN $token AND r.run = coalesce($run, f.run)
WITH f, max(r.score) AS score, collect([r.rank, t.text]) AS found
ORDER BY score DESC, f.key
LIMIT $limit
WITH f, score, COLLECT { UNWIND found AS pair RETURN pair ORDER BY pair } AS found
RETURN
  f.key AS key, f.label AS label, f.top_tokens AS top_tokens, score, found[0][0] AS rank,
  [pair IN found | pair[1]] AS tokens, f.firing_rate AS firing_rate, f.community AS community
ORDER BY score DESC, key
