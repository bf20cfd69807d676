"""Loads a large build into an empty managed database with Neo4j's import tool."""

from ingest.bulk.choice import BULK_ROWS, choose
from ingest.bulk.importer import import_build
from ingest.bulk.mend import mend_import

__all__ = ["BULK_ROWS", "choose", "import_build", "mend_import"]
