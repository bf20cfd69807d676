"""The graph database: managed server, connection, schema."""
