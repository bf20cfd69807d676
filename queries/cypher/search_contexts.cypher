// Title: Search in contexts
// Purpose: Stretches of text that have some words, most relevant first, with the features that
//   fire there most of those that have it among their contexts.
// Group: search
// Result: rows
// Parameters:
//   text: fulltext -- Words to look for. Python and the command line take any text; by hand it is a Lucene query.
//   per_context: integer 0..100 = 5 -- Most features to show of each.
//   limit: integer 1..10000 = 20 -- Most rows.
//   run: run? -- Only contexts of features of this run; by default of the run of each feature's numbers.
// Columns:
//   context: string -- Key of the context, {corpus}/{document}/{position}.
//   text: string -- Its text.
//   score: float -- Relevance relative to the most relevant of all, 0 to 1.
//   features: list -- Features that fire there: key, label, activation (largest in the context), rank (among the feature's contexts), most active first.
//   document: string -- Key of its document.
//   title: string -- Title of the document, where it has one.
//   domain: string -- Domain of the document, where it has one.
//   position: integer -- Position of the largest activation's token in the document.
//   token: string -- That token.
// Table: text, score, features, domain
// Example:
//   :param {text: 'heart attack', per_context: 5, run: null, limit: 20}
//   atlas query search_contexts --text "heart attack" --limit 5
// Phrase: Texts with $text
// Graph:
//   CALL db.index.fulltext.queryNodes('context_text', $text, {limit: 20}) YIELD node
//   MATCH p = (:Feature)-[:FIRES_IN]->(node)
//   RETURN p LIMIT 100
WITH CASE WHEN $run IS NULL THEN 1 ELSE COUNT { (r:Run) WHERE r.kind IS NULL } END AS runs
CALL db.index.fulltext.queryNodes('context_text', $text, {limit: runs * $limit + 50})
YIELD node, score
WITH collect([node, score]) AS hits
UNWIND hits AS hit
WITH hit[0] AS x, hit[1] / hits[0][1] AS score
WHERE EXISTS { (x)<-[r:FIRES_IN]-(f:Feature) WHERE r.run = coalesce($run, f.run) }
WITH x, score
ORDER BY score DESC, x.key
LIMIT $limit
MATCH (x)-[:FROM_DOCUMENT]->(d:Document)
RETURN
  x.key AS context, x.text AS text, score,
  COLLECT {
    MATCH (x)<-[r:FIRES_IN]-(f:Feature)
    WHERE r.run = coalesce($run, f.run)
    RETURN f {.key, .label, activation: r.activation, rank: r.rank}
    ORDER BY r.activation DESC, f.key LIMIT $per_context
  } AS features,
  d.key AS document, d.title AS title, d.domain AS domain, x.position AS position,
  x.token AS token
ORDER BY score DESC, context
