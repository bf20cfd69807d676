// Title: Search in concepts
// Purpose: Concepts by words of their names, most relevant first, with the number of features
//   that are about each.
// Group: search
// Result: rows
// Parameters:
//   text: fulltext -- Words to look for. Python and the command line take any text; by hand it is a Lucene query.
//   kind: choice any|domain|topic|term|hpo|icd10 = any -- Only concepts of this kind.
//   limit: integer 1..10000 = 20 -- Most rows.
//   run: run? -- Only count features of this run; by default by the run of each feature's numbers.
// Columns:
//   concept: string -- Key of the concept.
//   name: string -- Its name.
//   kind: string -- domain, topic, term, hpo or icd10; the last three are of an ontology.
//   score: float -- Relevance relative to the most relevant of all, 0 to 1.
//   documents: integer -- Documents that have it.
//   features: integer -- Features that are about it.
//   source: string -- Corpus or ontology that it is from.
// Table: concept, name, kind, score, documents, features
// Example:
//   :param {text: 'heart', kind: 'any', run: null, limit: 20}
//   atlas query search_concepts --text heart
// Phrase: Concepts with $text
// Graph:
//   CALL db.index.fulltext.queryNodes('concept_text', $text, {limit: 20}) YIELD node
//   OPTIONAL MATCH p = (node)<-[:ABOUT]-(:Feature)
//   RETURN node, p LIMIT 100
CALL db.index.fulltext.queryNodes('concept_text', $text, {limit: 500 + $limit})
YIELD node, score
WITH collect([node, score]) AS hits
UNWIND hits AS hit
WITH hit[0] AS c, hit[1] / hits[0][1] AS score
WHERE $kind = 'any' OR c.kind = $kind
WITH c, score
ORDER BY score DESC, c.key
LIMIT $limit
RETURN
  c.key AS concept, c.name AS name, c.kind AS kind, score, c.documents AS documents,
  COUNT { (c)<-[r:ABOUT]-(f:Feature) WHERE r.run = coalesce($run, f.run) } AS features,
  c.source AS source
ORDER BY score DESC, concept
