// Title: Indexes
// Purpose: The indexes of the database and whether they are online. Neo4j lists them only in a
//   statement of their own, so they are no part of the query health.
// Group: runs
// Result: rows
// Parameters:
//   broken: boolean = false -- Only indexes that are not online.
// Columns:
//   name: string -- Name of the index.
//   state: string -- ONLINE, POPULATING or FAILED.
//   percent: float -- How much of it is made, 0 to 100.
//   type: string -- RANGE, FULLTEXT, VECTOR and so on.
//   of: string -- NODE or RELATIONSHIP.
//   labels: list -- Labels or types that it is on.
//   properties: list -- Properties that it is on.
//   unique: boolean -- Whether it keeps the values unique.
//   reads: integer -- How often queries used it, as far as the server knows.
//   failure: string -- Why it failed.
// Table: name, state, percent, type, labels, properties, unique
// Example:
//   :param {broken: false}
//   atlas query indexes
// Phrase: Migrations that made the indexes
// Graph:
//   MATCH (m:Migration) RETURN m
SHOW INDEXES
YIELD name, state, populationPercent, type, entityType, labelsOrTypes, properties,
  owningConstraint, readCount, failureMessage
WHERE type <> 'LOOKUP' AND (state <> 'ONLINE' OR NOT $broken)
RETURN
  name, state, populationPercent AS percent, type, entityType AS of, labelsOrTypes AS labels,
  properties, owningConstraint IS NOT NULL AS unique, readCount AS reads,
  CASE failureMessage WHEN '' THEN null ELSE failureMessage END AS failure
ORDER BY name
