// Title: Edges between two sets
// Purpose: All edges from a set of features to another, in either direction, kind by kind,
//   strongest first.
// Group: relations
// Result: rows
// Parameters:
//   sources: features -- Keys of the features of one set.
//   targets: features -- Keys of the features of the other.
//   kind: choice? token|topic|exclusive|implies|similar|feeds -- Only edges of this kind.
//   limit: integer 1..100000 = 1000 -- Most rows.
//   run: run? -- Run that the edges are of; by default of each feature the run of its numbers.
// Columns:
//   source: string -- Key of a feature; of the first set unless the edge leads the other way.
//   source_label: string -- Its label.
//   target: string -- Key of the other.
//   target_label: string -- Its label.
//   kind: string -- token, topic and exclusive co-occurrence; implies, similar or feeds.
//   directed: boolean -- Whether the edge leads from source to target; false where it has none.
//   strength: float -- phi (token, feeds), r_topic, -phi_within (exclusive), share of the source's firings (implies), or cosine.
//   n: integer -- Positions where both fire; null for similar.
//   phi: float -- Correlation of the two firings, of token, topic, exclusive and feeds.
//   mutual: boolean -- Among the strongest edges of both.
//   run: string -- Run that the edge is of.
// Table: source_label, target_label, kind, strength, n
// Example:
//   :param {sources: ['smollm2-135m/blocks.18.hook_resid_pre/topk/12', 'smollm2-135m/blocks.18.hook_resid_pre/topk/40'], targets: ['smollm2-135m/blocks.18.hook_resid_pre/topk/77'], kind: null, run: null, limit: 1000}
//   atlas query edges_between --sources 12 --sources 40 --targets 77
// Phrase: Edges from $sources to $targets
// Graph:
//   UNWIND $targets AS text UNWIND split(text, ' ') AS key
//   MATCH (o:Feature {key: key})
//   WITH collect(o) AS ends
//   UNWIND $sources AS text UNWIND split(text, ' ') AS key
//   MATCH p = (f:Feature {key: key})-[:CO_OCCURS|IMPLIES|SIMILAR_TO|FEEDS]-(o:Feature)
//   WHERE o IN ends
//   RETURN p LIMIT 1000
MATCH (t:Feature) WHERE t.key IN $targets
WITH collect(t) AS ends
MATCH (s:Feature) WHERE s.key IN $sources
WITH ends, s, coalesce($run, s.run) AS run
MATCH (s)-[e:CO_OCCURS|IMPLIES|SIMILAR_TO|FEEDS]-(t)
WHERE t IN ends
WITH DISTINCT e, run, CASE
  WHEN type(e) IN ['IMPLIES', 'FEEDS'] OR t.key IN $sources AND s.key IN $targets
    THEN startNode(e) ELSE s
END AS a
WITH e, a, CASE WHEN startNode(e) = a THEN endNode(e) ELSE startNode(e) END AS b, run
WHERE e.run = run
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
