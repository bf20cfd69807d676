// Title: Runs
// Purpose: The runs of the database, oldest first, with what each has.
// Group: runs
// Result: runs
// Parameters:
//   edges: boolean = true -- Count the edges by kind, which reads all of their keys.
// Columns:
//   key: string -- Key of the run.
//   name: string -- Name of the build, or of the prompt set of an attribution.
//   kind: string -- build, attribution or intervention.
//   created: string -- When it was built.
//   model: string -- Key of the model.
//   saes: list -- Keys of the SAEs.
//   features: integer -- Features.
//   edges: list -- Edges by kind: kind, n. Null where they are not counted.
//   communities: integer -- Communities.
//   state: string -- loading, loaded or dropping.
//   digest: string -- SHA-256 over the tables: equal builds have equal digests.
// Table: key, name, kind, created, saes, features, edges, communities, state
// Example:
//   :param {edges: true}
//   atlas query runs
// Phrase: Runs
// Graph:
//   MATCH (r:Run) RETURN r
MATCH (r:Run)
OPTIONAL CALL (r) {
  UNWIND CASE WHEN $edges THEN [1] ELSE [] END AS wanted
  MATCH ()-[e:CO_OCCURS]->() WHERE e.key STARTS WITH r.key + '|'
  RETURN split(e.key, '|')[-1] AS kind, count(*) AS n
UNION ALL
  UNWIND CASE WHEN $edges THEN [1] ELSE [] END AS wanted
  MATCH ()-[e:IMPLIES]->() WHERE e.key STARTS WITH r.key + '|'
  RETURN 'implies' AS kind, count(*) AS n
UNION ALL
  UNWIND CASE WHEN $edges THEN [1] ELSE [] END AS wanted
  MATCH ()-[e:SIMILAR_TO]->() WHERE e.key STARTS WITH r.key + '|'
  RETURN 'similar_to' AS kind, count(*) AS n
UNION ALL
  UNWIND CASE WHEN $edges THEN [1] ELSE [] END AS wanted
  MATCH ()-[e:FEEDS]->() WHERE e.key STARTS WITH r.key + '|'
  RETURN 'feeds' AS kind, count(*) AS n
UNION ALL
  UNWIND CASE WHEN $edges THEN [1] ELSE [] END AS wanted
  MATCH ()-[e:CO_ATTRIBUTED]->() WHERE e.key STARTS WITH r.key + '|'
  RETURN 'co_attributed' AS kind, count(*) AS n
UNION ALL
  UNWIND CASE WHEN $edges THEN [1] ELSE [] END AS wanted
  MATCH ()-[e:AFFECTS]->() WHERE e.key STARTS WITH r.key + '|'
  RETURN 'affects' AS kind, count(*) AS n
}
WITH r, kind, n ORDER BY kind
WITH r, collect(CASE WHEN n IS NOT NULL THEN {kind: kind, n: n} END) AS counted
RETURN
  r.key AS key, r.name AS name, coalesce(r.kind, 'build') AS kind, r.created AS created,
  r.model AS model,
  CASE WHEN r.kind IS NULL THEN COLLECT {
    MATCH (r)<-[:FROM_RUN]-(:Feature)-[:IN]->(s:Sae)
    WITH DISTINCT s.key AS sae
    RETURN sae ORDER BY sae
  } ELSE coalesce(r.saes, []) END AS saes,
  COUNT { (r)<-[:FROM_RUN]-(:Feature) } AS features,
  CASE WHEN $edges THEN counted END AS edges,
  COUNT { (:Community {run: r.key}) } AS communities,
  r.state AS state, r.digest AS digest
ORDER BY created, key
