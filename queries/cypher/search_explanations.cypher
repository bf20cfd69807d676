// Title: Search in explanations
// Purpose: Features by words of their imported explanations, most relevant first.
// Group: search
// Result: features
// Parameters:
//   text: fulltext -- Words to look for. Python and the command line take any text; by hand it is a Lucene query.
//   limit: integer 1..10000 = 20 -- Most rows.
//   run: run? -- Only explanations that were imported for this run.
// Columns:
//   key: string -- Key of the feature.
//   label: string -- Its label.
//   score: float -- Relevance of its best explanation relative to the most relevant of all, 0 to 1.
//   explanation: string -- Text of that explanation.
//   method: string -- How the explanation was made, where its file says so.
//   model: string -- By which language model, where its file says so.
//   quality: float -- How good it was found to be, by the measure named; null where it was not scored.
//   measure: string -- Measure of the quality.
//   source: string -- Name of the file.
//   explanations: integer -- Explanations of the feature that have some of the words.
// Table: key, label, explanation, score, quality
// Example:
//   :param {text: 'heart attack', run: null, limit: 20}
//   atlas query search_explanations --text "heart attack"
// Phrase: Explanations with $text
// Graph:
//   CALL db.index.fulltext.queryNodes('explanation_text', $text, {limit: 50}) YIELD node
//   MATCH p = (node)-[:EXPLAINS]->(:Feature)
//   RETURN p
CALL db.index.fulltext.queryNodes('explanation_text', $text, {limit: 500 + 5 * $limit})
YIELD node, score
WITH collect([node, score]) AS hits
UNWIND hits AS hit
WITH hit[0] AS e, hit[1] / hits[0][1] AS score
MATCH (e)-[r:EXPLAINS]->(f:Feature)
WHERE $run IS NULL OR r.run = $run
WITH DISTINCT f, e, score
ORDER BY score DESC, e.key
WITH f, max(score) AS score, collect(e)[0] AS e, count(e) AS explanations
ORDER BY score DESC, f.key
LIMIT $limit
RETURN
  f.key AS key, f.label AS label, score, e.text AS explanation, e.method AS method,
  e.model AS model, e.score AS quality, e.score_type AS measure, e.source AS source, explanations
ORDER BY score DESC, key
