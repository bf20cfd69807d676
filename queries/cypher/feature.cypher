// Title: Feature card
// Purpose: Everything about one feature: when and on what it fires, what it promotes, its
//   strongest contexts, its community, its scores, and which run, SAE and model it is from.
// Group: features
// Result: feature
// Parameters:
//   feature: feature -- Key of the feature.
//   contexts: integer 0..100 = 5 -- Strongest contexts to show.
//   tokens: integer 0..100 = 10 -- Tokens to show of each sort.
// Columns:
//   key: string -- Key, {model}/{hook}/{sae}/{index}.
//   index: integer -- Index in its SAE.
//   label: string -- Label.
//   label_source: string -- What the label was made from.
//   n: integer -- Positions where it fires.
//   d: integer -- Documents where it fires.
//   firing_rate: float -- Share of positions where it fires.
//   mean: float -- Mean activation where it fires.
//   max: float -- Largest activation.
//   std: float -- Standard deviation of the activation where it fires.
//   dead: boolean -- Never fires in the corpus.
//   dense: boolean -- Fires on more than a tenth of the positions.
//   logit_moments: map -- Mean, standard deviation, skewness and kurtosis of its logit weights.
//   top_words: list -- Distinctive words of its contexts.
//   top_domain: string -- Most distinctive domain of the documents in which it fires.
//   top_domain_share: float -- Share of that domain among the documents in which it fires.
//   fires_on: list -- Tokens it fires on: token, score (share of its firings times log2 of their excess, in bits), n.
//   promotes: list -- Tokens it makes more likely: token, score (logit weight in standard deviations).
//   suppresses: list -- Tokens it makes less likely: token, score (likewise, negative).
//   contexts: list -- Strongest contexts: text, tokens, activations, activation, position, document, domain.
//   scores: map -- Centrality in the backbone of scored_run.
//   scored_run: string -- Run whose analysis the scores and the community are of.
//   community: map -- Its community: key, label, size.
//   run: string -- Run that the numbers are of.
//   sae: string -- Key of the SAE.
//   model: string -- Key of the model.
//   neuronpedia_id: string -- Name of the SAE at Neuronpedia, where it has one.
// Example:
//   :param {feature: 'smollm2-135m/blocks.18.hook_resid_pre/topk/12', contexts: 5, tokens: 10}
//   atlas query feature --feature 12
// Phrase: Feature $feature
// Graph:
//   MATCH (f:Feature {key: $feature})
//   OPTIONAL MATCH p = (f)-[:FIRES_ON|PROMOTES|FIRES_IN|MEMBER_OF|ABOUT|IN]->()
//   RETURN f, p LIMIT 100
MATCH (f:Feature {key: $feature})-[:IN]->(s:Sae)-[:OF]->(m:Model)
OPTIONAL MATCH (c:Community {key: f.community})
RETURN
  f.key AS key, f.index AS index, f.label AS label, f.label_source AS label_source,
  f.n AS n, f.d AS d, f.firing_rate AS firing_rate,
  f.mean AS mean, f.max AS max, f.std AS std, f.dead AS dead, f.dense AS dense,
  {mean: f.logit_mean, std: f.logit_std, skew: f.logit_skew, kurtosis: f.logit_kurtosis}
    AS logit_moments,
  f.top_words AS top_words, f.top_domain AS top_domain, f.top_domain_share AS top_domain_share,
  COLLECT {
    MATCH (f)-[r:FIRES_ON {run: f.run}]->(t:Token)
    RETURN {token: t.text, score: r.score, n: r.n} ORDER BY r.rank, t.key LIMIT $tokens
  } AS fires_on,
  COLLECT {
    MATCH (f)-[r:PROMOTES {run: f.run}]->(t:Token)
    RETURN {token: t.text, score: r.score} ORDER BY r.rank, t.key LIMIT $tokens
  } AS promotes,
  COLLECT {
    MATCH (f)-[r:SUPPRESSES {run: f.run}]->(t:Token)
    RETURN {token: t.text, score: r.score} ORDER BY r.rank, t.key LIMIT $tokens
  } AS suppresses,
  COLLECT {
    MATCH (f)-[r:FIRES_IN {run: f.run}]->(x:Context)
    WITH r, x ORDER BY r.rank, x.key LIMIT $contexts
    MATCH (x)-[:FROM_DOCUMENT]->(d:Document)
    RETURN {
      text: x.text, tokens: x.tokens, activations: r.activations, activation: r.activation,
      position: x.position, document: d.key, domain: d.domain
    } ORDER BY r.rank, x.key
  } AS contexts,
  CASE WHEN f.scored_run IS NOT NULL THEN {
    pagerank: f.pagerank, degree: f.degree, strength: f.strength, betweenness: f.betweenness,
    closeness: f.closeness, eigenvector: f.eigenvector
  } END AS scores,
  f.scored_run AS scored_run,
  c {.key, .label, .size} AS community,
  f.run AS run, s.key AS sae, m.key AS model, s.neuronpedia_id AS neuronpedia_id
