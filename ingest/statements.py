"""The Cypher that writes a build: one statement a table, merging on keys."""

from __future__ import annotations

from atlas.schemas import PAIRS, RELATIONS

RUN = """
MERGE (m:Model {key: $model.key}) SET m += $model
MERGE (r:Run {key: $run.key}) SET r += $run, r.state = 'loading'
WITH m
UNWIND $saes AS row
MERGE (s:Sae {key: row.key}) SET s += row
MERGE (s)-[:OF]->(m)
"""
LOADED = "MATCH (r:Run {key: $run}) SET r.state = 'loaded', r.loaded = datetime()"

DOCUMENTS = "UNWIND $rows AS row MERGE (d:Document {key: row.key}) SET d += row"
TOKENS = "UNWIND $rows AS row MERGE (t:Token {key: row.key}) SET t += row"
FEATURES = """
MATCH (r:Run {key: $run})
UNWIND $rows AS row
MATCH (s:Sae {key: row.sae})
MERGE (f:Feature {key: row.properties.key}) SET f += row.properties
MERGE (f)-[:IN]->(s)
MERGE (f)-[:FROM_RUN]->(r)
"""
CONTEXTS = """
UNWIND $rows AS row
MATCH (d:Document {key: row.document})
MERGE (c:Context {key: row.properties.key}) SET c += row.properties
MERGE (c)-[:FROM_DOCUMENT]->(d)
"""
# The type of a relationship cannot be a parameter, so there is one statement for each.
FEATURE_PAIRS = {
    table: f"""
UNWIND $rows AS row
MATCH (s:Feature {{key: row.source}})
MATCH (t:Feature {{key: row.target}})
MERGE (s)-[r:{relation} {{key: row.properties.key}}]->(t) SET r += row.properties
"""
    for table, relation in PAIRS.items()
}
FEATURE_TOKENS = {
    relation: f"""
UNWIND $rows AS row
MATCH (f:Feature {{key: row.feature}})
MATCH (t:Token {{key: row.token}})
MERGE (f)-[r:{relation} {{run: $run}}]->(t) SET r += row.properties
"""
    for relation in RELATIONS
}
FIRINGS = """
UNWIND $rows AS row
MATCH (f:Feature {key: row.feature})
MATCH (c:Context {key: row.context})
MERGE (f)-[r:FIRES_IN {run: $run}]->(c) SET r += row.properties
"""
