// Title: Circuits
// Purpose: Attribution graphs of single prompts that were imported from circuit-tracer, and how much
//   of them are features of the database.
// Group: experiments
// Result: rows
// Parameters:
//   run: run? -- Only graphs joined to the features of this run.
//   limit: integer 1..10000 = 50 -- Most rows.
// Columns:
//   key: string -- Key of the graph.
//   slug: string -- Its name in its file.
//   scan: string -- Model and source set that it names.
//   prompt: string -- The prompt.
//   answer: string -- The logit with the largest probability, as its file writes it.
//   probability: float -- Its probability, 0 to 1.
//   nodes: integer -- Nodes of the graph.
//   features: integer -- Those that are features, one a position.
//   matched: integer -- Those that are features of the run.
//   links: integer -- Links of the graph.
//   stored: integer -- Links between features of the run.
//   errors: integer -- Nodes that are errors of reconstruction.
//   saes: list -- SAEs that its layers were joined to.
//   source: string -- Name of the file.
//   digest: string -- SHA-256 of the file.
//   run: string -- Run whose features it is joined to.
// Table: key, prompt, answer, probability, features, matched, links, stored
// Example:
//   :param {run: null, limit: 50}
//   atlas query circuits
// Phrase: Circuits
// Graph:
//   MATCH p = (:Feature)-[:APPEARS_IN]->(:AttributionGraph) RETURN p LIMIT 100
MATCH (g:AttributionGraph)
WHERE $run IS NULL OR g.run = $run
WITH g ORDER BY g.key LIMIT $limit
WITH g, reduce(best = 0, place IN range(0, size(coalesce(g.logit_probabilities, [])) - 1) |
  CASE WHEN g.logit_probabilities[place] > g.logit_probabilities[best] THEN place ELSE best END
) AS best
RETURN
  g.key AS key, g.slug AS slug, g.scan AS scan, g.prompt AS prompt,
  g.logit_texts[best] AS answer, g.logit_probabilities[best] AS probability,
  g.nodes AS nodes, g.features AS features, g.matched AS matched, g.links AS links,
  g.stored AS stored, g.errors AS errors, g.saes AS saes, g.source AS source,
  g.sha256 AS digest, g.run AS run
ORDER BY key
