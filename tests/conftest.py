"""Settings of all tests, and the order of their files.

Two processes with two threads each would wait for each other on two cores, so libraries have one
thread (kernels of numba keep theirs).
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when numpy and torch are imported

import pytest
from hypothesis import settings

pytest_plugins = ["tests.servers"]

# Files are shared out to processes in this order, others after them in their own. The longest
# come first, so that all processes end together. The first compiles most kernels of numba, whose
# cache those after the second find: the second needs none. The last ones share a planted graph.
FIRST = (
    "test_build.py",
    "test_bulk.py",
    "test_load.py",
    "test_server.py",
    "test_analysis.py",
    "test_ray.py",
    "test_verify.py",
    "test_explorer_lab.py",
    "test_concept_study.py",
    "test_study_commands.py",
    "test_network_study.py",
    "test_circuits.py",
    "test_patching.py",
    "test_shap.py",
    "test_steering.py",
    "test_followups.py",
    "test_paths_and_attention.py",
    "test_causes.py",
    "test_gpt2_names.py",
    "test_study_inference.py",
    "test_study_report.py",
    "test_runs.py",
    "test_cli_db.py",
    "test_brought_build.py",
    "test_layout_db.py",
    "test_algorithms.py",
    "test_mcp.py",
    "test_explorer_views.py",
    "test_explorer_graph.py",
    "test_explorer_communities.py",
    "test_explorer_console.py",
    "test_explorer_feature.py",
    "test_explorer_runs.py",
    "test_docs_python.py",
    "test_queries.py",
    "test_docs.py",
    "test_api_objects.py",
    "test_catalogue_communities.py",
    "test_catalogue_runs.py",
)

# A deadline measures the machine and what else runs on it, not the code.
settings.register_profile("repository", deadline=None)
settings.load_profile("repository")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; tests of a file stay together and in their order."""
    places = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: places.get(item.path.name, len(FIRST)))
