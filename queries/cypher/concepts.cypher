// Title: Concepts
// Purpose: What the documents are labelled with, and how many features are about each; reads all
//   links from features to concepts.
// Group: concepts
// Result: rows
// Parameters:
//   kind: choice any|domain|topic|term|hpo|icd10 = any -- Only concepts of this kind.
//   limit: integer 1..10000 = 100 -- Most rows.
//   run: run? -- Only concepts and features of this run.
// Columns:
//   concept: string -- Key of the concept.
//   name: string -- Its name.
//   kind: string -- domain, topic, term, hpo or icd10; the last three are of an ontology.
//   documents: integer -- Documents that have it.
//   features: integer -- Features that are about it.
//   best_auc: float -- Largest AUC of these, 0.6 to 1.
//   best_feature: string -- Key of the feature that has it.
//   best_label: string -- Label of that feature.
//   source: string -- Corpus or ontology that it is from.
// Table: name, kind, documents, features, best_auc, best_label
// Example:
//   :param {kind: 'any', run: null, limit: 100}
//   atlas query concepts --kind domain
// Phrase: Concepts of kind $kind
// Graph:
//   MATCH (c:Concept) WHERE $kind = 'any' OR c.kind = $kind
//   RETURN c ORDER BY c.documents DESC LIMIT 100
CALL () {
  // From the features, so that the run of each is read once.
  MATCH (f:Feature)
  WITH f, coalesce($run, f.run) AS run
  MATCH (f)-[r:ABOUT {run: run}]->(c:Concept)
  RETURN c, count(*) AS n, max(r.auc) AS auc
UNION ALL
  MATCH (c:Concept)
  RETURN c, 0 AS n, null AS auc
}
WITH c, sum(n) AS features, max(auc) AS best_auc
WHERE ($kind = 'any' OR c.kind = $kind) AND ($run IS NULL OR features > 0)
WITH c, features, best_auc
ORDER BY features DESC, c.key
LIMIT $limit
WITH c, features, best_auc, COLLECT {
  MATCH (c)<-[r:ABOUT]-(f:Feature)
  WHERE r.auc = best_auc AND r.run = coalesce($run, f.run)
  RETURN f ORDER BY f.key LIMIT 1
}[0] AS best
RETURN
  c.key AS concept, c.name AS name, c.kind AS kind, c.documents AS documents, features, best_auc,
  best.key AS best_feature, best.label AS best_label, c.source AS source
ORDER BY features DESC, concept
