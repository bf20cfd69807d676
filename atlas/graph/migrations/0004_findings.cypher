// Results of studies: one node a key, found by their run.
CREATE CONSTRAINT finding_key IF NOT EXISTS FOR (n:Finding) REQUIRE n.key IS UNIQUE;
CREATE INDEX finding_run IF NOT EXISTS FOR (n:Finding) ON (n.run);
