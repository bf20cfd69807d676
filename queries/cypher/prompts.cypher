// Title: Prompts
// Purpose: The prompts of a set with their answers and scores, in the order of their ids.
// Group: experiments
// Result: rows
// Parameters:
//   prompt_set: string -- Name of the set.
//   limit: integer 1..10000 = 50 -- Most rows.
// Columns:
//   key: string -- Key of the prompt, {set}/{id}.
//   prompt: string -- Its text.
//   answer: string -- The answer asked for.
//   foils: list -- Answers that it is held against.
//   score: float -- The metric of the run loaded last, in its unit.
//   tokens: integer -- Tokens of the prompt.
//   effects: integer -- Effects measured on this prompt alone.
// Table: key, prompt, answer, foils, score
// Example:
//   :param {prompt_set: 'capitals', limit: 50}
//   atlas query prompts --prompt-set capitals
// Phrase: Prompts of $prompt_set
// Graph:
//   MATCH p = (:PromptSet {key: $prompt_set})<-[:IN]-(:Prompt) RETURN p LIMIT 100
MATCH (:PromptSet {key: $prompt_set})<-[:IN]-(p:Prompt)
WITH p, toIntegerOrNull(p.id) AS number
ORDER BY number, p.key LIMIT $limit
RETURN
  p.key AS key, p.prompt AS prompt, p.answer AS answer, p.foils AS foils, p.score AS score,
  p.n_tokens AS tokens, COUNT { (p)<-[:ON_PROMPT]-(:Effect) } AS effects
ORDER BY number, key
