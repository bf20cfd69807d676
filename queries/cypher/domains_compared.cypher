// Title: Two domains compared
// Purpose: Features that tell two domains, or any two concepts, apart: those whose effects in the
//   two differ most. An effect that was not kept (weak, not significant, or not among the
//   strongest) counts as 0.
// Group: concepts
// Result: features
// Parameters:
//   a: concept -- Key of one concept.
//   b: concept -- Key of the other.
//   towards: choice either|a|b = either -- Only features that are more of this one.
//   limit: integer 1..10000 = 20 -- Most rows.
//   run: run? -- Run that found the features; by default the run of each feature's numbers.
// Columns:
//   key: string -- Key of the feature.
//   label: string -- Its label.
//   top_tokens: list -- Tokens it fires on most.
//   difference: float -- Effect in a minus effect in b, -1 to 1.
//   effect_a: float -- Rank-biserial correlation with a, 0.2 to 1; null where it was not kept.
//   effect_b: float -- The same with b.
//   share_a: float -- Share of the documents of a in which it fires; null with the effect.
//   share_b: float -- The same of b.
//   firing_rate: float -- Share of all positions where it fires.
//   community: string -- Key of its community.
// Table: key, label, difference, effect_a, effect_b, share_a, share_b
// Example:
//   :param {a: 'demo/domain/athletics', b: 'demo/domain/basketball', towards: 'either', run: null, limit: 20}
//   atlas query domains_compared --a athletics --b basketball
// Phrase: Features that tell $a from $b
// Graph:
//   MATCH p = (f:Feature)-[r:ABOUT]->(c:Concept)
//   WHERE c.key IN [$a, $b] AND r.run = f.run
//   RETURN p ORDER BY r.auc DESC LIMIT 50
MATCH (c:Concept)<-[r:ABOUT]-(f:Feature)
WHERE c.key IN [$a, $b] AND $a <> $b AND r.run = coalesce($run, f.run)
WITH f, sum(CASE c.key WHEN $a THEN r.effect ELSE -r.effect END) AS difference,
     collect([c.key, r]) AS found
WHERE $towards = 'either' OR ($towards = 'a' AND difference > 0)
  OR ($towards = 'b' AND difference < 0)
WITH f, difference, found
ORDER BY abs(difference) DESC, f.key
LIMIT $limit
WITH f, difference,
     [pair IN found WHERE pair[0] = $a | pair[1]][0] AS in_a,
     [pair IN found WHERE pair[0] = $b | pair[1]][0] AS in_b
RETURN
  f.key AS key, f.label AS label, f.top_tokens AS top_tokens, difference,
  in_a.effect AS effect_a, in_b.effect AS effect_b, in_a.share AS share_a, in_b.share AS share_b,
  f.firing_rate AS firing_rate, f.community AS community
ORDER BY abs(difference) DESC, key
