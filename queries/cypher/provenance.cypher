// Title: Provenance of a feature
// Purpose: For every property of a feature the run, algorithm, map or import that it is from, with
//   parameters, seed, versions and digests.
// Group: runs
// Result: rows
// Parameters:
//   feature: feature -- Key of the feature.
//   property: string? -- Only this property.
// Columns:
//   property: string -- Name of the property.
//   value: string -- Its value as text; null for lists and vectors.
//   made_by: string -- build, algorithm, map, import, or unknown.
//   maker: string -- Key of the Run, AlgorithmRun or Explanation.
//   run: string -- Run that it is of.
//   name: string -- Name of the build or of the algorithm; method of an explanation.
//   parameters: string -- Parameters of the build or the algorithm, as JSON.
//   seed: integer -- Seed of the algorithm. Those of a build are among its parameters.
//   versions: string -- Versions of the libraries, as JSON.
//   recipe: string -- SHA-256 of the recipe of the run.
//   digest: string -- SHA-256 over the tables of the run, or of the file that was imported.
//   created: string -- When it was made.
// Table: property, value, made_by, maker, seed, created
// Example:
//   :param {feature: 'smollm2-135m/blocks.18.hook_resid_pre/topk/12', property: null}
//   atlas query provenance --feature 12 --property pagerank
// Phrase: Provenance of $feature
// Graph:
//   MATCH (f:Feature {key: $feature})
//   OPTIONAL MATCH p = (f)-[:FROM_RUN]->(:Run)
//   OPTIONAL MATCH q = (f)-[:MEMBER_OF]->(:Community)-[:PRODUCED_BY]->(:AlgorithmRun)
//   OPTIONAL MATCH e = (f)<-[:EXPLAINS]-(:Explanation)
//   RETURN f, p, q, e LIMIT 50
MATCH (f:Feature {key: $feature})
UNWIND [name IN keys(f) WHERE name = coalesce($property, name)] AS property
// An algorithm's record is named for the first property that it wrote.
WITH f, property,
  property IN ['label', 'label_source'] AND f.label_source = 'neuronpedia' AS imported,
  f.label_run IS NOT NULL AND property IN [
    'label', 'label_source', 'label_embedding', 'label_score', 'label_contexts', 'label_run'
  ] AS labelled,
  property IN [
    'key', 'index', 'run', 'n', 'd', 'firing_rate', 'mean', 'max', 'std', 'dead', 'dense',
    'logit_mean', 'logit_std', 'logit_skew', 'logit_kurtosis', 'label', 'label_source',
    'top_tokens', 'top_words', 'promoted', 'suppressed', 'top_domain', 'top_domain_share',
    'decoder', 'label_embedding'
  ] AS loaded,
  CASE WHEN property =~ 'map_(.+_)?(x|y|run)' THEN
    left(property, size(property) - size(split(property, '_')[-1]) - 1) END AS map,
  CASE
    WHEN property = 'scored_run' THEN 'community'
    WHEN property STARTS WITH 'authority' THEN 'hub' + substring(property, 9)
    WHEN property STARTS WITH 'component_levels' THEN 'component' + substring(property, 16)
    ELSE replace(property, '_levels', '_group')
  END AS recorded
// What labels a feature anew writes over what the build wrote, and names its own record.
WITH *, labelled AND NOT imported AS relabelled, loaded AND NOT labelled AS built
OPTIONAL CALL (f, imported, built, relabelled, map, recorded) {
  WITH * WHERE relabelled
  MATCH (a:AlgorithmRun {key: f.label_run})
  RETURN a
UNION ALL
  WITH *, CASE WHEN map IS NULL THEN f.scored_run ELSE f[map + '_run'] END AS scored
  WHERE NOT built AND NOT relabelled AND NOT imported
  MATCH (a:AlgorithmRun {run: scored, property: coalesce(map, recorded)})
  RETURN a ORDER BY a.key LIMIT 1
}
OPTIONAL CALL (f, imported) {
  WITH * WHERE imported
  MATCH (e:Explanation)-[x:EXPLAINS]->(f) WHERE e.text = f.label
  RETURN e, x ORDER BY e.key LIMIT 1
}
WITH f, property, a, e, x,
  CASE WHEN imported THEN 'import' WHEN built THEN 'build' WHEN a IS NULL THEN 'unknown'
       WHEN map IS NULL THEN 'algorithm' ELSE 'map' END AS made_by
WITH *, CASE made_by WHEN 'build' THEN f.run WHEN 'import' THEN x.run ELSE a.run END AS run
OPTIONAL MATCH (r:Run {key: run})
RETURN
  property, toStringOrNull(f[property]) AS value, made_by,
  CASE made_by WHEN 'build' THEN r.key WHEN 'import' THEN e.key ELSE a.key END AS maker,
  run,
  CASE made_by WHEN 'build' THEN r.name WHEN 'import' THEN e.method ELSE a.algorithm END AS name,
  CASE made_by WHEN 'build' THEN r.parameters ELSE a.parameters END AS parameters,
  a.seed AS seed,
  CASE WHEN made_by = 'build' THEN r.versions WHEN a IS NOT NULL THEN
    coalesce(a.versions, '{' + reduce(text = '', part IN COLLECT {
      UNWIND keys(a) AS name
      WITH name
      WHERE name ENDS WITH '_version' OR name IN ['igraph', 'numpy', 'scikit-learn', 'scipy']
      RETURN '"' + replace(name, '_version', '') + '": "' + a[name] + '"' ORDER BY name
    } | text + CASE text WHEN '' THEN '' ELSE ', ' END + part) + '}') END AS versions,
  r.recipe_sha256 AS recipe,
  CASE made_by WHEN 'import' THEN x.sha256 ELSE r.digest END AS digest,
  CASE made_by WHEN 'build' THEN r.created ELSE toString(a.created) END AS created
ORDER BY property
