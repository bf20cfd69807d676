// Title: Prompt sets
// Purpose: The sets of prompts of attributions and experiments, with the runs that used them.
// Group: experiments
// Result: rows
// Parameters:
//   limit: integer 1..10000 = 100 -- Most rows.
// Columns:
//   key: string -- Name of the set.
//   prompts: integer -- Prompts of the set that are in the graph.
//   mean_score: float -- Mean over the prompts of the metric of the run loaded last, in its unit.
//   runs: list -- Runs that used it: key, kind, metric, edges (CO_ATTRIBUTED).
//   digest: string -- SHA-256 of its file.
// Table: key, prompts, mean_score, runs
// Example:
//   :param {limit: 100}
//   atlas query prompt_sets
// Phrase: Prompt sets
// Graph:
//   MATCH p = (:Run)-[:USED]->(:PromptSet) RETURN p LIMIT 100
MATCH (s:PromptSet)
WITH s ORDER BY s.key LIMIT $limit
CALL (s) {
  OPTIONAL MATCH (s)<-[:IN]-(p:Prompt)
  RETURN count(p) AS prompts, avg(p.score) AS mean_score
}
RETURN
  s.key AS key, prompts, mean_score,
  COLLECT {
    MATCH (s)<-[:USED]-(r:Run)
    RETURN {
      key: r.key, kind: coalesce(r.kind, 'build'), metric: r.metric,
      edges: COUNT { MATCH ()-[e:CO_ATTRIBUTED]->() WHERE e.key STARTS WITH r.key + '|' }
    } ORDER BY r.created, r.key
  } AS runs,
  s.sha256 AS digest
ORDER BY key
