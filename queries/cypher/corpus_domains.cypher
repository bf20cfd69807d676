// Title: Domains of a corpus
// Purpose: The documents, contexts and features of a run's corpus by the domain of the documents.
//   Reads all documents of the corpus and all features of the run.
// Group: runs
// Result: rows
// Parameters:
//   run: run -- Key of the run.
//   limit: integer 1..10000 = 100 -- Most rows.
// Columns:
//   domain: string -- Domain; null for documents without one.
//   documents: integer -- Documents.
//   documents_share: float -- Their share of the documents, 0 to 1.
//   tokens: integer -- Tokens of these documents.
//   contexts: integer -- Contexts in the graph from these documents.
//   features: integer -- Features whose most distinctive domain (share times log2 of lift of their documents) it is.
//   features_share: float -- Their share of the features that fire and have a domain, 0 to 1.
//   about: integer -- Features that are about the domain: it ranks its documents first, by their test.
// Table: domain, documents, documents_share, tokens, contexts, features, about
// Example:
//   :param {run: 'demo-9b77a20e5550', limit: 100}
//   atlas query corpus_domains --run demo-9b77a20e5550
// Phrase: Domains of the text of $run
// Graph:
//   MATCH (r:Run {key: $run})
//   MATCH p = (c:Concept {kind: 'domain'})<-[:ABOUT {run: $run}]-(:Feature)
//   RETURN p LIMIT 100
MATCH (r:Run {key: $run})
CALL (r) {
  OPTIONAL MATCH (r)<-[:FROM_RUN]-(f:Feature {run: r.key})
  WHERE f.top_domain IS NOT NULL AND NOT f.dead
  WITH f.top_domain AS domain, count(f) AS n
  RETURN collect([domain, n]) AS counted, sum(n) AS firing
}
CALL (r) {
  MATCH (d:Document)
  WHERE d.key STARTS WITH r.corpus + '/'
  RETURN d.domain AS domain, count(*) AS documents, sum(d.n_tokens) AS tokens,
         sum(COUNT { (d)<-[:FROM_DOCUMENT]-() }) AS contexts
}
WITH r, counted, firing, collect([domain, documents, tokens, contexts]) AS rows,
     sum(documents) AS every
UNWIND rows AS row
WITH r, firing, every, row,
     reduce(n = 0, pair IN counted | n + CASE WHEN pair[0] = row[0] THEN pair[1] ELSE 0 END) AS n
ORDER BY row[1] DESC, row[0]
LIMIT $limit
RETURN
  row[0] AS domain, row[1] AS documents, toFloat(row[1]) / every AS documents_share,
  row[2] AS tokens, row[3] AS contexts, n AS features,
  CASE WHEN firing > 0 THEN toFloat(n) / firing END AS features_share,
  COUNT { (:Concept {key: r.corpus + '/domain/' + row[0]})<-[:ABOUT {run: r.key}]-() } AS about
ORDER BY documents DESC, domain
