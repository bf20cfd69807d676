// Relationships between features beside co-occurrence: one of a key.
CREATE CONSTRAINT implies_key IF NOT EXISTS FOR ()-[r:IMPLIES]-() REQUIRE r.key IS UNIQUE;
CREATE CONSTRAINT similar_to_key IF NOT EXISTS FOR ()-[r:SIMILAR_TO]-() REQUIRE r.key IS UNIQUE;
CREATE CONSTRAINT feeds_key IF NOT EXISTS FOR ()-[r:FEEDS]-() REQUIRE r.key IS UNIQUE;
