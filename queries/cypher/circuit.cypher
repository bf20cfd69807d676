// Title: Circuit
// Purpose: One imported attribution graph: its features that the database has and the links between
//   them, with what reaches them from tokens and errors and what they give to the answer.
// Group: experiments
// Result: row
// Parameters:
//   circuit: string -- Key of the graph.
//   limit: integer 1..10000 = 100 -- Most features and most links to list.
// Columns:
//   key: string -- Key of the graph.
//   prompt: string -- The prompt.
//   prompt_tokens: list -- Its tokens.
//   logits: list -- Logits of the graph: text, probability.
//   features: list -- Features by what they give to logits, largest first: key, label, positions, activations, influences, from_embeddings, from_errors, to_logits.
//   links: list -- ATTRIBUTES, largest weight first: source, target, weight, source_position, target_position.
//   matched: integer -- Nodes that are features of the run, one a position.
//   stored: integer -- Links between these.
//   nodes: integer -- Nodes of the whole graph.
//   saes: list -- SAEs that its layers were joined to.
//   source: string -- Name of the file.
//   digest: string -- SHA-256 of the file.
//   run: string -- Run whose features it is joined to.
// Example:
//   :param {circuit: 'demo-9b77a20e5550|toy/capitals|0123456789ab', limit: 100}
//   atlas query circuit --circuit "demo-9b77a20e5550|toy/capitals|0123456789ab"
// Phrase: Circuit $circuit
// Graph:
//   MATCH (g:AttributionGraph {key: $circuit})<-[p:APPEARS_IN]-(f:Feature)
//   OPTIONAL MATCH (f)-[r:ATTRIBUTES {graph: $circuit}]->(o:Feature)
//   RETURN g, p, f, r, o LIMIT 200
MATCH (g:AttributionGraph {key: $circuit})
RETURN
  g.key AS key, g.prompt AS prompt, g.prompt_tokens AS prompt_tokens,
  [place IN range(0, size(coalesce(g.logit_texts, [])) - 1) |
    {text: g.logit_texts[place], probability: g.logit_probabilities[place]}] AS logits,
  COLLECT {
    MATCH (g)<-[a:APPEARS_IN]-(f:Feature)
    RETURN a {.positions, .activations, .influences, .from_embeddings, .from_errors, .to_logits,
              key: f.key, label: f.label}
    ORDER BY abs(coalesce(a.to_logits, 0.0)) DESC, f.key LIMIT $limit
  } AS features,
  COLLECT {
    MATCH (g)<-[:APPEARS_IN]-(s:Feature)-[e:ATTRIBUTES {graph: g.key}]->(t:Feature)
    RETURN e {.weight, .source_position, .target_position, source: s.key, target: t.key}
    ORDER BY abs(e.weight) DESC, s.key, t.key, e.source_position, e.target_position LIMIT $limit
  } AS links,
  g.matched AS matched, g.stored AS stored, g.nodes AS nodes, g.saes AS saes,
  g.source AS source, g.sha256 AS digest, g.run AS run
