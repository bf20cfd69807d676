// Title: Search
// Purpose: Features by words: in their label and context words, in tokens they fire on, or in
//   the contexts where they fire most.
// Parameters:
//   text: fulltext -- Words to look for. Python and the command line take any text; by hand it is a Lucene query.
//   where: choice any|label|token|context = any -- Where to look.
//   limit: integer 1..10000 = 20 -- Most rows.
//   run: run? -- Only features that this run has.
// Columns:
//   key: string -- Key of the feature.
//   label: string -- Its label.
//   top_tokens: list -- Tokens it fires on most.
//   score: float -- Relevance, 0 to 1: the best of the three relative to the best hit there.
//   matched: list -- Where it was found: label, token, context.
//   excerpt: string -- The text of the best hit.
//   firing_rate: float -- Share of positions where it fires.
//   community: string -- Key of its community.
// Table: key, label, score, matched, excerpt
// Example:
//   :param {text: 'heart attack', where: 'any', run: null, limit: 20}
//   atlas query search --text "heart attack" --where context
CALL () {
  UNWIND CASE WHEN $where IN ['any', 'label'] THEN [1] ELSE [] END AS wanted
  CALL db.index.fulltext.queryNodes('feature_text', $text, {limit: 1000}) YIELD node, score
  RETURN node AS f, score AS found, 1 AS rank, 'label' AS place, node.label AS excerpt
UNION ALL
  UNWIND CASE WHEN $where IN ['any', 'token'] THEN [1] ELSE [] END AS wanted
  CALL db.index.fulltext.queryNodes('token_text', $text, {limit: 200}) YIELD node, score
  MATCH (f:Feature)-[r:FIRES_ON]->(node)
  WHERE r.run = coalesce($run, f.run)
  RETURN f, score AS found, r.rank AS rank, 'token' AS place, node.text AS excerpt
UNION ALL
  UNWIND CASE WHEN $where IN ['any', 'context'] THEN [1] ELSE [] END AS wanted
  CALL db.index.fulltext.queryNodes('context_text', $text, {limit: 1000}) YIELD node, score
  MATCH (f:Feature)-[r:FIRES_IN]->(node)
  WHERE r.run = coalesce($run, f.run)
  RETURN f, score AS found, r.rank AS rank, 'context' AS place, node.text AS excerpt
}
WITH f, found, rank, place, excerpt
WHERE $run IS NULL OR EXISTS { (f)-[:FROM_RUN]->(:Run {key: $run}) }
WITH place, max(found) AS best,
     collect({feature: f, found: found, rank: rank, excerpt: excerpt}) AS hits
UNWIND hits AS hit
WITH hit.feature AS f, place, hit.excerpt AS excerpt,
     hit.found / best / (1.0 + log(toFloat(CASE WHEN hit.rank < 1 THEN 1 ELSE hit.rank END)))
       AS relevance
ORDER BY relevance DESC, place, excerpt
WITH f, max(relevance) AS score, collect(DISTINCT place) AS matched, head(collect(excerpt)) AS excerpt
RETURN
  f.key AS key, f.label AS label, f.top_tokens AS top_tokens, score, matched, excerpt,
  f.firing_rate AS firing_rate, f.community AS community
ORDER BY score DESC, key
LIMIT $limit
