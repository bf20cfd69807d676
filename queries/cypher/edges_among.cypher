// Title: Edges among features
// Purpose: All edges whose two ends are in a set of features, kind by kind, strongest first.
// Group: relations
// Result: rows
// Parameters:
//   features: features -- Keys of the features.
//   kind: choice? token|topic|exclusive|implies|similar|feeds -- Only edges of this kind.
//   limit: integer 1..100000 = 1000 -- Most rows.
//   run: run? -- Run that the edges are of; by default of each feature the run of its numbers.
// Columns:
//   source: string -- Key of one feature.
//   source_label: string -- Its label.
//   target: string -- Key of the other.
//   target_label: string -- Its label.
//   kind: string -- token, topic and exclusive co-occurrence; implies, similar or feeds.
//   directed: boolean -- Whether the edge leads from source to target; false where it has no direction.
//   strength: float -- phi (token, feeds), r_topic, -phi_within (exclusive), share of the source's firings (implies), or cosine.
//   n: integer -- Positions where both fire; null for similar.
//   phi: float -- Correlation of the two firings, of token, topic, exclusive and feeds.
//   mutual: boolean -- Among the strongest edges of both.
//   run: string -- Run that the edge is of.
// Table: source_label, target_label, kind, strength, n
// Example:
//   :param {features: ['smollm2-135m/blocks.18.hook_resid_pre/topk/12', 'smollm2-135m/blocks.18.hook_resid_pre/topk/40', 'smollm2-135m/blocks.18.hook_resid_pre/topk/77'], kind: null, run: null, limit: 1000}
//   atlas query edges_among --features 12 --features 40 --features 77
// Phrase: Edges among $features
// Graph:
//   UNWIND $features AS text UNWIND split(text, ' ') AS key
//   MATCH (f:Feature {key: key})
//   WITH collect(f) AS chosen
//   UNWIND chosen AS f
//   OPTIONAL MATCH p = (f)-[:CO_OCCURS|IMPLIES|SIMILAR_TO|FEEDS]->(o) WHERE o IN chosen
//   RETURN f, p LIMIT 1000
MATCH (a:Feature) WHERE a.key IN $features
WITH collect(a) AS chosen
UNWIND chosen AS a
WITH a, chosen, coalesce($run, a.run) AS run
MATCH (a)-[e:CO_OCCURS|IMPLIES|SIMILAR_TO|FEEDS]->(b)
WHERE b IN chosen AND e.run = run
WITH a, e, b,
     CASE type(e)
       WHEN 'CO_OCCURS' THEN e.kind
       WHEN 'IMPLIES' THEN 'implies' WHEN 'SIMILAR_TO' THEN 'similar' ELSE 'feeds'
     END AS kind
WHERE $kind IS NULL OR kind = $kind
WITH a, e, b, kind,
     CASE kind
       WHEN 'topic' THEN e.r_topic WHEN 'exclusive' THEN -e.phi_within
       WHEN 'implies' THEN e.p_target_given_source WHEN 'similar' THEN e.cosine
       ELSE e.phi
     END AS strength
ORDER BY kind, coalesce(strength, -2.0) DESC, e.key
LIMIT $limit
RETURN
  a.key AS source, a.label AS source_label, b.key AS target, b.label AS target_label, kind,
  kind IN ['implies', 'feeds'] AS directed, strength, e.n AS n, e.phi AS phi,
  e.mutual AS mutual, e.run AS run
ORDER BY kind, coalesce(strength, -2.0) DESC, e.key
