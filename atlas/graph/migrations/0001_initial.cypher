// Keys, indexes and full-text indexes of the first schema.
// Every statement can be repeated: a migration that was interrupted is run again from its start.

// One node a key. Keys are readable names such as "{model}/{hook}/{sae}/{index}".
CREATE CONSTRAINT model_key IF NOT EXISTS FOR (n:Model) REQUIRE n.key IS UNIQUE;
CREATE CONSTRAINT sae_key IF NOT EXISTS FOR (n:Sae) REQUIRE n.key IS UNIQUE;
CREATE CONSTRAINT feature_key IF NOT EXISTS FOR (n:Feature) REQUIRE n.key IS UNIQUE;
CREATE CONSTRAINT token_key IF NOT EXISTS FOR (n:Token) REQUIRE n.key IS UNIQUE;
CREATE CONSTRAINT document_key IF NOT EXISTS FOR (n:Document) REQUIRE n.key IS UNIQUE;
CREATE CONSTRAINT context_key IF NOT EXISTS FOR (n:Context) REQUIRE n.key IS UNIQUE;
CREATE CONSTRAINT community_key IF NOT EXISTS FOR (n:Community) REQUIRE n.key IS UNIQUE;
CREATE CONSTRAINT run_key IF NOT EXISTS FOR (n:Run) REQUIRE n.key IS UNIQUE;
CREATE CONSTRAINT algorithm_run_key IF NOT EXISTS FOR (n:AlgorithmRun) REQUIRE n.key IS UNIQUE;

// One edge a run, pair and kind.
CREATE CONSTRAINT co_occurs_key IF NOT EXISTS FOR ()-[r:CO_OCCURS]-() REQUIRE r.key IS UNIQUE;

// What queries look up or filter on.
CREATE INDEX feature_index IF NOT EXISTS FOR (n:Feature) ON (n.index);
CREATE INDEX feature_label IF NOT EXISTS FOR (n:Feature) ON (n.label);
CREATE INDEX feature_community IF NOT EXISTS FOR (n:Feature) ON (n.community);
CREATE INDEX feature_scored_run IF NOT EXISTS FOR (n:Feature) ON (n.scored_run);
CREATE INDEX token_exact_text IF NOT EXISTS FOR (n:Token) ON (n.text);
CREATE INDEX document_domain IF NOT EXISTS FOR (n:Document) ON (n.domain);
CREATE INDEX community_run IF NOT EXISTS FOR (n:Community) ON (n.run);
CREATE INDEX community_label IF NOT EXISTS FOR (n:Community) ON (n.label);
CREATE INDEX algorithm_run_run IF NOT EXISTS FOR (n:AlgorithmRun) ON (n.run);

// What the query `search` reads.
CREATE FULLTEXT INDEX feature_text IF NOT EXISTS
FOR (n:Feature) ON EACH [n.label, n.top_tokens, n.top_words];
CREATE FULLTEXT INDEX token_text IF NOT EXISTS FOR (n:Token) ON EACH [n.text];
CREATE FULLTEXT INDEX context_text IF NOT EXISTS FOR (n:Context) ON EACH [n.text];
