// Title: Overlap of communities
// Purpose: Which communities of two runs share features, most alike first. A feature that only
//   one of the runs has counts as not shared; `atlas compare` leaves it out.
// Group: communities
// Result: communities
// Parameters:
//   run: run -- Key of one run.
//   other: run -- Key of the other.
//   limit: integer 1..10000 = 50 -- Most rows.
//   min_jaccard: float 0..1 = 0.1 -- Least Jaccard of a pair.
// Columns:
//   key: string -- Key of the community in the first run.
//   label: string -- Its label.
//   size: integer -- Its members.
//   other: string -- Key of the community in the other run.
//   other_label: string -- Its label.
//   other_size: integer -- Its members.
//   shared: integer -- Features in both.
//   jaccard: float -- These divided by the features in either, 0 to 1.
//   share: float -- These as a share of the first, 0 to 1.
//   other_share: float -- These as a share of the other, 0 to 1.
// Table: key, label, size, other, other_label, other_size, shared, jaccard
// Example:
//   :param {run: 'demo-9b77a20e5550', other: 'demo-0f3a8c1d2b4e', min_jaccard: 0.1, limit: 50}
//   atlas query community_overlap --run demo-9b77a20e5550 --other demo-0f3a8c1d2b4e
// Phrase: Communities of $run that overlap with $other
// Graph:
//   MATCH p = (f:Feature)-[:MEMBER_OF]->(:Community {run: $run})
//   MATCH q = (f)-[:MEMBER_OF]->(:Community {run: $other})
//   RETURN p, q LIMIT 300
MATCH (c:Community {run: $run})<-[:MEMBER_OF]-(f:Feature)
MATCH (f)-[:MEMBER_OF]->(d:Community {run: $other})
WITH c, d, count(*) AS shared
WITH c, d, shared, 1.0 * shared / (c.size + d.size - shared) AS jaccard
WHERE jaccard >= $min_jaccard
RETURN
  c.key AS key, c.label AS label, c.size AS size, d.key AS other, d.label AS other_label,
  d.size AS other_size, shared, jaccard, 1.0 * shared / c.size AS share,
  1.0 * shared / d.size AS other_share
ORDER BY jaccard DESC, shared DESC, key, other
LIMIT $limit
