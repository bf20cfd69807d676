// Title: Tokens of a feature
// Purpose: Tokens that a feature fires on most, or that its decoder makes more or less likely.
// Group: concepts
// Result: rows
// Parameters:
//   feature: feature -- Key of the feature.
//   relation: choice fires_on|promotes|suppresses = fires_on -- What it does with them.
//   limit: integer 1..10000 = 20 -- Most rows.
//   run: run? -- Run that found them; by default the run of the feature's numbers.
// Columns:
//   rank: integer -- Place, 1 for the first.
//   token: string -- Text of the token.
//   token_id: integer -- Its id in the model's vocabulary.
//   score: float -- For fires_on the share of the firings that are on the token times log2 of how much larger that is than the token's share of the text, in bits. Else the token's logit weight in standard deviations of the feature's.
//   n: integer -- For fires_on the positions of the token where it fires; else null.
//   run: string -- Run that found it.
// Table: rank, token, score, n
// Example:
//   :param {feature: 'smollm2-135m/blocks.18.hook_resid_pre/topk/12', relation: 'fires_on', run: null, limit: 20}
//   atlas query feature_tokens --feature 12 --relation promotes
// Phrase: What $feature does with tokens
// Graph:
//   MATCH p = (f:Feature {key: $feature})-[r:FIRES_ON|PROMOTES|SUPPRESSES]->(:Token)
//   WHERE r.run = f.run
//   RETURN p ORDER BY r.rank LIMIT 60
MATCH (f:Feature {key: $feature})-[r:FIRES_ON|PROMOTES|SUPPRESSES]->(t:Token)
WHERE toLower(type(r)) = $relation AND r.run = coalesce($run, f.run)
RETURN
  r.rank AS rank, t.text AS token, t.token_id AS token_id, r.score AS score, r.n AS n, r.run AS run
ORDER BY rank, token_id
LIMIT $limit
