// Title: Evidence
// Purpose: What joins two features statistically beside what interventions on the one were measured
//   to change in the other. The verdict asks only whether a change passes, not whether its sign is
//   the expected one, which depends on the intervention: read change with kind and strength.
// Group: experiments
// Result: row
// Parameters:
//   a: feature -- Key of one feature.
//   b: feature -- Key of the other.
//   max_q: float 0..1 = 0.05 -- Largest false discovery rate of a change that confirms.
// Columns:
//   a: string -- Key of the one feature.
//   b: string -- Key of the other.
//   a_label: string -- Label of the one.
//   b_label: string -- Label of the other.
//   verdict: string -- confirmed (joined, and a change passes), not confirmed (joined, changes measured, none passes), not measured (joined only), causal only (a change passes, nothing joins them) or nothing.
//   co_occurs: list -- CO_OCCURS: kind, n, npmi, phi, phi_within, r_topic, z, q, run.
//   feeds: list -- FEEDS: direction, n, phi, weight, weight_cosine, q, run.
//   implies: list -- IMPLIES: direction, n, p_target_given_source, absorption, q, run.
//   co_attributed: list -- CO_ATTRIBUTED: prompt_set, metric, r, r_low, r_high, prompts, q, run.
//   affects: list -- AFFECTS: direction, metric, change, low, high, prompts, p, q, passes, kind, mode, strength, unit, features (intervened on at once), intervention, run.
//   a_to_b: float -- Largest change in b by interventions on a that passes; null without one.
//   b_to_a: float -- Largest change in a by interventions on b that passes; null without one.
// Table: verdict, co_occurs, feeds, co_attributed, affects
// Example:
//   :param {a: 'smollm2-135m/blocks.18.hook_resid_pre/topk/12', b: 'smollm2-135m/blocks.18.hook_resid_pre/topk/40', max_q: 0.05}
//   atlas query evidence --a 12 --b 40
// Phrase: Evidence for $a and $b
// Graph:
//   MATCH p = (:Feature {key: $a})-[:CO_OCCURS|FEEDS|IMPLIES|CO_ATTRIBUTED|AFFECTS]-(:Feature {key: $b})
//   RETURN p LIMIT 50
MATCH (a:Feature {key: $a})
MATCH (b:Feature {key: $b})
OPTIONAL MATCH (a)-[e:CO_OCCURS|FEEDS|IMPLIES|CO_ATTRIBUTED|AFFECTS]-(b)
OPTIONAL MATCH (i:Intervention {key: e.intervention})
WITH a, b, e, i, type(e) AS relation,
  CASE WHEN startNode(e) = a THEN 'a to b' ELSE 'b to a' END AS direction,
  coalesce(e.q <= $max_q, false) AS passes
ORDER BY e.run, e.kind, direction, e.prompt_set, e.metric, e.key
WITH a, b,
  collect(CASE relation WHEN 'CO_OCCURS' THEN
    e {.kind, .n, .npmi, .phi, .phi_within, .r_topic, .z, .q, .run} END) AS co_occurs,
  collect(CASE relation WHEN 'FEEDS' THEN
    e {direction: direction, .n, .phi, .weight, .weight_cosine, .q, .run} END) AS feeds,
  collect(CASE relation WHEN 'IMPLIES' THEN
    e {direction: direction, .n, .p_target_given_source, .absorption, .q, .run} END) AS implies,
  collect(CASE relation WHEN 'CO_ATTRIBUTED' THEN
    e {.prompt_set, .metric, .r, .r_low, .r_high, .prompts, .q, .run} END) AS co_attributed,
  collect(CASE relation WHEN 'AFFECTS' THEN
    e {direction: direction, .metric, .change, .low, .high, .prompts, .p, .q, passes: passes,
       kind: i.kind, mode: i.mode, strength: i.strength, unit: i.unit, features: i.features,
       .intervention, .run} END) AS affects
WITH *, size(co_occurs) + size(feeds) + size(implies) + size(co_attributed) > 0 AS joined,
  COLLECT {
    UNWIND affects AS one
    WITH one WHERE one.passes AND one.direction = 'a to b'
    RETURN one.change ORDER BY abs(one.change) DESC, one.change LIMIT 1
  }[0] AS a_to_b,
  COLLECT {
    UNWIND affects AS one
    WITH one WHERE one.passes AND one.direction = 'b to a'
    RETURN one.change ORDER BY abs(one.change) DESC, one.change LIMIT 1
  }[0] AS b_to_a
WITH *, a_to_b IS NOT NULL OR b_to_a IS NOT NULL AS passed
RETURN
  a.key AS a, b.key AS b, a.label AS a_label, b.label AS b_label,
  CASE WHEN joined AND passed THEN 'confirmed' WHEN passed THEN 'causal only'
       WHEN NOT joined THEN 'nothing' WHEN size(affects) > 0 THEN 'not confirmed'
       ELSE 'not measured' END AS verdict,
  co_occurs, feeds, implies, co_attributed, affects, a_to_b, b_to_a
