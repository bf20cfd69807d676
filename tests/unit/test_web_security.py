"""Who may ask the explorer what, on a small server behind the same guard."""

from __future__ import annotations

import pytest
from flask import Flask, request

from atlas.errors import UsageError
from atlas.web.security import ENTER, Guard, Rates, policy
from atlas.web.settings import MAX_REQUEST, WebSettings, is_loopback, new_token

TOKEN = "a-token-of-some-length"
DO = "/_dash-update-component"


def server(settings: WebSettings) -> Flask:
    app = Flask("guarded", static_folder=None)
    Guard(settings, csp=policy(["'sha256-abc'"])).attach(app)
    app.add_url_rule("/", "home", lambda: "home")
    app.add_url_rule(DO, "do", lambda: str(len(request.get_data())), methods=["POST"])
    return app


def host(name: str) -> dict[str, str]:
    return {"Host": name}


@pytest.mark.parametrize("name", ["127.0.0.1:8050", "localhost:8050", "[::1]:8050", "LOCALHOST"])
def test_the_machine_itself_may_enter(name: str) -> None:
    assert server(WebSettings()).test_client().get("/", headers=host(name)).text == "home"


@pytest.mark.parametrize("name", ["evil.example", "127.0.0.1.evil.example:8050", "10.0.0.5:8050"])
def test_another_host_name_is_refused(name: str) -> None:
    """A name of another site that points here is DNS rebinding."""
    answer = server(WebSettings()).test_client().get("/", headers=host(name))
    assert answer.status_code == 403
    assert "home" not in answer.text


def test_names_of_a_proxy_may_be_allowed() -> None:
    client = server(WebSettings(names=("Atlas.example",))).test_client()
    assert client.get("/", headers=host("atlas.example")).status_code == 200


@pytest.mark.parametrize(
    ("name", "origin", "code"),
    [
        ("atlas.example", "https://atlas.example", 200),
        ("atlas.example", "http://atlas.example", 200),
        ("atlas.example", "https://evil.example", 403),
        ("localhost", "https://atlas.example", 403),
    ],
)
def test_a_proxy_may_speak_tls_with_the_browser(name: str, origin: str, code: int) -> None:
    client = server(WebSettings(names=("atlas.example",))).test_client()
    assert client.post(DO, json={}, headers={**host(name), "Origin": origin}).status_code == code


