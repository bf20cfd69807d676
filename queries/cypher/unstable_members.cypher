// Title: Unstable members
// Purpose: Members of a community, or of all, that fewest of the runs behind a consensus put in
//   its core: those that a community may as well do without. Nothing for one run of Leiden, which
//   does not say.
// Group: communities
// Result: features
// Parameters:
//   community: community? -- Key of a community; by default all.
//   limit: integer 1..10000 = 20 -- Most rows.
//   below: float 0..1 = 1 -- Only members that stay no more than this.
//   run: run? -- Only communities of this run.
// Columns:
//   key: string -- Key of the member.
//   label: string -- Its label.
//   top_tokens: list -- Tokens it fires on most.
//   stay: float -- Share of the runs in which it is in the community's core, 0 to 1.
//   community: string -- Key of the community.
//   community_label: string -- Its label.
//   size: integer -- Its members.
//   stability: float -- Its stability over halves of the documents, 0 to 1.
//   degree: integer -- The member's edges in the backbone of the centralities; null where these are of another run.
//   firing_rate: float -- Share of positions where it fires, 0 to 1.
//   run: string -- Run.
// Table: key, label, stay, community_label, size, degree
// Example:
//   :param {community: null, below: 1.0, run: null, limit: 20}
//   atlas query unstable_members --below 0.5
// Phrase: Unstable members of community $community
// Graph:
//   MATCH p = (f:Feature)-[m:MEMBER_OF]->(:Community {key: $community})
//   WHERE m.stay IS NOT NULL
//   RETURN p ORDER BY m.stay, f.key LIMIT 50
MATCH (c:Community)
WHERE ($community IS NULL OR c.key = $community) AND ($run IS NULL OR c.run = $run)
MATCH (f:Feature)-[m:MEMBER_OF]->(c)
WHERE m.stay <= $below
WITH c, f, m.stay AS stay
ORDER BY stay, f.key, c.key
LIMIT $limit
RETURN
  f.key AS key, f.label AS label, f.top_tokens AS top_tokens, stay, c.key AS community,
  c.label AS community_label, c.size AS size, c.stability AS stability,
  CASE WHEN f.scored_run = c.run THEN f.degree END AS degree,
  f.firing_rate AS firing_rate, c.run AS run
ORDER BY stay, key, community
