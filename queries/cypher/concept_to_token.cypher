// Title: From a concept to a token
// Purpose: How a concept leads to a token: the shortest chains from a feature that is about the
//   concept, through features that fire together, to a feature that promotes the token. Of equally
//   short chains those with the strongest weakest link come first, then those with the higher AUC.
// Group: paths
// Result: features
// Parameters:
//   concept: concept -- Key of the concept.
//   token: token -- Text of the token; by hand a list of spellings.
//   limit: integer 1..1000 = 5 -- Most chains.
//   max_hops: integer 0..4 = 3 -- Most edges between features; 0: one feature does both.
//   min_phi: float -1..1 = 0 -- Weakest edge to use, by phi.
//   mutual: boolean = true -- Only edges among the strongest of both features.
//   run: run? -- Run of the chains; by default each run is searched by itself.
// Columns:
//   path: integer -- Number of the chain, 1 for the best.
//   step: integer -- 0 for the first feature.
//   key: string -- Key of the feature.
//   label: string -- Its label.
//   top_tokens: list -- Tokens it fires on most.
//   phi: float -- Phi of the edge from the step before, -1 to 1; null for the first.
//   auc: float -- Of the first feature: how well it tells documents of the concept, 0.6 to 1.
//   score: float -- Of the last feature: its standardised logit weight of the token.
//   token: string -- Of the last feature: the token.
//   run: string -- Run of the chain.
// Table: path, step, key, label, phi, auc, score, token
// Example:
//   :param {concept: 'demo/domain/medicine', token: [' blood', 'blood'], max_hops: 3, min_phi: 0.0, mutual: true, run: null, limit: 5}
//   atlas query concept_to_token --concept medicine --token blood
// Phrase: From $concept to $token
// Graph:
//   MATCH (c:Concept {key: $concept}), (t:Token) WHERE t.text IN $token
//   MATCH (r:Run) WHERE r.kind IS NULL
//   MATCH p = ALL SHORTEST (c)<-[x:ABOUT WHERE x.run = r.key]-(:Feature)
//     (()-[e:CO_OCCURS WHERE e.mutual AND e.kind = 'token' AND e.run = r.key AND e.phi > 0]-()){0,3}
//     (:Feature)-[y:PROMOTES WHERE y.run = r.key]->(t)
//   RETURN p LIMIT 20
MATCH (c:Concept {key: $concept})
MATCH (t:Token)
WHERE t.text IN $token
MATCH (run:Run)
WHERE run.kind IS NULL AND ($run IS NULL OR run.key = $run)
WITH c, t, run.key AS run
MATCH path = ALL SHORTEST (c)<-[about:ABOUT WHERE about.run = run]-(:Feature)
  (()-[r:CO_OCCURS WHERE (r.mutual OR NOT $mutual) AND r.kind = 'token' AND r.run = run
       AND r.phi >= $min_phi]-()){0,4}
  (:Feature)-[promotes:PROMOTES WHERE promotes.run = run]->(t)
WITH t, run, r AS edges, about.auc AS auc, promotes.score AS score, nodes(path)[1..-1] AS features
WHERE size(edges) <= $max_hops
WITH t, run, edges, auc, score, features, [f IN features | f.key] AS keys,
     reduce(low = 1.0, r IN edges | CASE WHEN r.phi < low THEN r.phi ELSE low END) AS weakest
ORDER BY size(edges), weakest DESC, auc DESC, keys, t.key, run
LIMIT $limit
WITH collect({t: t, run: run, edges: edges, auc: auc, score: score, features: features}) AS found
UNWIND range(1, size(found)) AS number
WITH number, found[number - 1] AS chain
UNWIND range(0, size(chain.edges)) AS step
WITH number, step, chain, chain.features[step] AS f, chain.t AS t,
     CASE WHEN step > 0 THEN chain.edges[step - 1] END AS r, step = size(chain.edges) AS at_end
RETURN
  number AS path, step, f.key AS key, f.label AS label, f.top_tokens AS top_tokens, r.phi AS phi,
  CASE step WHEN 0 THEN chain.auc END AS auc, CASE WHEN at_end THEN chain.score END AS score,
  CASE WHEN at_end THEN t.text END AS token, chain.run AS run
ORDER BY path, step
