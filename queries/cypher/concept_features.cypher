// Title: Features of a concept
// Purpose: Features that fire more in the documents of a concept than in others, by AUC.
// Group: concepts
// Result: features
// Parameters:
//   concept: concept -- Key of the concept.
//   limit: integer 1..10000 = 20 -- Most rows.
//   run: run? -- Run that found them; by default the run of each feature's numbers.
// Columns:
//   key: string -- Key of the feature.
//   label: string -- Its label.
//   top_tokens: list -- Tokens it fires on most.
//   auc: float -- Probability that a document of the concept has a larger share of firings than another of like length, 0.6 to 1.
//   effect: float -- Rank-biserial correlation, 2 auc - 1.
//   q: float -- False discovery rate at which the pair passes, 0 to 0.05.
//   documents: integer -- Documents of the concept in which it fires.
//   share: float -- Their share of the concept's documents, 0 to 1.
//   firing_rate: float -- Share of all positions where it fires.
//   community: string -- Key of its community.
//   run: string -- Run that found it.
// Table: key, label, auc, q, documents, share, firing_rate
// Example:
//   :param {concept: 'demo/domain/athletics', run: null, limit: 20}
//   atlas query concept_features --concept athletics --limit 10
// Phrase: Features of concept $concept
// Graph:
//   MATCH p = (f:Feature)-[r:ABOUT]->(:Concept {key: $concept}) WHERE r.run = f.run
//   RETURN p ORDER BY r.auc DESC LIMIT 50
MATCH (:Concept {key: $concept})<-[r:ABOUT]-(f:Feature)
WHERE r.run = coalesce($run, f.run)
WITH f, r
ORDER BY r.auc DESC, f.key
LIMIT $limit
RETURN
  f.key AS key, f.label AS label, f.top_tokens AS top_tokens, r.auc AS auc, r.effect AS effect,
  r.q AS q, r.documents AS documents, r.share AS share, f.firing_rate AS firing_rate,
  f.community AS community, r.run AS run
ORDER BY auc DESC, key
