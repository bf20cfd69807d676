// Title: Provenance of edges
// Purpose: For each relationship between two features what made it: the run with its recipe, corpus
//   and parameters, an algorithm, an experiment or an import, and the test that it passed.
// Group: runs
// Result: rows
// Parameters:
//   a: feature -- Key of one feature.
//   b: feature -- Key of the other.
// Columns:
//   relation: string -- Type of the relationship.
//   kind: string -- Kind of co-occurrence; null for the other types.
//   direction: string -- 'a - b' where it has none, 'a to b' or 'b to a'.
//   key: string -- Key of the relationship; null for what algorithms made.
//   made_by: string -- build, attribution, intervention, algorithm or import.
//   maker: string -- Key of the Run, AlgorithmRun, Intervention or AttributionGraph.
//   run: string -- Run that it is of.
//   created: string -- When that was made.
//   recipe: string -- SHA-256 of the recipe of the run.
//   digest: string -- SHA-256 over the tables of the run, or of the file that was imported.
//   corpus: string -- Text of the build, or prompt set.
//   corpus_digest: string -- SHA-256 of the text.
//   model: string -- Key of the model.
//   parameters: string -- Parameters, as JSON, with the false discovery rate asked for.
//   versions: string -- Versions of the libraries that built it, as JSON.
//   counts: string -- Counts of the run, as JSON: how many pairs were tested, among others.
//   n: integer -- Positions, or prompts, where both fire.
//   z: float -- Document-robust z of the joint firings.
//   p: float -- p-value of the test.
//   q: float -- False discovery rate at which it passes.
// Table: relation, kind, direction, made_by, maker, created, n, p, q
// Example:
//   :param {a: 'smollm2-135m/blocks.18.hook_resid_pre/topk/12', b: 'smollm2-135m/blocks.18.hook_resid_pre/topk/40'}
//   atlas query edge_provenance --a 12 --b 40
// Phrase: What joins $a and $b
// Graph:
//   MATCH p = (a:Feature {key: $a})--(b:Feature {key: $b}) RETURN p LIMIT 50
MATCH (a:Feature {key: $a})
MATCH (b:Feature {key: $b})
MATCH (a)-[e]-(b)
OPTIONAL MATCH (r:Run {key: e.run})
OPTIONAL MATCH (done:AlgorithmRun {key: e.algorithm_run})
OPTIONAL MATCH (i:Intervention {key: e.intervention})
OPTIONAL MATCH (g:AttributionGraph {key: e.graph})
WITH a, e, r, done, i, g,
  CASE WHEN done IS NOT NULL OR e.algorithm_run IS NOT NULL THEN 'algorithm'
       WHEN type(e) = 'ATTRIBUTES' THEN 'import' WHEN type(e) = 'AFFECTS' THEN 'intervention'
       WHEN type(e) = 'CO_ATTRIBUTED' THEN 'attribution' ELSE 'build' END AS made_by
RETURN
  type(e) AS relation, e.kind AS kind,
  // NEAR and SHARES_NEIGHBOURS lead from a feature to one of the best for it.
  CASE WHEN type(e) IN ['CO_OCCURS', 'SIMILAR_TO', 'CO_ATTRIBUTED', 'MAY_JOIN'] THEN 'a - b'
       WHEN startNode(e) = a THEN 'a to b' ELSE 'b to a' END AS direction,
  e.key AS key, made_by,
  CASE made_by WHEN 'algorithm' THEN e.algorithm_run WHEN 'import' THEN e.graph
               WHEN 'intervention' THEN e.intervention ELSE e.run END AS maker,
  e.run AS run,
  CASE made_by WHEN 'algorithm' THEN toString(done.created)
               WHEN 'intervention' THEN toString(i.created) ELSE toString(r.created) END AS created,
  r.recipe_sha256 AS recipe,
  CASE made_by WHEN 'import' THEN g.sha256 ELSE r.digest END AS digest,
  coalesce(e.prompt_set, r.corpus) AS corpus, r.corpus_sha256 AS corpus_digest, r.model AS model,
  CASE made_by WHEN 'algorithm' THEN done.parameters WHEN 'intervention' THEN i.parameters
               WHEN 'import' THEN null ELSE r.parameters END AS parameters,
  r.versions AS versions, r.counts AS counts,
  coalesce(e.n, e.n_both, e.prompts) AS n, e.z AS z, e.p AS p, e.q AS q
ORDER BY relation, kind, direction, run, maker, key
