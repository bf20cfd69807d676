"""What a managed server is started with: ports, memory, password, ``neo4j.conf``."""

from __future__ import annotations

import hashlib
import json
import random
import secrets
import socket
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from atlas.errors import ServerError, UsageError
from atlas.graph.layout import ServerFolder, write_private
from atlas.graph.memory import DEFAULT_MEMORY, MemoryPlan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atlas.graph.jars import Distribution

LOOPBACK = "127.0.0.1"
USERNAME = "neo4j"
DATABASE = "neo4j"
# Below the ranges from which Linux and macOS lend ports to outgoing connections.
_PORTS = range(20000, 32000)
_HASH_ROUNDS = 1024


@dataclass(frozen=True)
class ServerSettings:
    """What a managed server remembers between starts.

    Attributes
    ----------
    bolt_port, http_port
        Ports on the loopback interface, chosen free at the first start.
    memory
        What `atlas.graph.memory.plan_memory` divides.
    """

    bolt_port: int
    http_port: int
    memory: str = DEFAULT_MEMORY

    @property
    def bolt(self) -> str:
        """Address for drivers."""
        return f"bolt://{LOOPBACK}:{self.bolt_port}"

    @property
    def browser(self) -> str:
        """Address of Neo4j Browser."""
        return f"http://{LOOPBACK}:{self.http_port}/browser/"


def read_settings(folder: ServerFolder) -> ServerSettings | None:
    """Return the remembered settings; None before the first start.

    Raises
    ------
    ServerError
        The file is damaged.
    """
    try:
        values = json.loads(folder.settings_file.read_text(encoding="utf-8"))
        return ServerSettings(
            int(values["bolt_port"]), int(values["http_port"]), str(values["memory"])
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ServerError(
            f"The settings of the database, {folder.settings_file}, cannot be read ({error}).",
            hint="Delete that file; new ports are then chosen and no data is lost.",
        ) from error


def choose_settings(
    folder: ServerFolder,
    *,
    memory: str | None = None,
    bolt_port: int | None = None,
    http_port: int | None = None,
) -> ServerSettings:
    """Return the settings for a start (nothing is written).

    What is None stays as remembered. A port 0, and a port that is not remembered, is chosen free.

    Raises
    ------
    UsageError
        A port is not one, or both are the same.
    """
    known = read_settings(folder)
    fixed = {bolt_port, http_port} | ({known.bolt_port, known.http_port} if known else set())
    free = (port for port in _free_ports(folder) if port not in fixed)
    if known:
        bolt_port = known.bolt_port if bolt_port is None else bolt_port
        http_port = known.http_port if http_port is None else http_port
        memory = memory or known.memory
    settings = ServerSettings(
        bolt_port or next(free), http_port or next(free), memory or DEFAULT_MEMORY
    )
    ports = (settings.bolt_port, settings.http_port)
    if ports[0] == ports[1] or not all(0 < port < 65536 for port in ports):
        raise UsageError(
            f"Bolt port {ports[0]} and HTTP port {ports[1]} cannot be used.",
            hint="They are two different numbers from 1 to 65535.",
        )
    return settings


def save_settings(folder: ServerFolder, settings: ServerSettings) -> None:
    """Remember `settings` for later starts."""
    write_private(folder.settings_file, json.dumps(asdict(settings), indent=2) + "\n")


def _free_ports(folder: ServerFolder) -> Iterator[int]:
    # The folder decides where the search begins, so two atlases hardly ever choose the same
    # port, even when neither is running.
    seed = int.from_bytes(hashlib.sha256(str(folder.root).encode()).digest()[:8], "big")
    candidates = random.Random(seed).sample(_PORTS, k=len(_PORTS))  # noqa: S311
    return (port for port in candidates if port_is_free(port))


def port_is_free(port: int) -> bool:
    """Return whether a server can listen at `port` of the loopback interface."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As Neo4j does: connections that have been closed do not keep the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def read_password(folder: ServerFolder) -> str:
    """Return the password of the user ``neo4j``.

    Raises
    ------
    ServerError
        Its file is missing or cannot be read.
    """
    try:
        return folder.password_file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ServerError(
            f"The password file {folder.password_file} cannot be read: {error.strerror}.",
            hint="Put the file back, or delete the data with `atlas db reset`.",
        ) from error


def ensure_user(folder: ServerFolder) -> None:
    """Give a database that does not exist yet a user with a random password.

    Does nothing to a database that exists, but checks that there is a password file. Neo4j reads
    ``auth.ini`` when it makes its system database; that file holds a salted hash, and unlike with
    Neo4j's own tool no command line shows the password.

    Raises
    ------
    ServerError
        There is data, and its password file is missing.
    """
    if folder.has_data():
        read_password(folder)
        return
    if not folder.password_file.exists():
        write_private(folder.password_file, secrets.token_urlsafe(24) + "\n")
    salt = secrets.token_bytes(32)
    digest = hashlib.sha256(salt + read_password(folder).encode()).digest()
    for _ in range(_HASH_ROUNDS - 1):
        digest = hashlib.sha256(digest).digest()
    target = folder.data / "dbms" / "auth.ini"
    target.parent.mkdir(exist_ok=True, mode=0o700)
    write_private(target, f"{USERNAME}:SHA-256,{digest.hex()},{salt.hex()},{_HASH_ROUNDS}:\n")


def write_configuration(
    folder: ServerFolder, installed: Distribution, settings: ServerSettings, *, plan: MemoryPlan
) -> None:
    """Write ``neo4j.conf`` for a start with `settings`."""
    bolt, http = (f"{LOOPBACK}:{port}" for port in (settings.bolt_port, settings.http_port))
    values = {
        "server.default_listen_address": LOOPBACK,
        "server.default_advertised_address": LOOPBACK,
        "server.bolt.listen_address": bolt,
        "server.bolt.advertised_address": bolt,
        "server.bolt.tls_level": "DISABLED",
        "server.http.listen_address": http,
        "server.http.advertised_address": http,
        "server.https.enabled": "false",
        "server.directories.plugins": str(installed.plugins),
        "server.directories.lib": str(installed.lib),
        "server.directories.import": str(folder.imports),
        "server.memory.pagecache.size": f"{plan.page_cache}m",
        "dbms.security.auth_enabled": "true",
        "dbms.security.procedures.unrestricted": "gds.*",
        "dbms.usage_report.enabled": "false",
        # Without it a stop takes 10 s longer.
        "internal.dbms.bolt.netty_server_shutdown_quiet_period": "0",
        # Without it an empty store takes 517 MB.
        "db.tx_log.preallocate": "false",
    }
    text = "# Written by `atlas db start`; changes are lost.\n"
    text += "".join(f"{key}={_escape(value)}\n" for key, value in values.items())
    write_private(folder.conf / "neo4j.conf", text)


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\")
