// Title: Findings of studies
// Purpose: What studies found: each question with its test, estimate, interval and verdict, and the
//   features that it concerns, newest study first.
// Group: experiments
// Result: rows
// Parameters:
//   feature: feature? -- Only findings that concern this feature.
//   run: string? -- Only those of this study.
//   limit: integer 1..10000 = 50 -- Most rows.
// Columns:
//   key: string -- Key of the finding.
//   name: string -- What was looked at.
//   question: string -- What was asked.
//   verdict: string -- What was found, in words.
//   test: string -- Test that p is of.
//   unit: string -- Unit of inference, of which there are n.
//   statistic: float -- The test's statistic.
//   estimate: float -- Size of what was found.
//   low: float -- Lower end of its 95% interval.
//   high: float -- Upper end.
//   p: float -- p-value.
//   q: float -- False discovery rate among what was tested together.
//   n: integer -- Number of units.
//   concerns: list -- Up to twenty of the features that it is about, in their order: feature, label, value.
//   features: integer -- Number of features that it is about.
//   value: float -- What the feature asked for has in it; null without one.
//   run: string -- Run of the study.
// Table: name, verdict, estimate, low, high, p, q, n, features
// Example:
//   :param {feature: null, run: null, limit: 50}
//   atlas query findings --limit 5
// Phrase: Findings of studies
// Graph:
//   MATCH (x:Finding)
//   OPTIONAL MATCH p = (x)-[:CONCERNS]->(:Feature)
//   RETURN x, p LIMIT 100
CALL () {
  UNWIND CASE WHEN $feature IS NULL THEN [1] ELSE [] END AS wanted
  MATCH (x:Finding)
  RETURN x, null AS value
UNION ALL
  MATCH (:Feature {key: $feature})<-[e:CONCERNS]-(x:Finding)
  RETURN x, e.value AS value
}
WITH x, value WHERE $run IS NULL OR x.run = $run
OPTIONAL MATCH (r:Run {key: x.run})
WITH x, value, r, toInteger(split(x.key, '/f')[-1]) AS number
ORDER BY r.created DESC, x.run, number LIMIT $limit
RETURN
  x.key AS key, x.name AS name, x.question AS question, x.verdict AS verdict, x.test AS test,
  x.unit AS unit, x.statistic AS statistic, x.estimate AS estimate, x.low AS low, x.high AS high,
  x.p AS p, x.q AS q, x.n AS n,
  COLLECT {
    MATCH (x)-[e:CONCERNS]->(f:Feature)
    RETURN {feature: f.key, label: f.label, value: e.value}
    ORDER BY coalesce(e.rank, 2147483647), f.key LIMIT 20
  } AS concerns,
  COUNT { (x)-[:CONCERNS]->(:Feature) } AS features, value, x.run AS run
ORDER BY r.created DESC, run, number
