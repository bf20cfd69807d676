// Title: Contexts of two features
// Purpose: Contexts that are among the strongest firings of two features, and then those that
//   their token edge keeps as examples of firing together.
// Group: relations
// Result: rows
// Parameters:
//   a: feature -- Key of one feature.
//   b: feature -- Key of the other.
//   limit: integer 1..10000 = 20 -- Most rows.
//   run: run? -- Run of the firings and the edge; by default of each feature the run of its numbers.
// Columns:
//   key: string -- Key of the context, {document}/{position}.
//   text: string -- Its text.
//   tokens: list -- Its tokens.
//   activations_a: list -- Activation of a at each token; null where it is no kept firing of a.
//   activations_b: list -- Activation of b at each token; null where it is no kept firing of b.
//   activation_a: float -- Activation of a at the position; null as above.
//   activation_b: float -- Activation of b at the position; null as above.
//   weaker: float -- The smaller of the two as a share of the feature's largest activation, 0 to 1.
//   on_edge: boolean -- Kept with the token edge of the two: both fire at the position.
//   position: integer -- Position in the document.
//   document: string -- Key of the document.
//   domain: string -- Its domain.
// Table: text, activation_a, activation_b, weaker, on_edge, domain
// Example:
//   :param {a: 'smollm2-135m/blocks.18.hook_resid_pre/topk/12', b: 'smollm2-135m/blocks.18.hook_resid_pre/topk/40', run: null, limit: 20}
//   atlas query joint_contexts --a 12 --b 40
// Phrase: Contexts of both $a and $b
// Graph:
//   MATCH p = (:Feature {key: $a})-[:FIRES_IN]->(:Context)<-[:FIRES_IN]-(:Feature {key: $b})
//   RETURN p LIMIT 50
MATCH (a:Feature {key: $a})
MATCH (b:Feature {key: $b})
WITH a, b, coalesce($run, a.run) AS run_a, coalesce($run, b.run) AS run_b
WITH a, b, run_a, run_b, COLLECT {
  MATCH (a)-[e:CO_OCCURS {kind: 'token'}]-(b) WHERE e.run = run_a
  UNWIND e.contexts AS key
  RETURN key
} AS kept
CALL (a, b, run_a, run_b, kept) {
  MATCH (a)-[p:FIRES_IN]->(x:Context)<-[q:FIRES_IN]-(b)
  USING JOIN ON x
  WHERE p.run = run_a AND q.run = run_b
  RETURN x
UNION
  UNWIND kept AS key
  MATCH (x:Context {key: key})
  RETURN x
}
MATCH (x)-[:FROM_DOCUMENT]->(d:Document)
OPTIONAL MATCH (a)-[p:FIRES_IN]->(x) WHERE p.run = run_a
OPTIONAL MATCH (b)-[q:FIRES_IN]->(x) WHERE q.run = run_b
WITH x, d, p, q, kept, p.activation / a.max AS part_a, q.activation / b.max AS part_b
WITH x, d, p, q, kept, CASE WHEN part_a < part_b THEN part_a ELSE part_b END AS weaker,
     CASE WHEN p IS NULL OR q IS NULL THEN 1 ELSE 0 END AS lacking
RETURN
  x.key AS key, x.text AS text, x.tokens AS tokens,
  p.activations AS activations_a, q.activations AS activations_b,
  p.activation AS activation_a, q.activation AS activation_b, weaker,
  x.key IN kept AS on_edge, x.position AS position, d.key AS document, d.domain AS domain
ORDER BY lacking, weaker DESC, key
LIMIT $limit
