"""Where the explorer is served, and who may use it."""

from __future__ import annotations

import ipaddress
import secrets
from dataclasses import dataclass, field

from atlas.errors import UsageError

#: Most bytes of a request; a page sends a few kilobytes.
MAX_REQUEST = 1 << 20
#: Bytes of randomness in a token that is made, and fewest characters of one that is given.
_TOKEN_BYTES, _SHORTEST = 24, 16
#: Fewest characters of a password.
_PASSWORD = 8


@dataclass(frozen=True)
class WebSettings:
    """How the explorer is served.

    Attributes
    ----------
    host, port
        Address to listen on.
    token
        Who has it may enter. None: everybody who can reach the address, which must then be the
        machine itself.
    user, password
        Instead of a token: name and password that a form asks for.
    names
        Further host names that the explorer is reached by, such as a proxy's.
    lab
        Whether follow-ups may be run and written; without it nothing writes.
    requests_per_second, burst
        How many requests one address may make on average, and at once.
    secret
        Signs the cookie; by default a new one each time, which ends older sessions.
    """

    host: str = "127.0.0.1"
    port: int = 8050
    token: str | None = field(default=None, repr=False)
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    names: tuple[str, ...] = ()
    lab: bool = True
    requests_per_second: float = 50.0
    burst: int = 300
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise UsageError(f"There is no port {self.port}.", hint="Give one from 0 to 65535.")
        if (self.user is None) != (self.password is None):
            raise UsageError("A user and a password go together.", hint="Give both, or a token.")
        if self.password is not None and not (self.user and len(self.password) >= _PASSWORD):
            raise UsageError(
                f"The user is empty, or the password has fewer than {_PASSWORD} characters.",
                hint="Set a longer one in ATLAS_WEB_PASSWORD.",
            )
        if self.token is not None and len(self.token) < _SHORTEST:
            raise UsageError(
                f"The token has {len(self.token)} characters.",
                hint=f"Give at least {_SHORTEST}, for example {new_token()}.",
            )
        if not self.is_loopback and not self.asks:
            raise UsageError(
                f"{self.host} can be reached from other machines.",
                hint="Give a token, or a user and a password; or serve on 127.0.0.1.",
            )

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        return is_loopback(self.host)

    @property
    def asks(self) -> bool:
        """Whether somebody who enters is asked for a token or password."""
        return self.token is not None or self.password is not None


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def new_token() -> str:
    """Return a random token."""
    return secrets.token_urlsafe(_TOKEN_BYTES)
