"""The package's face: what `import atlas` offers and what it does not drag in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import atlas

HEAVY = ("torch", "transformer_lens", "sae_lens", "neo4j", "graphdatascience", "pandas", "pyarrow")


def test_the_package_offers_atlas_and_its_version() -> None:
    from atlas import Atlas
    from atlas.api import Atlas as Same

    assert Atlas is Same
    assert atlas.__version__
    with pytest.raises(AttributeError, match="nothing"):
        _ = atlas.nothing


def test_reading_needs_nothing_heavy_before_it_connects() -> None:
    code = (
        "import sys; from atlas import Atlas; import queries.catalogue, ingest.load;"
        "import atlas.analysis;"
        f"print(sorted(set(sys.modules) & set({HEAVY!r})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
