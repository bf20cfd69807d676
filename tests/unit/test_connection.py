"""Which database is used, and what is said when it cannot be."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from atlas.errors import DatabaseError, UsageError
from atlas.graph.connection import ConnectionSettings, connect, resolve_connection

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VARIABLES = ("NEO4J_URI", "NEO4J_USERNAME", "NEO4J_PASSWORD", "NEO4J_DATABASE")


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def settings(uri: str) -> ConnectionSettings:
    return ConnectionSettings(uri, "neo4j", "secret")


def test_environment_names_another_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(VARIABLES, ("neo4j+s://host", "me", "secret", "mine"), strict=True):
        monkeypatch.setenv(name, value)
    found = resolve_connection()
    assert found == ConnectionSettings("neo4j+s://host", "me", "secret", "mine", "environment")


def test_arguments_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(VARIABLES, ("neo4j+s://host", "me", "secret", "mine"), strict=True):
        monkeypatch.setenv(name, value)
    found = resolve_connection(uri="bolt://other", database="yours")
    assert found == ConnectionSettings("bolt://other", "me", "secret", "yours", "arguments")


def test_defaults_are_those_of_neo4j(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEO4J_URI", "bolt://host")
    monkeypatch.setenv("NEO4J_PASSWORD", "secret")
    found = resolve_connection()
    assert (found.username, found.database) == ("neo4j", "neo4j")


def test_address_without_password_says_which_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEO4J_URI", "bolt://host")
    with pytest.raises(DatabaseError, match="NEO4J_PASSWORD"):
        resolve_connection()


def test_without_address_it_is_the_managed_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEO4J_PASSWORD", "alone it names no server")
    with pytest.raises(DatabaseError, match="atlas db start"):
        resolve_connection(home=tmp_path)


@pytest.mark.parametrize("uri", ["localhost:7687", "http://localhost:7474", "neo4j"])
def test_address_of_another_kind_is_wrong_use(uri: str) -> None:
    with pytest.raises(UsageError, match="is not the address of a Neo4j"):
        resolve_connection(uri=uri, password="secret")


def test_password_is_not_in_the_representation() -> None:
    assert "secret" not in repr(settings("bolt://host"))


@pytest.mark.parametrize("scheme", ["bolt", "neo4j", "bolt+s"])
def test_port_where_nobody_listens(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(DatabaseError, match=rf"No Neo4j answers at .*{port}.*: Connection refused"):
        connect(settings(f"{scheme}://127.0.0.1:{port}"))


@contextmanager
def listening(context: ssl.SSLContext) -> Iterator[int]:
    """Serve connections that speak TLS and then say nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client, suppress(OSError):
                    context.wrap_socket(client, server_side=True).close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is needed to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost".split()
    subprocess.run(
        [*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


@pytest.mark.parametrize("scheme", ["bolt", "neo4j"])
def test_server_that_wants_tls(tls: ssl.SSLContext, scheme: str) -> None:
    with listening(tls) as port, pytest.raises(DatabaseError, match=r"bolt\+s://"):
        connect(settings(f"{scheme}://127.0.0.1:{port}"))


@pytest.mark.parametrize("scheme", ["bolt+s", "neo4j+s"])
def test_certificate_that_nobody_signed(tls: ssl.SSLContext, scheme: str) -> None:
    with listening(tls) as port, pytest.raises(DatabaseError, match=r"not trusted.*\+ssc"):
        connect(settings(f"{scheme}://127.0.0.1:{port}"))


@pytest.mark.parametrize("uri", ["bolt://neo4j:secret@host", "bolt://host?x=1"])
def test_an_address_with_a_password_is_refused_unseen(uri: str) -> None:
    with pytest.raises(UsageError, match="has a user, a password or parameters") as caught:
        resolve_connection(uri=uri, password="x")
    assert "secret" not in str(caught.value)
