// Title: Features of a domain
// Purpose: Features whose firing is most concentrated in the documents of a domain: by the AUC
//   with which their firing tells its documents, or, for features whose most distinctive domain
//   it is, by its share of the documents in which they fire (which reads all features).
// Group: concepts
// Result: features
// Parameters:
//   domain: string -- Name of the domain, as documents have it.
//   by: choice auc|share = auc -- What to order by.
//   min_documents: integer 1..1000000 = 5 -- Fewest documents in which the feature fires.
//   limit: integer 1..10000 = 20 -- Most rows.
//   run: run? -- Run that the figures are of; by default the run of each feature's numbers.
// Columns:
//   key: string -- Key of the feature.
//   label: string -- Its label.
//   top_tokens: list -- Tokens it fires on most.
//   auc: float -- Probability that a document of the domain has a larger share of firings than another of like length, 0.6 to 1; null where it was not found to be about the domain.
//   q: float -- False discovery rate at which that passes, 0 to 0.05.
//   top_domain: string -- Its most distinctive domain, by share and lift of the documents in which it fires.
//   top_domain_share: float -- Share of that domain among the documents in which it fires, 0 to 1.
//   documents: integer -- Documents, of any domain, in which it fires.
//   firing_rate: float -- Share of positions where it fires.
//   community: string -- Key of its community.
// Table: key, label, auc, top_domain, top_domain_share, documents
// Example:
//   :param {domain: 'athletics', by: 'auc', min_documents: 5, run: null, limit: 20}
//   atlas query domain_features --domain athletics --by share
// Phrase: Features of domain $domain
// Graph:
//   MATCH p = (f:Feature)-[r:ABOUT]->(:Concept {kind: 'domain', name: $domain})
//   WHERE r.run = f.run
//   RETURN p ORDER BY r.auc DESC LIMIT 50
CALL () {
  UNWIND CASE $by WHEN 'auc' THEN [1] ELSE [] END AS wanted
  MATCH (f:Feature)-[r:ABOUT]->(:Concept {name: $domain, kind: 'domain'})
  WHERE r.run = coalesce($run, f.run) AND f.d >= $min_documents
  RETURN f, r.auc AS figure
UNION ALL
  // A mere condition on $by would be tested of each feature, for either choice.
  UNWIND CASE $by WHEN 'share' THEN [1] ELSE [] END AS wanted
  MATCH (f:Feature)
  WHERE f.top_domain = $domain AND f.run = coalesce($run, f.run) AND f.d >= $min_documents
  RETURN f, f.top_domain_share AS figure
}
WITH f, figure
ORDER BY figure DESC, f.key
LIMIT $limit
OPTIONAL MATCH (f)-[r:ABOUT]->(:Concept {name: $domain, kind: 'domain'})
WHERE r.run = coalesce($run, f.run)
RETURN
  f.key AS key, f.label AS label, f.top_tokens AS top_tokens, r.auc AS auc, r.q AS q,
  f.top_domain AS top_domain, f.top_domain_share AS top_domain_share, f.d AS documents,
  f.firing_rate AS firing_rate, f.community AS community
ORDER BY figure DESC, key
