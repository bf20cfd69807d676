// Title: Health
// Purpose: One row for each check of the graph: whether all is well and what to do if not. Reads
//   all features and the keys of all edges. Indexes are checked by the query indexes.
// Group: runs
// Result: rows
// Parameters:
//   max_dead: float 0..1 = 0.5 -- Largest share of dead features that is well.
//   max_dense: float 0..1 = 0.1 -- Largest share of dense features that is well.
// Columns:
//   check: string -- What was checked.
//   status: string -- ok or warn.
//   found: integer -- How many were found that should not be there, or of the kind named.
//   of: integer -- Of how many.
//   share: float -- The one divided by the other, 0 to 1.
//   do: string -- What to do; null where all is well.
// Table: check, status, found, of, do
// Example:
//   :param {max_dead: 0.5, max_dense: 0.1}
//   atlas query health
// Phrase: Runs that are not whole
// Graph:
//   MATCH (r:Run) WHERE r.state <> 'loaded' RETURN r
WITH COLLECT { MATCH (r:Run) RETURN r.key } AS runs
CALL (runs) {
  MATCH (f:Feature)
  RETURN
    count(*) AS features,
    count(CASE WHEN NOT EXISTS { (f)-[:IN]->(:Sae) } THEN 1 END) AS no_sae,
    count(CASE WHEN NOT EXISTS { (f)-[:FROM_RUN]->(:Run) } THEN 1 END) AS no_run,
    count(CASE WHEN f.run IS NULL OR NOT f.run IN runs THEN 1 END) AS stale,
    count(CASE WHEN NOT f.scored_run IN runs THEN 1 END) AS scored,
    count(CASE WHEN NOT f.map_run IN runs THEN 1 END) AS placed,
    count(CASE WHEN f.dead THEN 1 END) AS dead, count(CASE WHEN f.dense THEN 1 END) AS dense
}
// The key of an edge begins with that of its run, and the edges of a type are counted by the store.
CALL (runs) {
  UNWIND runs AS run
  RETURN
    sum(COUNT { MATCH ()-[e:CO_OCCURS]->() WHERE e.key STARTS WITH run + '|' })
    + sum(COUNT { MATCH ()-[e:IMPLIES]->() WHERE e.key STARTS WITH run + '|' })
    + sum(COUNT { MATCH ()-[e:SIMILAR_TO]->() WHERE e.key STARTS WITH run + '|' })
    + sum(COUNT { MATCH ()-[e:FEEDS]->() WHERE e.key STARTS WITH run + '|' })
    + sum(COUNT { MATCH ()-[e:CO_ATTRIBUTED]->() WHERE e.key STARTS WITH run + '|' })
    + sum(COUNT { MATCH ()-[e:AFFECTS]->() WHERE e.key STARTS WITH run + '|' }) AS owned
}
WITH *,
  COUNT { ()-[:CO_OCCURS]->() } + COUNT { ()-[:IMPLIES]->() } + COUNT { ()-[:SIMILAR_TO]->() }
  + COUNT { ()-[:FEEDS]->() } + COUNT { ()-[:CO_ATTRIBUTED]->() } + COUNT { ()-[:AFFECTS]->() }
  AS edges
UNWIND [
  {name: 'schema', found: CASE COUNT { (:Migration) } WHEN 0 THEN 1 ELSE 0 END, of: 1,
   advice: 'No migration was applied: load a build with `atlas load`.'},
  {name: 'runs not whole',
   found: COUNT { MATCH (r:Run) WHERE coalesce(r.state, 'loaded') <> 'loaded' }, of: size(runs),
   advice: 'Run the same `atlas load` again, or `atlas runs drop RUN`.'},
  {name: 'builds without features',
   found: COUNT {
     MATCH (r:Run) WHERE r.kind IS NULL AND NOT EXISTS { (r)<-[:FROM_RUN]-(:Feature) }
   }, of: COUNT { MATCH (r:Run) WHERE r.kind IS NULL },
   advice: 'Load the build again with `atlas load --force`, or `atlas runs drop RUN`.'},
  {name: 'features without an SAE', found: no_sae, of: features,
   advice: 'Repair the run: `atlas verify RUN --repair`.'},
  {name: 'features without a run', found: no_run, of: features,
   advice: 'Repair the run they are of: `atlas verify RUN --repair`.'},
  {name: 'numbers of dropped runs', found: stale, of: features,
   advice: 'Give the features those of a run that is there: `atlas load FOLDER --force`.'},
  {name: 'scores of dropped runs', found: scored, of: features,
   advice: 'Analyse a run that is there: `atlas analyse RUN`.'},
  {name: 'maps of dropped runs', found: placed, of: features,
   advice: 'Make the map of a run that is there again.'},
  {name: 'edges without a run', found: edges - owned, of: edges,
   advice: 'Their run is gone or their key is missing: `atlas verify RUN --repair`.'},
  {name: 'communities without a run',
   found: COUNT { MATCH (c:Community) WHERE c.run IS NULL OR NOT c.run IN runs },
   of: COUNT { (:Community) }, advice: 'Analyse a run that is there: `atlas analyse RUN`.'},
  {name: 'algorithm runs without a run',
   found: COUNT { MATCH (a:AlgorithmRun) WHERE NOT EXISTS { (a)-[:USED]->(:Run) } },
   of: COUNT { (:AlgorithmRun) }, advice: 'Run the algorithm again: `atlas analyse RUN`.'},
  {name: 'interventions without features',
   found: COUNT { MATCH (i:Intervention) WHERE NOT EXISTS { (i)-[:ON]->(:Feature) } },
   of: COUNT { (:Intervention) },
   advice: 'Their features were dropped: `atlas runs drop` the run of the interventions.'},
  {name: 'dead features', found: dead, of: features, most: $max_dead,
   advice: 'Features that never fire: map more text, or look at how the SAE was trained.'},
  {name: 'dense features', found: dense, of: features, most: $max_dense,
   advice: 'Features that fire on a tenth of the positions or more: leave them out where they hide others.'}
] AS row
WITH row, CASE WHEN row.of > 0 THEN toFloat(row.found) / row.of ELSE 0.0 END AS share
WITH row, share, share > coalesce(row.most, 0.0) AS bad
RETURN
  row.name AS check, CASE WHEN bad THEN 'warn' ELSE 'ok' END AS status,
  row.found AS found, row.of AS of, share, CASE WHEN bad THEN row.advice END AS do
ORDER BY status DESC, check
