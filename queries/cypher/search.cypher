// Title: Search
// Purpose: Features by words: in their label and context words, in tokens they fire on, or in
//   the contexts where they fire most.
// Group: search
// Result: features
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
// Phrase: Features about $text
// Graph:
//   CALL db.index.fulltext.queryNodes('feature_text', $text, {limit: 50}) YIELD node
//   RETURN node
WITH coalesce(
  // What is found is cut before it is known what is of $run: so as many more are asked for as the
  // run is a small part.
  1.0 * COUNT { (:Feature) } / nullIf(COUNT { (:Run {key: $run})<-[:FROM_RUN]-() }, 0), 1.0
) AS part,
     CASE WHEN $run IS NULL THEN 1 ELSE COUNT { (r:Run) WHERE r.kind IS NULL } END AS runs
// Runs of the same features may have texts of their own.
WITH toInteger(ceil(part * (250 + 2 * $limit))) AS features, toInteger(ceil(part * 200)) AS tokens,
     toInteger(ceil(CASE WHEN part > runs THEN part ELSE runs END * (250 + 2 * $limit))) AS contexts
CALL (features, tokens, contexts) {
  // Most of the time goes into the features of what is found, so no more is taken than is likely
  // to be shown.
  WITH * WHERE $where IN ['any', 'label']
  CALL db.index.fulltext.queryNodes('feature_text', $text, {limit: features})
  YIELD node, score
  WITH collect([node, score]) AS hits
  UNWIND hits AS hit
  RETURN hit[0] AS f, hit[0] AS found, hit[1] / hits[0][1] AS relevance, 'label' AS place
UNION ALL
  WITH * WHERE $where IN ['any', 'token']
  CALL db.index.fulltext.queryNodes('token_text', $text, {limit: tokens}) YIELD node, score
  WITH collect([node, score]) AS hits
  UNWIND hits AS hit
  WITH hit[0] AS found, hit[1] / hits[0][1] AS relevance
  MATCH (f)-[r:FIRES_ON]->(found)
  WHERE r.run = coalesce($run, f.run)
  RETURN f, found, relevance / (1.0 + log(r.rank)) AS relevance, 'token' AS place
UNION ALL
  WITH * WHERE $where IN ['any', 'context']
  CALL db.index.fulltext.queryNodes('context_text', $text, {limit: contexts})
  YIELD node, score
  WITH collect([node, score]) AS hits
  UNWIND hits AS hit
  WITH hit[0] AS found, hit[1] / hits[0][1] AS relevance
  MATCH (f)-[r:FIRES_IN]->(found)
  WHERE r.run = coalesce($run, f.run)
  RETURN f, found, relevance / (1.0 + log(r.rank)) AS relevance, 'context' AS place
}
WITH f, found, relevance, place
WHERE $run IS NULL OR EXISTS { (f)-[:FROM_RUN]->(:Run {key: $run}) }
WITH f, max(relevance) AS score, count(DISTINCT place) AS places,
     collect([relevance, place, found]) AS hits
ORDER BY score DESC, places DESC, f.key
LIMIT $limit
RETURN
  f.key AS key, f.label AS label, f.top_tokens AS top_tokens, score,
  COLLECT {
    UNWIND hits AS hit
    WITH DISTINCT hit[1] AS place
    RETURN place ORDER BY place
  } AS matched,
  COLLECT {
    UNWIND hits AS hit
    WITH hit[1] AS place, coalesce(hit[2].text, hit[2].label) AS excerpt
    WHERE hit[0] = score
    RETURN excerpt ORDER BY place, excerpt LIMIT 1
  }[0] AS excerpt,
  f.firing_rate AS firing_rate, f.community AS community
ORDER BY score DESC, places DESC, key
