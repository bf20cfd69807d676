"""Ports, password and configuration of a managed server, without starting it."""

from __future__ import annotations

import hashlib
import socket
from typing import TYPE_CHECKING

import pytest

from atlas.errors import ServerError, UsageError
from atlas.graph.configure import (
    ServerSettings,
    choose_settings,
    ensure_user,
    port_is_free,
    read_password,
    read_settings,
    save_settings,
    write_configuration,
)
from atlas.graph.jars import Distribution
from atlas.graph.layout import ServerFolder
from atlas.graph.memory import plan_memory
from atlas.graph.server import ManagedServer

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> ServerFolder:
    made = ServerFolder(tmp_path / "home" / "neo4j")
    made.make()
    return made


def test_ports_are_free_and_remembered(folder: ServerFolder) -> None:
    assert read_settings(folder) is None
    chosen = choose_settings(folder)
    assert port_is_free(chosen.bolt_port)
    assert port_is_free(chosen.http_port)
    save_settings(folder, chosen)
    assert choose_settings(folder) == chosen == read_settings(folder)
    assert choose_settings(folder, memory="3g") == ServerSettings(
        chosen.bolt_port, chosen.http_port, "3g"
    )


def test_a_remembered_port_stays_while_it_is_taken_and_zero_replaces_it(
    folder: ServerFolder,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        save_settings(folder, ServerSettings(taken, 1234))
        assert choose_settings(folder).bolt_port == taken
        replaced = choose_settings(folder, bolt_port=0)
    assert replaced.bolt_port != taken
    assert replaced.http_port == 1234


def test_homes_choose_different_ports(tmp_path: Path) -> None:
    homes = [ServerFolder(tmp_path / str(number)) for number in range(20)]
    settings = [choose_settings(home) for home in homes]
    ports = {port for s in settings for port in (s.bolt_port, s.http_port)}
    assert len(ports) > 35  # by chance two of 40 among 12,000 may meet


def test_a_new_port_is_not_the_other_port(folder: ServerFolder) -> None:
    first = choose_settings(folder)
    save_settings(folder, ServerSettings(first.bolt_port, first.http_port))
    for changed in (choose_settings(folder, bolt_port=0), choose_settings(folder, http_port=0)):
        assert changed.bolt_port != changed.http_port
        assert changed != first
    both = choose_settings(folder, bolt_port=0, http_port=first.bolt_port)
    assert both.bolt_port not in (first.bolt_port, first.http_port)


@pytest.mark.parametrize("ports", [(7687, 7687), (70000, 7474), (-1, 7474)])
def test_impossible_ports_are_refused(folder: ServerFolder, ports: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="cannot be used"):
        choose_settings(folder, bolt_port=ports[0], http_port=ports[1])


@pytest.mark.parametrize("text", ["{", "[]", '{"bolt_port": "x", "http_port": 1, "memory": "2g"}'])
def test_damaged_settings_say_what_to_do(folder: ServerFolder, text: str) -> None:
    folder.settings_file.write_text(text)
    with pytest.raises(ServerError, match=r"Delete that file; .* no data is lost"):
        read_settings(folder)


def test_port_in_use_names_who_has_it(tmp_path: Path) -> None:
    server = ManagedServer(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ServerError, match=rf"Port {port}, .* is taken by .+\(process \d+\)"):
            server.start(bolt_port=port)
    assert server.status().state == "stopped"


def test_password_is_random_private_and_kept(folder: ServerFolder, tmp_path: Path) -> None:
    ensure_user(folder)
    password = read_password(folder)
    assert len(password) >= 32
    assert folder.password_file.stat().st_mode & 0o777 == 0o600
    assert folder.root.stat().st_mode & 0o077 == 0
    ensure_user(folder)
    assert read_password(folder) == password
    other = ServerFolder(tmp_path / "other")
    other.make()
    ensure_user(other)
    assert read_password(other) != password


def test_initial_user_has_the_hash_of_the_password(folder: ServerFolder) -> None:
    ensure_user(folder)
    path = folder.data / "dbms" / "auth.ini"
    assert path.stat().st_mode & 0o777 == 0o600
    user, credential, _ = path.read_text().split(":")
    algorithm, digest, salt, rounds = credential.split(",")
    assert (user, algorithm) == ("neo4j", "SHA-256")
    expected = bytes.fromhex(salt) + read_password(folder).encode()
    for _ in range(int(rounds)):
        expected = hashlib.sha256(expected).digest()
    assert digest == expected.hex()


def test_data_without_its_password_is_not_given_another(folder: ServerFolder) -> None:
    ensure_user(folder)
    (folder.data / "databases").mkdir()
    folder.password_file.unlink()
    with pytest.raises(ServerError, match="Put the file back"):
        ensure_user(folder)
    assert not folder.password_file.exists()


def test_configuration_listens_on_the_loopback_interface_only(folder: ServerFolder) -> None:
    plan = plan_memory("2g")
    write_configuration(
        folder, Distribution(folder.root / "jars"), ServerSettings(1111, 2222), plan=plan
    )
    lines = (folder.conf / "neo4j.conf").read_text().splitlines()[1:]
    values = dict(line.split("=", 1) for line in lines)
    addresses = {value for key, value in values.items() if key.endswith("_address")}
    assert addresses == {"127.0.0.1", "127.0.0.1:1111", "127.0.0.1:2222"}
    assert values["server.https.enabled"] == "false"
    assert values["dbms.security.auth_enabled"] == "true"
    assert values["server.memory.pagecache.size"] == "512m"
    password = (folder.conf / "neo4j.conf").read_text()
    ensure_user(folder)
    assert read_password(folder) not in password


def test_reset_deletes_the_data_only(tmp_path: Path) -> None:
    server = ManagedServer(tmp_path)
    assert server.reset() is False
    folder = server.folder
    folder.make()
    ensure_user(folder)
    save_settings(folder, ServerSettings(1111, 2222))
    (folder.data / "databases" / "neo4j").mkdir(parents=True)
    build = tmp_path / "builds" / "r1" / "run.json"
    build.parent.mkdir(parents=True)
    build.write_text("{}")
    password = read_password(folder)
    assert server.reset() is True
    assert list(folder.data.iterdir()) == []
    assert read_password(folder) == password
    assert read_settings(folder) == ServerSettings(1111, 2222)
    assert build.exists()
