"""Who may ask the explorer what: every request passes here first.

A page of another site that a user has open can make the browser send requests to this server. So
the Host header has to be one of ours (against DNS rebinding), a request that does something has to
come from our own pages (Origin and Sec-Fetch-Site) and to be JSON, which no form of another site
can send, and the cookie is never sent along from elsewhere. Pages may load nothing but what this
server serves, and run no script but its files.
"""

from __future__ import annotations

import hmac
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from flask import Response, abort, redirect, request, session

from atlas.web.login import login_page
from atlas.web.settings import MAX_REQUEST, is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flask import Flask
    from flask.typing import ResponseReturnValue

    from atlas.web.settings import WebSettings

ENTER = "/enter"
"""Where the form of a user and password is, and is sent to."""
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
}
#: Tries of a password a second that an address has, and at once.
_TRIES, _TRIES_AT_ONCE = 0.5, 5
#: Addresses whose rate is remembered.
_ADDRESSES = 4096


def policy(hashes: Iterable[str]) -> str:
    """Return the Content-Security-Policy; `hashes` are those of Dash's few lines of script.

    Components set colours and sizes as style attributes, which need ``unsafe-inline`` for styles
    alone. Plotly copies its WebGL canvas through ``blob:`` when a picture is saved.
    """
    scripts = " ".join(["'self'", *hashes])
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {scripts}",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ]
    )


class Guard:
    """Checks requests to an explorer.

    Parameters
    ----------
    settings
        Who may enter.
    csp
        The Content-Security-Policy.
    """

    def __init__(self, settings: WebSettings, *, csp: str) -> None:
        self.settings = settings
        self.csp = csp
        self.rates = Rates(settings.requests_per_second, settings.burst)
        self.tries = Rates(_TRIES, _TRIES_AT_ONCE)

    def attach(self, server: Flask) -> None:
        """Have a Flask server ask the guard before and after every request."""
        server.secret_key = self.settings.secret
        server.config.update(
            MAX_CONTENT_LENGTH=MAX_REQUEST,
            SESSION_COOKIE_NAME="atlas",
            SESSION_COOKIE_HTTPONLY=True,
            SESSION_COOKIE_SAMESITE="Strict",
        )
        server.before_request(self.before)
        server.after_request(self.after)
        server.add_url_rule(ENTER, "enter", self.enter, methods=["GET", "POST"])

    def before(self) -> ResponseReturnValue | None:
        """Refuse what may not be asked; None lets the request pass."""
        if not self.rates.allow(self._client()):
            return _refused(429, "Too many requests; wait a moment.")
        if not self._host_is_ours():
            return _refused(403, "This explorer is not served under that host name.")
        if request.method not in _SAFE and (refused := self._sent_by_others()):
            return refused
        public = request.path == ENTER or request.path.startswith("/assets/")
        if public or self._entered():
            return None
        return self._ask_who()

    def _ask_who(self) -> ResponseReturnValue:
        given, token = request.args.get("token"), self.settings.token
        if given is not None and token is not None and _same(given, token):
            session["entered"] = True
            # The token goes out of the address, where a history or a log would keep it.
            return redirect(request.path)
        if self.settings.password is not None and request.method in _SAFE:
            return redirect(ENTER)
        return _refused(401, "Open the address with the token that `atlas serve` printed.")

    def after(self, response: Response) -> Response:
        """Set the headers of every answer."""
        response.headers.update(_HEADERS)
        response.headers["Content-Security-Policy"] = self.csp
        if not request.path.startswith(("/_dash-component-suites/", "/assets/")):
            response.headers["Cache-Control"] = "no-store"
        return response

    def enter(self) -> ResponseReturnValue:
        """Show the form of user and password, or take what it sent."""
        if self.settings.password is None:
            abort(404)
        if request.method != "POST":
            return login_page(wrong=False)
        if not self.tries.allow(self._client()):
            return _refused(429, "Too many tries; wait a moment.")
        user, password = (request.form.get(name, "") for name in ("user", "password"))
        # Both are compared, so that the time does not tell which was wrong.
        right = [_same(user, self.settings.user or ""), _same(password, self.settings.password)]
        if not all(right):
            return login_page(wrong=True), 401
        session["entered"] = True
        return redirect("/")

    def _entered(self) -> bool:
        return not self.settings.asks or session.get("entered") is True

    def _client(self) -> str:
        """Return the address that asks; a proxy on this machine says for whom it does."""
        address = request.remote_addr or ""
        said = request.headers.get("X-Forwarded-For", "")
        if said and is_loopback(address) and self._by_a_proxy():
            return said.rpartition(",")[2].strip()  # what the proxy itself has added
        return address

    def _by_a_proxy(self) -> bool:
        return _host_name(request.host) in map(str.lower, self.settings.names)

    def _host_is_ours(self) -> bool:
        name = _host_name(request.host)
        own = {"localhost", "127.0.0.1", "::1"} if self.settings.is_loopback else set()
        known = {_host_name(self.settings.host), *map(str.lower, self.settings.names)} | own
        # On every interface the machine's own addresses are not known; the token decides.
        everywhere = self.settings.host in ("0.0.0.0", "::")  # noqa: S104
        return name in known or (everywhere and self.settings.asks)

    def _sent_by_others(self) -> ResponseReturnValue | None:
        origin = request.headers.get("Origin")
        # A proxy speaks TLS with the browser, and not with us.
        schemes = (request.scheme, "https") if self._by_a_proxy() else (request.scheme,)
        if origin is not None and origin not in [f"{one}://{request.host}" for one in schemes]:
            return _refused(403, "This request comes from another site.")
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            return _refused(403, "This request comes from another site.")
        if request.path != ENTER and not request.is_json:
            return _refused(415, "This request is no JSON.")
        return None


class Rates:
    """Counts requests of addresses: some a second, and some at once (a token bucket).

    Parameters
    ----------
    rate
        Requests a second that each address gains.
    burst
        Most that it can have saved up.
    """

    def __init__(self, rate: float, burst: int) -> None:
        self.rate, self.burst = rate, float(burst)
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def allow(self, address: str, *, now: float | None = None) -> bool:
        """Whether an address may make a request now; if so, it is counted."""
        moment = time.monotonic() if now is None else now
        with self._lock:
            left, before = self._left.pop(address, (self.burst, moment))
            left = min(self.burst, left + (moment - before) * self.rate)
            allowed = left >= 1.0
            self._left[address] = (left - allowed, moment)
            while len(self._left) > _ADDRESSES:
                self._left.popitem(last=False)
            return allowed


def _host_name(host: str) -> str:
    """Return the name of ``name:port`` or ``[address]:port``."""
    host = host.lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


def _refused(code: int, why: str) -> Response:
    return Response(why + "\n", status=code, mimetype="text/plain")
