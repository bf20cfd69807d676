// Title: Coverage
// Purpose: How many features of a run have a label, contexts, tokens, edges of each kind, a
//   community, concepts, explanations, a place on the map or measured effects. Reads all features
//   and their edges.
// Group: runs
// Result: rows
// Parameters:
//   run: run -- Key of the run.
// Columns:
//   what: string -- What is counted.
//   features: integer -- Features of the run that have it.
//   of: integer -- Features of the run.
//   share: float -- The one divided by the other, 0 to 1.
//   meaning: string -- What it is to have it.
// Table: what, features, of, share
// Example:
//   :param {run: 'demo-9b77a20e5550'}
//   atlas query coverage --run demo-9b77a20e5550
// Phrase: Coverage of run $run
// Graph:
//   MATCH p = (:Run {key: $run})<-[:FROM_RUN]-(f:Feature)-[:IN]->(:Sae) RETURN p LIMIT 100
MATCH (r:Run {key: $run})
CALL (r) {
  MATCH (r)<-[:FROM_RUN]-(f:Feature)
  RETURN count(*) AS of, [
    ['numbers', count(CASE WHEN f.run = r.key THEN 1 END),
     'Their firing rate, label and so on are of this run, not of one loaded later.'],
    ['firing', count(CASE WHEN NOT f.dead THEN 1 END), 'They fire in the corpus.'],
    ['label', count(f.label), 'A label.'],
    ['contexts', count(CASE WHEN EXISTS { (f)-[:FIRES_IN {run: $run}]->() } THEN 1 END),
     'Contexts where they fire.'],
    ['tokens', count(CASE WHEN EXISTS { (f)-[:FIRES_ON {run: $run}]->() } THEN 1 END),
     'Tokens that they fire on.'],
    ['promoted', count(CASE WHEN EXISTS { (f)-[:PROMOTES {run: $run}]->() } THEN 1 END),
     'Tokens that they make more likely.'],
    ['token edges',
     count(CASE WHEN EXISTS { (f)-[:CO_OCCURS {run: $run, kind: 'token'}]-() } THEN 1 END),
     'They fire at the same tokens as another feature.'],
    ['topic edges',
     count(CASE WHEN EXISTS { (f)-[:CO_OCCURS {run: $run, kind: 'topic'}]-() } THEN 1 END),
     'They fire in the same documents as another feature.'],
    ['exclusive edges',
     count(CASE WHEN EXISTS { (f)-[:CO_OCCURS {run: $run, kind: 'exclusive'}]-() } THEN 1 END),
     'They fire instead of another feature.'],
    ['implies', count(CASE WHEN EXISTS { (f)-[:IMPLIES {run: $run}]-() } THEN 1 END),
     'They imply a feature or are implied by one.'],
    ['similar', count(CASE WHEN EXISTS { (f)-[:SIMILAR_TO {run: $run}]-() } THEN 1 END),
     'A feature with a similar decoder vector.'],
    ['feeds', count(CASE WHEN EXISTS { (f)-[:FEEDS {run: $run}]-() } THEN 1 END),
     'They feed a feature of a later hook or are fed by one.'],
    ['scores', count(CASE WHEN f.scored_run = r.key THEN 1 END),
     'Centrality in the backbone of this run.'],
    ['community',
     count(CASE WHEN EXISTS { (f)-[:MEMBER_OF]->(:Community {run: $run}) } THEN 1 END),
     'A community of this run.'],
    ['concepts', count(CASE WHEN EXISTS { (f)-[:ABOUT {run: $run}]->() } THEN 1 END),
     'Concepts that they are about.'],
    ['explanations', count(CASE WHEN EXISTS { (f)<-[:EXPLAINS {run: $run}]-() } THEN 1 END),
     'Explanations that were imported.'],
    ['decoder', count(f.decoder), 'A decoder vector.'],
    ['map', count(CASE WHEN f.map_run = r.key THEN 1 END), 'A place on the map of this run.'],
    ['attributions', count(CASE WHEN EXISTS { (f)-[:CO_ATTRIBUTED]-() } THEN 1 END),
     'Co-attribution with another feature, in any attribution run.'],
    ['interventions', count(CASE WHEN EXISTS { (f)<-[:ON]-(:Intervention) } THEN 1 END),
     'Interventions on them, of any run.']
  ] AS counted
}
WITH of, counted
UNWIND range(0, size(counted) - 1) AS place
WITH of, place, counted[place] AS row
RETURN
  row[0] AS what, row[1] AS features, of,
  CASE WHEN of > 0 THEN toFloat(row[1]) / of END AS share, row[2] AS meaning
ORDER BY place
