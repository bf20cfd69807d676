// Title: Related concepts
// Purpose: Concepts that the features of a concept are about as well, by the Jaccard index of the
//   two sets of features.
// Group: concepts
// Result: rows
// Parameters:
//   concept: concept -- Key of the concept.
//   kind: choice any|domain|topic|term|hpo|icd10 = any -- Only concepts of this kind.
//   limit: integer 1..10000 = 20 -- Most rows.
//   run: run? -- Run that found the features; by default the run of each feature's numbers.
// Columns:
//   concept: string -- Key of the related concept.
//   name: string -- Its name.
//   kind: string -- domain, topic, term, hpo or icd10; the last three are of an ontology.
//   jaccard: float -- Shared features divided by the features of either, 0 to 1.
//   shared: integer -- Features about both.
//   features: integer -- Features about the related concept.
//   of: integer -- Features about the concept itself.
//   documents: integer -- Documents of the related concept.
// Table: concept, name, kind, jaccard, shared, features
// Example:
//   :param {concept: 'demo/domain/athletics', kind: 'any', run: null, limit: 20}
//   atlas query related_concepts --concept athletics
// Phrase: Concepts related to $concept
// Graph:
//   MATCH p = (:Concept {key: $concept})<-[r:ABOUT]-(f:Feature)-[q:ABOUT]->(:Concept)
//   WHERE r.run = f.run AND q.run = f.run
//   RETURN p ORDER BY r.auc + q.auc DESC LIMIT 50
MATCH (:Concept {key: $concept})<-[r:ABOUT]-(f:Feature)
WHERE r.run = coalesce($run, f.run)
WITH collect([f, r.run]) AS about
UNWIND about AS pair
WITH pair[0] AS f, pair[1] AS run, size(about) AS of
MATCH (f)-[r:ABOUT {run: run}]->(c:Concept)
WITH c, of, count(*) AS shared
WHERE c.key <> $concept AND ($kind = 'any' OR c.kind = $kind)
WITH c, of, shared, CASE COUNT { (:Run) }
  // With one run every link of a concept is of that run, and they need not be read.
  WHEN 1 THEN COUNT { (c)<-[:ABOUT]-() }
  ELSE COUNT { (c)<-[r:ABOUT]-(f:Feature) WHERE r.run = coalesce($run, f.run) }
END AS features
WITH c, of, shared, features, toFloat(shared) / (of + features - shared) AS jaccard
ORDER BY jaccard DESC, c.key
LIMIT $limit
RETURN
  c.key AS concept, c.name AS name, c.kind AS kind, jaccard, shared, features, of,
  c.documents AS documents
ORDER BY jaccard DESC, concept
