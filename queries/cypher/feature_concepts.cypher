// Title: Concepts of a feature
// Purpose: What the documents are about in which a feature fires more than in others, by AUC.
// Group: concepts
// Result: rows
// Parameters:
//   feature: feature -- Key of the feature.
//   kind: choice any|domain|topic|term|hpo|icd10 = any -- Only concepts of this kind.
//   limit: integer 1..10000 = 20 -- Most rows.
//   run: run? -- Run that found them; by default the run of the feature's numbers.
// Columns:
//   concept: string -- Key of the concept.
//   name: string -- Its name.
//   kind: string -- domain, topic, term, hpo or icd10; the last three are of an ontology.
//   auc: float -- Probability that a document of the concept has a larger share of firings than another of like length, 0.6 to 1.
//   effect: float -- Rank-biserial correlation, 2 auc - 1.
//   q: float -- False discovery rate at which the pair passes, 0 to 0.05.
//   documents: integer -- Documents of the concept in which the feature fires.
//   share: float -- Their share of the concept's documents, 0 to 1.
//   of: integer -- Documents of the concept.
//   run: string -- Run that found it.
// Table: concept, name, kind, auc, q, documents, share
// Example:
//   :param {feature: 'smollm2-135m/blocks.18.hook_resid_pre/topk/12', kind: 'any', run: null, limit: 20}
//   atlas query feature_concepts --feature 12
// Phrase: Concepts of $feature
// Graph:
//   MATCH p = (f:Feature {key: $feature})-[r:ABOUT]->(:Concept) WHERE r.run = f.run
//   RETURN p ORDER BY r.auc DESC LIMIT 50
MATCH (f:Feature {key: $feature})-[r:ABOUT]->(c:Concept)
WHERE r.run = coalesce($run, f.run) AND ($kind = 'any' OR c.kind = $kind)
RETURN
  c.key AS concept, c.name AS name, c.kind AS kind, r.auc AS auc, r.effect AS effect, r.q AS q,
  r.documents AS documents, r.share AS share, c.documents AS of, r.run AS run
ORDER BY auc DESC, concept
LIMIT $limit
