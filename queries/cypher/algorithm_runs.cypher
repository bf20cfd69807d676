// Title: Algorithm runs
// Purpose: The algorithms that ran on the graph: on which run, what they wrote, with which
//   parameters, seed and versions, and how long they took.
// Group: runs
// Result: rows
// Parameters:
//   run: run? -- Only algorithms on this run.
//   limit: integer 1..10000 = 100 -- Most rows.
// Columns:
//   key: string -- Key of the algorithm's run, {run}/{what it wrote}.
//   run: string -- Run that it ran on.
//   algorithm: string -- Algorithm.
//   property: string -- Property of the features that it wrote; its first, if several.
//   engine: string -- What computed it: gds, networkx, igraph, networkit, or null for a map.
//   top_k: integer -- Edges had to be among the strongest so many of both ends.
//   parameters: string -- Parameters, as JSON.
//   projection: string -- Edges and weights that it read, as JSON.
//   seed: integer -- Seed; null where nothing is random.
//   exact: boolean -- Whether the result is exact rather than estimated or a local optimum.
//   versions: string -- Versions of the libraries, as JSON.
//   milliseconds: integer -- Wall time, milliseconds.
//   created: string -- When it ran.
//   communities: integer -- Communities that it made.
//   record: map -- All that is kept of it, with measures of quality.
// Table: key, algorithm, property, engine, seed, exact, milliseconds, created
// Example:
//   :param {run: null, limit: 100}
//   atlas query algorithm_runs
// Phrase: Algorithm runs
// Graph:
//   MATCH p = (:AlgorithmRun)-[:USED]->(:Run) RETURN p LIMIT 100
MATCH (a:AlgorithmRun)
WHERE $run IS NULL OR a.run = $run
WITH a ORDER BY a.run, a.created, a.key LIMIT $limit
RETURN
  a.key AS key, a.run AS run, a.algorithm AS algorithm, a.property AS property,
  a.engine AS engine, a.top_k AS top_k, a.parameters AS parameters, a.projection AS projection,
  a.seed AS seed, a.exact AS exact,
  coalesce(a.versions, '{' + reduce(text = '', part IN COLLECT {
    UNWIND keys(a) AS name
    WITH name
    WHERE name ENDS WITH '_version' OR name IN ['igraph', 'numpy', 'scikit-learn', 'scipy']
    RETURN '"' + replace(name, '_version', '') + '": "' + a[name] + '"' ORDER BY name
  } | text + CASE text WHEN '' THEN '' ELSE ', ' END + part) + '}') AS versions,
  a.milliseconds AS milliseconds, toString(a.created) AS created,
  COUNT { (a)<-[:PRODUCED_BY]-(:Community) } AS communities, properties(a) AS record
ORDER BY run, created, key
