"""docker-compose.yml runs the pair that the lock names, and opens nothing to the network."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from atlas.graph.jars import GDS_VERSION, NEO4J_VERSION

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def service() -> dict[str, Any]:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert list(compose["services"]) == ["neo4j"]
    found: dict[str, Any] = compose["services"]["neo4j"]
    return found


def test_pair_is_that_of_the_lock(service: dict[str, Any]) -> None:
    assert service["image"] == f"neo4j:{NEO4J_VERSION}"
    assert json.loads(service["environment"]["NEO4J_PLUGINS"]) == ["graph-data-science"]
    assert service["environment"]["HEALTH_GDS_VERSION"] == f"${{GDS_VERSION:-{GDS_VERSION}}}"


def test_ports_are_on_the_loopback_interface(service: dict[str, Any]) -> None:
    assert len(service["ports"]) == 2
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_password_has_no_default(service: dict[str, Any]) -> None:
    environment = service["environment"]
    for value in (environment["NEO4J_AUTH"], environment["HEALTH_PASSWORD"]):
        assert "${NEO4J_PASSWORD:?" in value
    # The image takes each variable NEO4J_... for a setting and refuses one it does not know.
    assert "NEO4J_PASSWORD" not in environment


def test_data_and_memory_are_set(service: dict[str, Any]) -> None:
    assert "data:/data" in service["volumes"]
    heap = {
        service["environment"][f"NEO4J_server_memory_heap_{k}__size"] for k in ("initial", "max")
    }
    assert heap == {"${NEO4J_HEAP:-1g}"}
    assert service["environment"]["NEO4J_server_memory_pagecache_size"]


@pytest.mark.parametrize(
    ("answer", "healthy"),
    [(f'"{GDS_VERSION}"', True), (f'"{GDS_VERSION}0"', False), ('"2.12.0"', False), ("", False)],
)
def test_health_check_is_content_with_the_pair_only(
    service: dict[str, Any], tmp_path: Path, answer: str, healthy: bool
) -> None:
    """Run the command of the health check with a cypher-shell that prints `answer`."""
    kind, command = service["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    assert "gds.version()" in command
    client = tmp_path / "cypher-shell"
    client.write_text(
        '#!/bin/sh\n[ "$NEO4J_USERNAME:$NEO4J_PASSWORD" = "neo4j:a b\\"c" ] || exit 1\n'
        f"printf 'version\\n%s\\n' '{answer}'\n"
    )
    client.chmod(0o755)
    result = subprocess.run(
        ["sh", "-c", command.replace("$$", "$")],
        env={
            "PATH": f"{tmp_path}:/usr/bin:/bin",
            "HEALTH_PASSWORD": 'a b"c',
            "HEALTH_GDS_VERSION": GDS_VERSION,
        },
        check=False,
        capture_output=True,
    )
    assert (result.returncode == 0) is healthy
