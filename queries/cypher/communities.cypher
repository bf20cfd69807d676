// Title: Communities
// Purpose: Communities of features, largest first, labelled by what their members fire on.
// Group: communities
// Result: communities
// Parameters:
//   limit: integer 1..10000 = 50 -- Most rows.
//   min_size: integer 1..1000000 = 3 -- Smallest size.
//   run: run? -- Only communities of this run.
// Columns:
//   key: string -- Key of the community, {run}/{algorithm}/{number}.
//   number: integer -- Number within the run, 1 for the largest.
//   label: string -- Label.
//   size: integer -- Members.
//   top_tokens: list -- Tokens that members fire on, best first.
//   token_shares: list -- Share of the members that fire on each of these tokens.
//   top_words: list -- Context words shared by most members.
//   promoted: list -- Tokens promoted by most members.
//   stability: float -- Mean Jaccard with its best match in halves of the documents.
//   stable: boolean -- Whether that is 0.75 or more; null for one run of Leiden.
//   between_halves: float -- Adjusted Rand of all communities between halves of the documents.
//   modularity: float -- Of the whole partition, weighted by phi.
//   run: string -- Run.
// Table: number, label, size, stability, stable, top_words, promoted, run
// Example:
//   :param {min_size: 3, run: null, limit: 50}
//   atlas query communities --limit 10
// Phrase: Communities
// Graph:
//   MATCH (c:Community) RETURN c ORDER BY c.size DESC LIMIT 100
MATCH (c:Community)-[:PRODUCED_BY]->(a:AlgorithmRun)
WHERE c.size >= $min_size AND ($run IS NULL OR c.run = $run)
RETURN
  c.key AS key, c.number AS number, c.label AS label, c.size AS size,
  c.top_tokens AS top_tokens, c.token_shares AS token_shares, c.top_words AS top_words,
  c.promoted AS promoted, c.stability AS stability, c.stable AS stable,
  a.between_halves_ari AS between_halves, a.modularity AS modularity, c.run AS run
ORDER BY size DESC, run, number
LIMIT $limit
