"""Codes that are brought: tables of firings from any library, read into code shards."""

from __future__ import annotations

from ingest.brought.bring import bring
from ingest.brought.export import export_parquet
from ingest.brought.options import ALL, ONLY_FIRING, UNKNOWN_TOKEN, BroughtOptions
from ingest.brought.output import Brought, BroughtDocuments, read_brought, read_vocabulary
from ingest.brought.source import KINDS, LATENTS, FiringSource, open_source

__all__ = [
    "ALL",
    "KINDS",
    "LATENTS",
    "ONLY_FIRING",
    "UNKNOWN_TOKEN",
    "Brought",
    "BroughtDocuments",
    "BroughtOptions",
    "FiringSource",
    "bring",
    "export_parquet",
    "open_source",
    "read_brought",
    "read_vocabulary",
]
