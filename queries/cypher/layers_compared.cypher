// Title: Layers compared
// Purpose: Features of two SAEs of one model: which are joined by FEEDS, which of the one have no
//   counterpart in the other (vanish), and which of the other have none in the one (appear). For
//   those shown the nearest decoder vector of the other SAE is looked up, so that a feature that
//   goes on without a FEEDS is seen. Reads all FEEDS.
// Group: runs
// Result: features
// Parameters:
//   a: sae -- Key of the SAE of the earlier layer.
//   b: sae -- Key of the SAE of the later layer.
//   show: choice joined|vanishes|appears = joined -- Which features: of a with FEEDS, of a without, or of b without.
//   run: run? -- Run that the FEEDS are of; by default the run of the feature's numbers.
//   limit: integer 1..1000 = 20 -- Most rows. Joined are ordered by phi, the others by firing rate.
// Columns:
//   key: string -- Key of the feature: of a, or of b where it appears.
//   label: string -- Its label.
//   top_tokens: list -- Tokens it fires on most.
//   firing_rate: float -- Share of positions where it fires.
//   change: string -- joined, vanishes or appears.
//   other: string -- Feature of the other SAE: the one joined with the largest phi; else the nearest decoder of the nearest 100 in the database.
//   other_label: string -- Its label.
//   other_tokens: list -- Tokens it fires on most.
//   cosine: float -- Cosine of the two decoder vectors, -1 to 1.
//   phi: float -- Correlation of the two firings, -1 to 1; null without FEEDS.
//   n: integer -- Positions where both fire.
//   weight: float -- Decoder vector of the earlier by encoder vector of the later.
//   weight_cosine: float -- Cosine of those, -1 to 1.
//   run: string -- Run that the FEEDS is of.
// Table: key, label, change, other, other_label, cosine, phi
// Example:
//   :param {a: 'smollm2-135m/blocks.12.hook_resid_pre/topk', b: 'smollm2-135m/blocks.18.hook_resid_pre/topk', show: 'joined', run: null, limit: 20}
//   atlas query layers_compared --a blocks.12.hook_resid_pre/topk --b blocks.18.hook_resid_pre/topk
// Phrase: From layer $a to layer $b
// Graph:
//   MATCH p = (:Sae {key: $a})<-[:IN]-(:Feature)-[e:FEEDS]->(:Feature)-[:IN]->(:Sae {key: $b})
//   RETURN p ORDER BY e.phi DESC LIMIT 50
MATCH (a:Sae {key: $a})
MATCH (b:Sae {key: $b})
WHERE a <> b
CALL (a, b) {
  UNWIND CASE $show WHEN 'joined' THEN [1] ELSE [] END AS wanted
  MATCH (a)<-[:IN]-(f:Feature)
  CALL (f, b) {
    MATCH (f)-[e:FEEDS]-(o:Feature)
    WHERE e.run = coalesce($run, f.run) AND EXISTS { (o)-[:IN]->(b) }
    RETURN o, e ORDER BY coalesce(e.phi, -2.0) DESC, o.key LIMIT 1
  }
  WITH f, o, e ORDER BY coalesce(e.phi, -2.0) DESC, f.key LIMIT $limit
  RETURN f, o, e,
    CASE WHEN size(f.decoder) = size(o.decoder)
         THEN 2 * vector.similarity.cosine(f.decoder, o.decoder) - 1 END AS cosine
UNION ALL
  UNWIND CASE $show WHEN 'vanishes' THEN [[a, b]] WHEN 'appears' THEN [[b, a]] ELSE [] END AS pair
  WITH pair[0] AS here, pair[1] AS there
  MATCH (here)<-[:IN]-(f:Feature)
  WHERE NOT f.dead AND ($run IS NULL OR EXISTS { (f)-[:FROM_RUN]->(:Run {key: $run}) })
    AND NOT EXISTS {
      MATCH (f)-[e:FEEDS]-(o:Feature)
      WHERE e.run = coalesce($run, f.run) AND EXISTS { (o)-[:IN]->(there) }
    }
  WITH f, there ORDER BY f.firing_rate DESC, f.key LIMIT $limit
  OPTIONAL CALL (f, there) {
    WITH f, there WHERE f.decoder IS NOT NULL
    CALL db.index.vector.queryNodes('feature_decoder', 100, f.decoder) YIELD node, score
    WITH node AS o, 2 * score - 1 AS cosine, there
    WHERE EXISTS { (o)-[:IN]->(there) }
    RETURN o, cosine ORDER BY cosine DESC, o.key LIMIT 1
  }
  RETURN f, o, null AS e, cosine
}
RETURN
  f.key AS key, f.label AS label, f.top_tokens AS top_tokens, f.firing_rate AS firing_rate,
  $show AS change, o.key AS other, o.label AS other_label, o.top_tokens AS other_tokens,
  cosine, e.phi AS phi, e.n AS n, e.weight AS weight, e.weight_cosine AS weight_cosine,
  e.run AS run
ORDER BY CASE $show WHEN 'joined' THEN coalesce(phi, -2.0) ELSE firing_rate END DESC, key
