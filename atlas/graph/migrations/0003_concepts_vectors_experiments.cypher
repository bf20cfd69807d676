// Concepts, prompts, experiments and what explains a feature: one node a key.
CREATE CONSTRAINT concept_key IF NOT EXISTS FOR (n:Concept) REQUIRE n.key IS UNIQUE;
CREATE CONSTRAINT prompt_set_key IF NOT EXISTS FOR (n:PromptSet) REQUIRE n.key IS UNIQUE;
CREATE CONSTRAINT prompt_key IF NOT EXISTS FOR (n:Prompt) REQUIRE n.key IS UNIQUE;
CREATE CONSTRAINT intervention_key IF NOT EXISTS FOR (n:Intervention) REQUIRE n.key IS UNIQUE;
CREATE CONSTRAINT effect_key IF NOT EXISTS FOR (n:Effect) REQUIRE n.key IS UNIQUE;
CREATE CONSTRAINT attribution_graph_key IF NOT EXISTS
FOR (n:AttributionGraph) REQUIRE n.key IS UNIQUE;
CREATE CONSTRAINT explanation_key IF NOT EXISTS FOR (n:Explanation) REQUIRE n.key IS UNIQUE;

// Relationships between features: one a key. ABOUT needs none: it is one a run, feature and
// concept, and a feature has few.
CREATE CONSTRAINT co_attributed_key IF NOT EXISTS
FOR ()-[r:CO_ATTRIBUTED]-() REQUIRE r.key IS UNIQUE;
CREATE CONSTRAINT attributes_key IF NOT EXISTS FOR ()-[r:ATTRIBUTES]-() REQUIRE r.key IS UNIQUE;
CREATE CONSTRAINT affects_key IF NOT EXISTS FOR ()-[r:AFFECTS]-() REQUIRE r.key IS UNIQUE;

// What queries look up. Relationships are reached from a feature, so their numbers need no index,
// which every one of a million edges would have to be written into.
CREATE INDEX concept_name IF NOT EXISTS FOR (n:Concept) ON (n.name);
CREATE INDEX intervention_run IF NOT EXISTS FOR (n:Intervention) ON (n.run);
CREATE INDEX effect_run IF NOT EXISTS FOR (n:Effect) ON (n.run);
CREATE INDEX attribution_graph_run IF NOT EXISTS FOR (n:AttributionGraph) ON (n.run);
CREATE INDEX explanation_source IF NOT EXISTS FOR (n:Explanation) ON (n.source);

CREATE FULLTEXT INDEX concept_text IF NOT EXISTS FOR (n:Concept) ON EACH [n.name];
CREATE FULLTEXT INDEX explanation_text IF NOT EXISTS FOR (n:Explanation) ON EACH [n.text];

// Decoder vectors are as long as their model's stream is wide. An index without dimensions takes
// all of them and compares a vector with those of its own length. Quantised vectors would be kept
// beside the whole ones, and their scores are off by more than 0.001.
CREATE VECTOR INDEX feature_decoder IF NOT EXISTS FOR (n:Feature) ON (n.decoder)
OPTIONS {indexConfig: {
  `vector.similarity_function`: 'cosine', `vector.quantization.enabled`: false
}};
CREATE VECTOR INDEX feature_label_embedding IF NOT EXISTS FOR (n:Feature) ON (n.label_embedding)
OPTIONS {indexConfig: {
  `vector.dimensions`: 256, `vector.similarity_function`: 'cosine',
  `vector.quantization.enabled`: false
}};
