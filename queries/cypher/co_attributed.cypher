// Title: Co-attributed features
// Purpose: Features whose contributions to the answer rise and fall with those of a feature over the
//   prompts of a task, strongest correlation first.
// Group: experiments
// Result: features
// Parameters:
//   feature: feature -- Key of the feature.
//   prompt_set: string? -- Only over this prompt set.
//   metric: string? -- Only contributions to this metric.
//   limit: integer 1..10000 = 20 -- Most rows.
// Columns:
//   key: string -- Key of the other feature.
//   label: string -- Its label.
//   top_tokens: list -- Tokens it fires on most.
//   r: float -- Correlation of the contributions over prompts, -1 to 1.
//   r_low: float -- Lower end of its 95% bootstrap interval.
//   r_high: float -- Upper end.
//   r_spearman: float -- Rank correlation, -1 to 1.
//   sign: integer -- 1 if they contribute together, -1 if against each other.
//   p: float -- p-value of no correlation.
//   q: float -- False discovery rate at which the edge passes.
//   stability: float -- Share of the bootstraps in which the edge is there, 0 to 1.
//   prompts: integer -- Prompts of the set.
//   n_both: integer -- Prompts where both contribute.
//   metric: string -- What they contribute to.
//   aggregation: string -- How contributions of a prompt's positions were taken together.
//   prompt_set: string -- Prompt set.
//   run: string -- Attribution run.
// Table: key, label, r, r_low, r_high, q, stability, prompts, prompt_set
// Example:
//   :param {feature: 'smollm2-135m/blocks.18.hook_resid_pre/topk/12', prompt_set: null, metric: null, limit: 20}
//   atlas query co_attributed --feature 12 --prompt-set capitals
// Phrase: What contributes together with $feature
// Graph:
//   MATCH p = (:Feature {key: $feature})-[r:CO_ATTRIBUTED]-(:Feature)
//   RETURN p ORDER BY abs(r.r) DESC LIMIT 50
MATCH (:Feature {key: $feature})-[e:CO_ATTRIBUTED]-(o:Feature)
WHERE ($prompt_set IS NULL OR e.prompt_set = $prompt_set)
  AND ($metric IS NULL OR e.metric = $metric)
WITH o, e ORDER BY abs(e.r) DESC, o.key, e.key LIMIT $limit
RETURN
  o.key AS key, o.label AS label, o.top_tokens AS top_tokens, e.r AS r, e.r_low AS r_low,
  e.r_high AS r_high, e.r_spearman AS r_spearman, e.sign AS sign, e.p AS p, e.q AS q,
  e.stability AS stability, e.prompts AS prompts, e.n_both AS n_both, e.metric AS metric,
  e.aggregation AS aggregation, e.prompt_set AS prompt_set, e.run AS run
ORDER BY abs(r) DESC, key, e.key
