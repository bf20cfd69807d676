// Title: Search in tokens
// Purpose: Tokens that have some words, most relevant first, with the number of features that
//   fire on them, promote them or suppress them.
// Group: search
// Result: rows
// Parameters:
//   text: fulltext -- Words to look for. Python and the command line take any text; by hand it is a Lucene query.
//   limit: integer 1..10000 = 20 -- Most rows.
//   run: run? -- Only count features of this run; by default by the run of each feature's numbers.
// Columns:
//   token: string -- Text of the token, with its spaces.
//   token_id: integer -- Its id in the model's vocabulary.
//   model: string -- Key of the model.
//   score: float -- Relevance relative to the most relevant of all, 0 to 1.
//   fires_on: integer -- Features that fire on it among their first tokens.
//   promotes: integer -- Features that promote it among their first tokens.
//   suppresses: integer -- Features that suppress it among their first tokens.
// Table: token, token_id, fires_on, promotes, suppresses
// Example:
//   :param {text: 'heart', run: null, limit: 20}
//   atlas query search_tokens --text heart
// Phrase: Tokens with $text
// Graph:
//   CALL db.index.fulltext.queryNodes('token_text', $text, {limit: 20}) YIELD node
//   OPTIONAL MATCH p = (node)<-[:FIRES_ON|PROMOTES]-(:Feature)
//   RETURN node, p LIMIT 100
CALL db.index.fulltext.queryNodes('token_text', $text, {limit: $limit + 50}) YIELD node, score
WITH collect([node, score]) AS hits
UNWIND hits AS hit
WITH hit[0] AS t, hit[1] / hits[0][1] AS score
ORDER BY score DESC, t.text, t.key
LIMIT $limit
RETURN
  t.text AS token, t.token_id AS token_id,
  left(t.key, size(t.key) - size(toString(t.token_id)) - 1) AS model, score,
  COUNT { (t)<-[r:FIRES_ON]-(f:Feature) WHERE r.run = coalesce($run, f.run) } AS fires_on,
  COUNT { (t)<-[r:PROMOTES]-(f:Feature) WHERE r.run = coalesce($run, f.run) } AS promotes,
  COUNT { (t)<-[r:SUPPRESSES]-(f:Feature) WHERE r.run = coalesce($run, f.run) } AS suppresses
ORDER BY score DESC, token, t.key
