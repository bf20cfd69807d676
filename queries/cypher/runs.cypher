// Title: Runs
// Purpose: The runs of the database, oldest first, with what each has.
// Parameters:
//   edges: boolean = true -- Count the edges by kind, which reads all of them.
// Columns:
//   key: string -- Key of the run.
//   name: string -- Name of the build.
//   created: string -- When it was built.
//   model: string -- Key of the model.
//   saes: list -- Keys of the SAEs.
//   features: integer -- Features.
//   edges: list -- Edges by kind: kind, n. Null where they are not counted.
//   communities: integer -- Communities.
//   state: string -- loading, loaded or dropping.
//   digest: string -- SHA-256 over the tables: equal builds have equal digests.
// Table: key, name, created, saes, features, edges, communities, state
// Example:
//   :param {edges: true}
//   atlas query runs
MATCH (r:Run)
WITH r, COLLECT {
  MATCH (r)<-[:FROM_RUN]-(:Feature)-[e:CO_OCCURS|IMPLIES|SIMILAR_TO|FEEDS {run: r.key}]->()
  WHERE $edges
  WITH coalesce(e.kind, toLower(type(e))) AS kind, count(*) AS n
  RETURN {kind: kind, n: n} ORDER BY kind
} AS counted
RETURN
  r.key AS key, r.name AS name, r.created AS created, r.model AS model,
  COLLECT {
    MATCH (r)<-[:FROM_RUN]-(:Feature)-[:IN]->(s:Sae)
    WITH DISTINCT s.key AS sae
    RETURN sae ORDER BY sae
  } AS saes,
  COUNT { (r)<-[:FROM_RUN]-(:Feature) } AS features,
  CASE WHEN $edges THEN counted END AS edges,
  COUNT { (:Community {run: r.key}) } AS communities,
  r.state AS state, r.digest AS digest
ORDER BY created, key
