// Title: Features
// Purpose: Several features by name, with their main figures. The rows are in the order of the names.
// Group: features
// Result: features
// Parameters:
//   features: features -- Keys of the features.
// Columns:
//   key: string -- Key of the feature.
//   index: integer -- Index in its SAE.
//   label: string -- Its label.
//   top_tokens: list -- Tokens it fires on most.
//   n: integer -- Positions where it fires.
//   d: integer -- Documents where it fires.
//   firing_rate: float -- Share of positions where it fires.
//   mean: float -- Mean activation where it fires.
//   max: float -- Largest activation.
//   dead: boolean -- Never fires in the corpus.
//   dense: boolean -- Fires on more than a tenth of the positions.
//   pagerank: float -- PageRank weighted by phi (sum about the number of features).
//   degree: integer -- Edges in the backbone.
//   top_domain: string -- Most distinctive domain of the documents in which it fires.
//   community: string -- Key of its community.
//   run: string -- Run that the numbers are of.
// Table: key, label, n, firing_rate, pagerank, community
// Example:
//   :param {features: ['smollm2-135m/blocks.18.hook_resid_pre/topk/12', 'smollm2-135m/blocks.18.hook_resid_pre/topk/40']}
//   atlas query features --features 12 --features 40
// Phrase: Features like $features
// Graph:
//   UNWIND $features AS text UNWIND split(text, ' ') AS key
//   MATCH (f:Feature {key: key}) RETURN f
UNWIND range(0, size($features) - 1) AS place
MATCH (f:Feature {key: $features[place]})
RETURN
  f.key AS key, f.index AS index, f.label AS label, f.top_tokens AS top_tokens, f.n AS n,
  f.d AS d, f.firing_rate AS firing_rate, f.mean AS mean, f.max AS max, f.dead AS dead,
  f.dense AS dense, f.pagerank AS pagerank, f.degree AS degree, f.top_domain AS top_domain,
  f.community AS community, f.run AS run
ORDER BY place
