// Title: Hubs
// Purpose: Features with the highest centrality in the backbone of co-occurrence.
// Group: features
// Result: features
// Parameters:
//   by: choice pagerank|degree|strength|betweenness|closeness|eigenvector = pagerank -- Measure to order by.
//   limit: integer 1..10000 = 20 -- Most rows.
//   dense: boolean = true -- Also features that fire on more than a tenth of the positions.
//   run: run? -- Only features scored by this run's analysis.
// Columns:
//   key: string -- Key of the feature.
//   label: string -- Its label.
//   top_tokens: list -- Tokens it fires on most.
//   score: float -- The measure ordered by.
//   pagerank: float -- PageRank weighted by phi (sum about the number of features).
//   degree: integer -- Edges in the backbone.
//   strength: float -- Sum of phi over those edges.
//   betweenness: float -- Shortest paths through it, unweighted.
//   closeness: float -- Closeness after Wasserman and Faust, 0 to 1.
//   eigenvector: float -- Eigenvector centrality, unweighted, squares sum to 1.
//   firing_rate: float -- Share of positions where it fires.
//   dense: boolean -- Fires on more than a tenth of the positions.
//   community: string -- Key of its community.
//   run: string -- Run whose analysis the scores are of.
// Table: key, label, score, degree, firing_rate, dense, community
// Example:
//   :param {by: 'pagerank', dense: true, run: null, limit: 20}
//   atlas query hubs --by betweenness --limit 10
// Phrase: Hubs
// Graph:
//   MATCH (f:Feature) WHERE f.pagerank IS NOT NULL
//   RETURN f ORDER BY f.pagerank DESC LIMIT 50
MATCH (f:Feature)
WHERE f.scored_run IS NOT NULL AND ($run IS NULL OR f.scored_run = $run) AND f[$by] IS NOT NULL
  AND ($dense OR NOT f.dense)
RETURN
  f.key AS key, f.label AS label, f.top_tokens AS top_tokens, f[$by] AS score,
  f.pagerank AS pagerank, f.degree AS degree, f.strength AS strength,
  f.betweenness AS betweenness, f.closeness AS closeness, f.eigenvector AS eigenvector,
  f.firing_rate AS firing_rate, f.dense AS dense, f.community AS community,
  f.scored_run AS run
ORDER BY score DESC, key
LIMIT $limit
