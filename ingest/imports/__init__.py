"""What other tools found, joined to the features of a run: explanations and attribution graphs."""

from ingest.imports.circuit import CircuitImport, import_circuit
from ingest.imports.explanations import ExplanationImport, import_explanations

__all__ = ["CircuitImport", "ExplanationImport", "import_circuit", "import_explanations"]
