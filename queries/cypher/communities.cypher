// Title: Communities
// Purpose: Communities of features, largest first, labelled by what their members fire on.
// Parameters:
//   limit: integer 1..10000 = 50 -- Most rows.
//   min_size: integer 1..1000000 = 3 -- Smallest size.
//   run: run? -- Only communities of this run.
// Columns:
//   key: string -- Key of the community, {run}/leiden/{number}.
//   number: integer -- Number within the run, 1 for the largest.
//   label: string -- Label.
//   size: integer -- Members.
//   top_tokens: list -- Tokens that members fire on, best first.
//   token_shares: list -- Share of the members that fire on each of these tokens.
//   top_words: list -- Context words shared by most members.
//   promoted: list -- Tokens promoted by most members.
//   modularity: float -- Of the whole partition, weighted by phi.
//   run: string -- Run.
// Table: number, label, size, top_words, promoted, modularity, run
// Example:
//   :param {min_size: 3, run: null, limit: 50}
//   atlas query communities --limit 10
MATCH (c:Community)-[:PRODUCED_BY]->(a:AlgorithmRun)
WHERE c.size >= $min_size AND ($run IS NULL OR c.run = $run)
RETURN
  c.key AS key, c.number AS number, c.label AS label, c.size AS size,
  c.top_tokens AS top_tokens, c.token_shares AS token_shares, c.top_words AS top_words,
  c.promoted AS promoted, a.modularity AS modularity, c.run AS run
ORDER BY size DESC, run, number
LIMIT $limit
