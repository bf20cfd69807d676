// Title: Concepts of a community
// Purpose: Concepts that the members of a community are about: domains, topics and terms, those
//   of most members first.
// Group: communities
// Result: rows
// Parameters:
//   community: community -- Key of the community.
//   limit: integer 1..10000 = 20 -- Most rows.
//   kind: choice any|domain|topic|term|hpo|icd10 = any -- Kind of concept.
// Columns:
//   concept: string -- Key of the concept.
//   name: string -- Its name.
//   kind: string -- domain, topic, term, hpo or icd10.
//   members: integer -- Members that are about it.
//   share: float -- These as a share of the members, 0 to 1.
//   mean_auc: float -- Mean over them of the probability that a document of the concept scores higher than another, 0.6 to 1.
//   best: string -- Key of the member with the highest AUC.
//   best_label: string -- Its label.
//   best_auc: float -- That AUC.
//   features: integer -- Features of the whole run that are about it.
//   share_of_concept: float -- Members among these, 0 to 1: how far the concept is this community's own.
//   documents: integer -- Documents of the concept.
// Table: name, kind, members, share, mean_auc, share_of_concept, best_label
// Example:
//   :param {community: 'demo/consensus/1', kind: 'any', limit: 20}
//   atlas query community_concepts --community 1
// Phrase: Concepts of community $community
// Graph:
//   MATCH p = (c:Community {key: $community})<-[:MEMBER_OF]-(:Feature)-[r:ABOUT]->(:Concept)
//   WHERE r.run = c.run
//   RETURN p ORDER BY r.auc DESC LIMIT 100
MATCH (c:Community {key: $community})<-[:MEMBER_OF]-(f:Feature)-[r:ABOUT {run: c.run}]->(k:Concept)
WHERE $kind = 'any' OR k.kind = $kind
WITH c, k, f, r.auc AS auc
ORDER BY auc DESC, f.key
WITH c, k, count(*) AS members, avg(auc) AS mean_auc, max(auc) AS best_auc,
     head(collect(f)) AS best
ORDER BY members DESC, mean_auc DESC, k.key
LIMIT $limit
WITH c, k, members, mean_auc, best_auc, best,
     COUNT { (:Feature)-[:ABOUT {run: c.run}]->(k) } AS features
RETURN
  k.key AS concept, k.name AS name, k.kind AS kind, members, 1.0 * members / c.size AS share,
  mean_auc, best.key AS best, best.label AS best_label, best_auc, features,
  1.0 * members / features AS share_of_concept, k.documents AS documents
ORDER BY members DESC, mean_auc DESC, concept
