// Title: Communities of features
// Purpose: The communities that a set of features lies in, those with most of the set first.
// Group: communities
// Result: communities
// Parameters:
//   features: features -- Keys of the features.
//   limit: integer 1..10000 = 20 -- Most rows.
//   run: run? -- Run that the communities are of; by default the run of each feature's scores.
// Columns:
//   key: string -- Key of the community.
//   number: integer -- Its number within the run.
//   label: string -- Its label.
//   size: integer -- Its members.
//   members: integer -- Features of the set that are in it.
//   share: float -- These as a share of the set, 0 to 1. Features in no community count too.
//   share_of_community: float -- These as a share of the community, 0 to 1.
//   lift: float -- How many times more than if the set were drawn from all features of the run.
//   features: list -- Keys of these features.
//   run: string -- Run.
// Table: number, label, size, members, share, lift
// Example:
//   :param {features: ['smollm2-135m/blocks.18.hook_resid_pre/topk/12', 'smollm2-135m/blocks.18.hook_resid_pre/topk/40'], run: null, limit: 20}
//   atlas query communities_of --features 12 --features 40
// Phrase: Communities of $features
// Graph:
//   MATCH p = (f:Feature)-[:MEMBER_OF]->(:Community)
//   WHERE f.key IN $features
//   RETURN p LIMIT 300
UNWIND $features AS given
WITH DISTINCT given
MATCH (f:Feature {key: given})
WITH collect(f) AS set
UNWIND set AS f
MATCH (f)-[:MEMBER_OF]->(c:Community)
WHERE c.run = coalesce($run, f.scored_run)
WITH c, size(set) AS asked, f.key AS feature
ORDER BY feature
WITH c, asked, collect(feature) AS found
WITH c, found, size(found) AS members, 1.0 * size(found) / asked AS share
ORDER BY members DESC, 1.0 * members / c.size DESC, c.key
LIMIT $limit
MATCH (r:Run {key: c.run})
WITH c, found, members, share, COUNT { (r)<-[:FROM_RUN]-() } AS everyone
RETURN
  c.key AS key, c.number AS number, c.label AS label, c.size AS size, members, share,
  1.0 * members / c.size AS share_of_community, share * everyone / c.size AS lift,
  found AS features, c.run AS run
ORDER BY members DESC, share_of_community DESC, key