def test_a_proxy_says_who_asks_and_others_are_not_believed() -> None:
    def statuses(settings: WebSettings, remote: str) -> list[int]:
        client = server(settings).test_client()
        return [
            client.get(
                "/",
                headers={**host(name), "X-Forwarded-For": f"1.1.1.1, 10.0.0.{n}"},
                environ_base={"REMOTE_ADDR": remote},
            ).status_code
            for n in range(3)
        ]

    few = {"requests_per_second": 0.001, "burst": 1}
    name = "atlas.example"
    assert statuses(WebSettings(names=(name,), **few), "127.0.0.1") == [200, 200, 200]
    assert statuses(WebSettings(names=(name,), **few), "10.1.1.1") == [200, 429, 429]
    name = "localhost"
    assert statuses(WebSettings(**few), "127.0.0.1") == [200, 429, 429]


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, 200),
        ({"Origin": "http://localhost"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://localhost"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_requests_that_do_something_come_from_our_pages(headers: dict[str, str], code: int) -> None:
    client = server(WebSettings()).test_client()
    assert client.post(DO, json={"a": 1}, headers=headers).status_code == code


def test_a_form_of_another_site_is_refused() -> None:
    client = server(WebSettings()).test_client()
    assert client.post(DO, data={"a": "1"}).status_code == 415
    assert client.post(DO, data="{}", content_type="text/plain").status_code == 415


def test_large_requests_are_refused() -> None:
    client = server(WebSettings()).test_client()
    assert client.post(DO, json="x" * MAX_REQUEST).status_code == 413


def test_a_token_opens_and_leaves_the_address() -> None:
    client = server(WebSettings(host="0.0.0.0", token=TOKEN)).test_client()
    assert client.get("/", headers=host("somewhere:8050")).status_code == 401
    assert client.get("/?token=wrong-token-of-length").status_code == 401
    answer = client.get(f"/?token={TOKEN}")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert TOKEN not in cookie
    assert client.get("/").text == "home"


def test_a_forged_cookie_does_not_open() -> None:
    settings = WebSettings(host="0.0.0.0", token=TOKEN)
    own = server(WebSettings(host="0.0.0.0", token=TOKEN)).test_client()
    forged = own.get(f"/?token={TOKEN}").headers["Set-Cookie"].partition(";")[0]
    client = server(settings).test_client()
    assert client.get("/", headers={"Cookie": forged}).status_code == 401


def test_a_user_and_a_password_open() -> None:
    client = server(WebSettings(user="ada", password="lovelace")).test_client()
    answer = client.get("/")
    assert (answer.status_code, answer.headers["Location"]) == (302, ENTER)
    assert client.post(DO, json={}).status_code == 401
    assert "form" in client.get(ENTER).text
    wrong = client.post(ENTER, data={"user": "ada", "password": "<script>"})
    assert wrong.status_code == 401
    assert "<script>" not in wrong.text
    assert client.get("/").status_code == 302
    other = {"Origin": "http://evil.example"}
    right = {"user": "ada", "password": "lovelace"}
    assert client.post(ENTER, data=right, headers=other).status_code == 403
    assert client.post(ENTER, data=right).status_code == 302
    assert client.get("/").text == "home"


def test_passwords_cannot_be_tried_one_after_the_other() -> None:
    client = server(WebSettings(user="ada", password="lovelace")).test_client()
    wrong = {"user": "ada", "password": "wrong"}
    assert [client.post(ENTER, data=wrong).status_code for _ in range(7)] == [401] * 5 + [429] * 2
    assert client.post(ENTER, data={"user": "ada", "password": "lovelace"}).status_code == 429


def test_the_form_is_only_there_where_it_is_asked_for() -> None:
    assert server(WebSettings()).test_client().get(ENTER).status_code == 404


def test_every_answer_says_what_it_may_load() -> None:
    client = server(WebSettings()).test_client()
    for answer in (client.get("/"), client.get("/", headers=host("evil.example"))):
        csp = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in csp
        assert "script-src 'self' 'sha256-abc';" in csp
        assert "unsafe-eval" not in csp
        assert "http:" not in csp
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Referrer-Policy"] == "same-origin"


def test_many_requests_at_once_are_slowed_down() -> None:
    client = server(WebSettings(requests_per_second=0.001, burst=3)).test_client()
    assert [client.get("/").status_code for _ in range(5)] == [200] * 3 + [429] * 2


def test_a_rate_is_of_one_address_and_comes_back() -> None:
    rates = Rates(2.0, 2)
    assert [rates.allow("a", now=0.0) for _ in range(3)] == [True, True, False]
    assert rates.allow("b", now=0.0)
    assert not rates.allow("a", now=0.4)
    assert rates.allow("a", now=0.6)
    assert [rates.allow("a", now=100.0) for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize(
    "given",
    [
        {"host": "0.0.0.0"},
        {"host": "192.168.0.4"},
        {"host": "atlas.example"},
        {"token": "short"},
        {"user": "ada"},
        {"password": "x"},
        {"user": "ada", "password": ""},
        {"user": "ada", "password": "short"},
        {"user": "", "password": "long enough"},
        {"port": 70000},
    ],
)
def test_settings_that_are_not_safe_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        WebSettings(**given)  # type: ignore[arg-type]


def test_secrets_are_not_shown() -> None:
    shown = repr(WebSettings(token=TOKEN, user="ada", password="lovelace"))
    assert TOKEN not in shown
    assert "lovelace" not in shown
    assert len({new_token() for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("name", "own"),
    [("127.0.0.1", True), ("127.3.2.1", True), ("::1", True), ("localhost", True),
     ("0.0.0.0", False), ("::", False), ("localhost.example", False)],
)  # fmt: skip
def test_addresses_of_the_machine(name: str, own: bool) -> None:
    assert is_loopback(name) is own
